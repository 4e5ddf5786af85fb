"""JSON schemas of parameters and results, as tools and routes show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

    from crypto_mcp.catalogue import JobKind

_OUTPUT_DEPTH = 1
"""Levels of a result that a tool's output schema shows. Clients put it before the model, so every word costs."""


def input_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of parameters in one piece: references resolved, without titles and the docstrings of types."""
    schema = model.model_json_schema()
    return _resolved(schema, schema.get("$defs", {}))  # type: ignore[no-any-return]


def lean_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The outline of a result: names and types of its fields, no words."""
    schema = model.model_json_schema(mode="serialization")
    return _outline(_resolved(schema, schema.get("$defs", {})), _OUTPUT_DEPTH)


def tool_input(kind: JobKind[Any, Any], default_wait: float) -> dict[str, Any]:
    """Parameters of a kind's tool: the kind's own and `wait`."""
    schema = input_schema(kind.params)
    schema.pop("description", None)
    if "wait" in schema.setdefault("properties", {}):
        raise ValueError(f"{kind.name} has a parameter `wait` of its own")
    schema["properties"]["wait"] = wait_schema(default_wait)
    return schema


def wait_schema(default: float) -> dict[str, Any]:
    """How long to wait for a job. More than a request may take is capped, not refused."""
    return {"type": "number", "minimum": 0, "default": default, "description": "Seconds to wait for the result."}


def answer_outline(result: dict[str, Any] | None = None) -> dict[str, Any]:
    """The envelope of an answer, as lean as a client that checks it allows."""
    return {
        "type": "object",
        "properties": {
            "status": {"type": "string"},
            "job_id": {"type": "string"},
            "result": result or {"type": "object"},
            "error": {"type": "object"},
            "next": {"type": "array"},
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


def _outline(node: dict[str, Any], depth: int) -> dict[str, Any]:
    kept: dict[str, Any] = {"type": node["type"]} if "type" in node else {}
    if depth > 0 and "properties" in node:
        kept["properties"] = {name: _outline(part, depth - 1) for name, part in node["properties"].items()}
    return kept
