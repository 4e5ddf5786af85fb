"""The tools as docs/mcp.md shows them: annotations, all parameters, what comes back, the errors; made of the code."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any, get_args

import orjson
from pydantic import BaseModel

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.server.schemas import UNIT, answer_inputs, input_schema
from crypto_mcp.server.tools import Tools
from crypto_mcp.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp.types import Tool

    from crypto_mcp.job_kind import JobKind

_TIMEFRAMES = [timeframe.value for timeframe in Timeframe]
_ERRORS_OF = (
    "crypto_mcp.errors", "crypto_mcp.server.answering", "crypto_mcp.server.confirmation", "crypto_mcp.access.sessions",
    "crypto_mcp.alerts", "crypto_mcp.backtest", "crypto_mcp.conditions", "crypto_mcp.market", "crypto_mcp.risk",
    "crypto_mcp.notify.channels", "crypto_mcp.notify.codes", "crypto_mcp.notify.numbers", "crypto_mcp.notify.sealing",
    "crypto_mcp.notify.webhook", "crypto_mcp.stores.channel_documents", "workers",
)  # fmt: skip
"""Rooms whose errors a tool's answer may have. Codes that only operators and REST meet are on other pages."""
_NOT_OF = ("crypto_mcp.market.candle_files", "workers.callbacks", "workers.main")


def tools() -> str:
    """Every tool in a line."""
    rows = ["| tool | | hints |", "|---|---|---|"]
    rows += [f"| [`{tool.name}`](#{tool.name}) | {_said(tool)} | {_hints(tool)} |" for tool in _listed()]
    return "\n".join(rows)


def contracts() -> str:
    """Every tool with an example, its parameters and its result."""
    kinds = {kind.name: kind for kind in CATALOGUE.tools()}
    return "\n\n".join(_contract(tool, kinds.get(tool.name)) for tool in _listed())


def errors() -> str:
    """Every code that the answer of a tool may have."""
    for package in ("crypto_mcp", "workers"):
        _import_all(package)
    told: dict[str, type[CryptoMcpError]] = {}
    for error in sorted(
        _below(CryptoMcpError) - {CryptoMcpError}, key=lambda error: (error.__module__, error.__name__), reverse=True
    ):
        if error.__doc__ and error.__module__.startswith(_ERRORS_OF) and not error.__module__.startswith(_NOT_OF):
            told[error.code] = error  # where several have one code, the family's own comes last
    rows = [
        f"| `{code}` | {'later' if error.retryable else ''} | {_first_line(error)} |"
        for code, error in sorted(told.items())
    ]
    return "\n".join(["| code | again? | |", "|---|---|---|", *rows])


def _listed() -> list[Tool]:
    return list(Tools(CATALOGUE, ServerSettings()).by_name.values())


def _said(tool: Tool) -> str:
    return (tool.description or "").partition(" Example:")[0]


def _hints(tool: Tool) -> str:
    """The annotations that say something."""
    hints = tool.annotations
    assert hints is not None
    named = {
        "read-only": hints.read_only_hint,
        "destructive": hints.destructive_hint,
        "idempotent": hints.idempotent_hint,
        "open world": hints.open_world_hint,
    }
    return ", ".join(name for name, holds in named.items() if holds)


def _contract(tool: Tool, kind: JobKind[Any, Any] | None) -> str:
    parts = [f"### {tool.name}", f"{tool.title}. {_said(tool)}"]
    if kind is None:
        return "\n\n".join([*parts, _parameters(tool.input_schema, tool.input_schema)])
    example = orjson.dumps({"name": kind.name, "arguments": dict(kind.example)}).decode()
    schema = input_schema(kind.params)
    schema["properties"] |= answer_inputs(ServerSettings().default_wait)
    scope = f"`{kind.scope}`" + (
        "" if kind.read_only else f", to change something `{kind.scope.partition(':')[0]}:write`"
    )
    facts = f"Scope {scope}; costs {kind.cost} of the limit; an attempt may take {kind.timeout:g} s."
    return "\n\n".join(
        [*parts, facts, f"```json\n{example}\n```", _parameters(schema, tool.input_schema), _result(kind)]
    )


def _parameters(schema: dict[str, Any], listed: dict[str, Any]) -> str:
    """`listed` is the schema in the list of tools, which leaves out what is seldom set."""
    needed = set(schema.get("required", ()))
    rows = ["| parameter | type | default | |", "|---|---|---|---|"]
    for name in sorted(schema["properties"], key=lambda name: name not in needed):
        told = schema["properties"][name]
        seldom = "" if name in listed["properties"] else " Not in the list of tools."
        default = "**needed**" if name in needed else _default(told)
        unit = f", {told[UNIT]}" if UNIT in told else ""
        rows.append(f"| `{name}` | {_type(told)}{unit} | {default} | {_cell(told.get('description', ''))}{seldom} |")
    return "\n".join(rows)


def _default(told: dict[str, Any]) -> str:
    value = told.get("default")
    return "" if value in (None, [], {}, "") else f"`{orjson.dumps(value).decode()}`"


def _type(told: dict[str, Any]) -> str:
    """In words, with bounds."""
    choices = [choice for choice in told.get("anyOf", ()) if choice != {"type": "null"}]
    if choices:
        return _cell(" or ".join(_type(choice) for choice in choices))
    if "enum" in told:
        return "timeframe" if told["enum"] == _TIMEFRAMES else _cell(", ".join(f"`{each}`" for each in told["enum"]))
    if told.get("format") in ("decimal", "date-time"):
        return {"decimal": "decimal", "date-time": "time"}[told["format"]]
    if told.get("type") == "array":
        most = f", {told['maxItems']} at most" if "maxItems" in told else ""
        return f"list of {_type(told.get('items', {}))}{most}"
    kind = str(told.get("type", "any"))
    return f"{kind} {_bounds(told)}".strip()


def _bounds(told: dict[str, Any]) -> str:
    low, high = told.get("minimum"), told.get("maximum")
    above, below = told.get("exclusiveMinimum"), told.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f"{low:,} to {high:,}"
    signs = {"≥": low, ">": above, "≤": high, "<": below}
    return ", ".join(f"{sign} {bound:,}" for sign, bound in signs.items() if bound is not None)


def _result(kind: JobKind[Any, Any]) -> str:
    """The fields of the result; what is in them is in `GET /v1/kinds`."""
    rows = [f"| `result` | {_first_line(kind.result)} |", "|---|---|"]
    plain = []
    for name, field in kind.result.model_fields.items():
        inner = next(_models(field.annotation), None)
        if said := field.description or (_first_line(inner) if inner is not None else ""):
            rows.append(f"| `{name}` | {_cell(said)} |")
        else:
            plain.append(f"`{name}`")
    return "\n".join(rows + ([f"| {', '.join(plain)} | |"] if plain else []))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models inside a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _first_line(documented: type) -> str:
    return (documented.__doc__ or "").strip().partition("\n")[0]


def _below(error: type[CryptoMcpError]) -> set[type[CryptoMcpError]]:
    """An error and all that are declared under it."""
    return {error}.union(*(_below(child) for child in error.__subclasses__()))


def _import_all(package: str) -> None:
    """Declares what a package declares. By name: the front end itself imports no engine, this page looks at all."""
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if found.name.startswith(_ERRORS_OF):
            importlib.import_module(found.name)
