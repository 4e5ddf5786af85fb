"""What MCP resources say of tools and the condition language: what fits a conversation, the rest by address."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import orjson

from crypto_mcp.server.schemas import input_schema, tool_input

if TYPE_CHECKING:
    from crypto_mcp.job_kind import JobKind

_SECTION = re.compile(r"^#{2,3} (.+)$", re.MULTILINE)
_WORD = re.compile(r"^\| `(\w+)\(", re.MULTILINE)
_WRITTEN = "How it is written"


class LanguagePages:
    """The condition language: how it is written with all its words, and a page for each group of words."""

    def __init__(self) -> None:
        text = files("crypto_mcp.server").joinpath("conditions.md").read_text()
        _, *parts = _SECTION.split(text)
        found = {title: said.strip() for title, said in zip(parts[::2], parts[1::2], strict=True)}
        self.pages = {
            title.lower().replace(" ", "-"): f"## {title}\n\n{said}" for title, said in found.items() if "`" in said
        }
        words = {title: _WORD.findall(said) for title, said in found.items()}
        listed = [f"- {title.lower().replace(' ', '-')}: {', '.join(names)}" for title, names in words.items() if names]
        self.start = "\n\n".join(
            [
                "# The condition language",
                "True or false at the close of every bar: `crosses_above(ema(9), ema(21)) and rsi(14) < 70`.",
                found[_WRITTEN],
                "Unknown (too little history) is neither true nor false. Nothing looks ahead.",
                "## Words\n\nTheir arguments: `crypto://conditions/GROUP`. Names of patterns: candlestick-patterns.",
                "\n".join(listed),
            ]
        )


def contract(kind: JobKind[Any, Any], default_wait: float) -> dict[str, Any]:
    """A tool's parameters as the list of tools has them, an example, and the names of what its result holds."""
    return {
        "name": kind.name,
        "summary": kind.summary,
        "example": dict(kind.example),
        "params_schema": tool_input(kind, default_wait),
        "result": list(kind.result.model_fields),
        "more": [f"crypto://kinds/{kind.name}/{part}" for part in ("params", "result")],
    }


def contract_part(kind: JobKind[Any, Any], part: str) -> str | None:
    """The whole schema of its `params` or its `result`, with bounds, units and descriptions."""
    if part == "params":
        return orjson.dumps(input_schema(kind.params)).decode()
    return orjson.dumps(kind.result.model_json_schema(mode="serialization")).decode() if part == "result" else None
