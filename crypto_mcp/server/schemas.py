"""JSON schemas of parameters and results, as tools and routes show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crypto_mcp.models.timeframes import Timeframe

if TYPE_CHECKING:
    from pydantic import BaseModel

    from crypto_mcp.job_kind import JobKind

UNIT = "x-unit"
"""Where a schema keeps the unit of a parameter."""

_NOT_LISTED = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems"}
    | {"pattern", "examples", "format", "uniqueItems", "multipleOf", UNIT}
)
"""Bounds that a tool's schema leaves to the check of a call, whose error names them. Clients put the list of tools
before every conversation, so every word costs; `GET /v1/kinds` has the whole contract."""

_UNLISTED = "x-unlisted"
_TIMEFRAMES = [timeframe.value for timeframe in Timeframe]


def input_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of parameters in one piece: references resolved, without titles and the docstrings of types."""
    schema = model.model_json_schema()
    return _resolved(schema, schema.get("$defs", {}))  # type: ignore[no-any-return]


def tool_input(kind: JobKind[Any, Any], default_wait: float) -> dict[str, Any]:
    """Parameters of a kind's tool: the kind's own and those of every tool."""
    schema: dict[str, Any] = _lean(input_schema(kind.params))
    for told_elsewhere in ("description", "additionalProperties"):
        schema.pop(told_elsewhere, None)
    schema.setdefault("properties", {}).update(answer_inputs(default_wait))
    return schema


PAGE = "page"


def answer_inputs(default_wait: float) -> dict[str, Any]:
    """Parameters of every tool that answers with a result: how long to wait for its job, in seconds (more than a
    request may take is capped, not refused), and which fields of it to tell. The instructions explain them once.
    """
    return {"wait": {"type": "number", "default": default_wait}, "fields": {"type": "string"}}


def answer_outline() -> dict[str, Any]:
    """The envelope of an answer, as lean as a client that checks it allows."""
    return {
        "type": "object",
        "properties": {
            "status": {"type": "string"},
            "result": {"type": "object"},
            "error": {"type": "object"},
        },
        "required": ["status"],
    }


def _resolved(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_resolved(part, definitions) for part in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        node = {**target, "description": "", **{name: value for name, value in node.items() if name != "$ref"}}
    resolved = {}
    for name, value in node.items():
        if name == "properties":
            resolved[name] = {field: _resolved(schema, definitions) for field, schema in value.items()}
        elif name not in ("$defs", "title") and value != "":
            resolved[name] = _resolved(value, definitions)
    return resolved


def _lean(node: Any) -> Any:
    """A schema without bounds, and without saying of what may be left out that it may be null."""
    if isinstance(node, list):
        return [_lean(part) for part in node]
    if not isinstance(node, dict):
        return node
    choices = [choice for choice in node.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        node = {**choices[0], **{name: value for name, value in node.items() if name != "anyOf"}}
    lean = {}
    for name, value in node.items():
        if name == "properties":
            listed = {field: schema for field, schema in value.items() if not schema.get(_UNLISTED)}
            lean[name] = {field: _lean(schema) for field, schema in listed.items()}
        elif (name == "type" and "enum" in node and node["enum"] != _TIMEFRAMES) or (
            name == "enum" and value == _TIMEFRAMES
        ):
            continue
        elif name == "items":
            lean[name] = {inner: said for inner, said in _lean(value).items() if inner != "description"}
        elif name not in _NOT_LISTED and not (name == "default" and value in (None, [], {}, "")):
            lean[name] = _lean(value)
    return lean
