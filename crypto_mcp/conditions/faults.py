"""Errors about a node: where it stands, what it says, and which name was meant."""

from __future__ import annotations

import ast
import difflib

from crypto_mcp.conditions.errors import ConditionError
from crypto_mcp.conditions.functions import NAMES

_LONGEST_NAME = 32


def fault(
    node: ast.expr, what: str, nearest: str | None = None, *, advice: str = "", example: str = ""
) -> ConditionError:
    """The error at a node."""
    return ConditionError(
        what, column=node.col_offset + 1, found=text_of(node), nearest=nearest, advice=advice, example=example
    )


def unknown(node: ast.expr, name: str) -> ConditionError:
    """The error of a name that is none of the language."""
    return fault(node, f"there is no {name}", nearest_of(name, NAMES))


def nearest_of(name: str, names: tuple[str, ...]) -> str | None:
    """The name most like it, if any is like it; what is far longer than any name is like none, and slow to compare."""
    if len(name) > _LONGEST_NAME:
        return None
    return next(iter(difflib.get_close_matches(name.lower(), names, 1, 0.6)), None)


def text_of(node: ast.expr) -> str:
    """What was written, roughly; percentages as percentages."""
    if isinstance(node, ast.Constant) and isinstance(node.value, complex):
        return f"{node.value.imag:g}%"
    if isinstance(node, (ast.Constant, ast.Name)):
        return ast.unparse(node)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return f"{node.func.id}(...)"
    return "this"


def kind_of_node(node: ast.expr) -> str:
    """What a node that does not belong is called."""
    return {"Attribute": "a dot", "Lambda": "lambda", "IfExp": "if ... else", "List": "a list", "Tuple": "a comma"}.get(
        type(node).__name__, type(node).__name__.lower()
    )
