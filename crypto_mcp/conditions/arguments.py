"""Arguments of a call: matched with what the function takes, and read where they are plain."""

from __future__ import annotations

import ast

from crypto_mcp.conditions.faults import fault, nearest_of, text_of
from crypto_mcp.conditions.functions import Argument, Function

MAX_CONSTANT = 1e15


def matched(
    node: ast.expr, function: Function, given: list[ast.expr], named: dict[str, ast.expr]
) -> dict[str, ast.expr]:
    """What was given, by name of the argument; a series that may be left out may be so at the front, too."""
    arguments = list(function.arguments)
    first = arguments[0] if arguments else None
    if first and first.accepts == "number" and first.default and given and plain_number(given[0]) is not None:
        arguments = arguments[1:]
    if len(given) > len(arguments):
        raise fault(given[len(arguments)], f"too many arguments: {function.signature}", example=function.example)
    by_name = {argument.name: value for argument, value in zip(arguments, given, strict=False)}
    for name, value in named.items():
        if name in by_name or name not in {argument.name for argument in function.arguments}:
            raise fault(value, f"{name} is not wanted: {function.signature}", example=function.example)
        by_name[name] = value
    missing = [a.name for a in function.arguments if a.default is None and a.name not in by_name]
    if missing:
        raise fault(node, f"{missing[0]} is missing: {function.signature}", example=function.example)
    return by_name


def option(node: ast.expr, function: Function, argument: Argument, given: ast.expr | None) -> int | str:
    """The word or whole number that is given, or the default."""
    if given is None:
        assert argument.default is not None
        return argument.default
    if argument.accepts == "word":
        value = given.value if isinstance(given, ast.Constant) else None
        if value not in argument.words:
            choice = ", ".join(f'"{word}"' for word in argument.words)
            nearest = nearest_of(str(value), argument.words)
            raise fault(
                given, f"{argument.name} is one of {choice}, not {text_of(given)}", nearest, example=function.example
            )
        return str(value)
    number = plain_number(given)
    if number is None or number != int(number) or not argument.low <= number <= argument.high:
        bounds = f"a whole number from {argument.low} to {argument.high}"
        raise fault(given, f"{argument.name} is {bounds}, not {text_of(given)}", example=function.example)
    return int(number)


def plain_number(node: ast.expr) -> float | None:
    """The value of a number as it is written, with or without a sign."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = plain_number(node.operand)
        return None if value is None else -value
    if not isinstance(node, ast.Constant) or isinstance(node.value, (bool, complex)):
        return None
    if not isinstance(node.value, (int, float)) or abs(node.value) > MAX_CONSTANT:
        return None
    return float(node.value)
