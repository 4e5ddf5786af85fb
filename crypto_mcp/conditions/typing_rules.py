"""Which kinds go together: a percentage is never silently a number, nor a number a percentage."""

from __future__ import annotations

from crypto_mcp.conditions.plan import Kind

NUMBER, PERCENT, RATIO = Kind.NUMBER, Kind.PERCENT, Kind.RATIO


class Mismatch(Exception):
    """Two kinds that do not go together; `advice` says what to write."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what)
        self.what, self.advice = what, advice


def combined(operator: str, left: Kind, right: Kind, left_constant: bool, right_constant: bool) -> tuple[Kind, float]:
    """Kind of an arithmetic expression, and what to multiply the result by so that percentages stay in points."""
    if operator in "+-":
        return _sum(left, right, left_constant, right_constant), 1.0
    if operator == "*":
        return _product(left, right, left_constant, right_constant)
    return _quotient(left, right, left_constant, right_constant)


def _product(left: Kind, right: Kind, left_constant: bool, right_constant: bool) -> tuple[Kind, float]:
    if left is right is PERCENT:
        return PERCENT, 0.01
    if PERCENT not in (left, right):
        return (NUMBER if NUMBER in (left, right) else RATIO), 1.0
    other, constant = (right, right_constant) if left is PERCENT else (left, left_constant)
    return (PERCENT, 1.0) if constant else (other, 0.01)


def _quotient(left: Kind, right: Kind, left_constant: bool, right_constant: bool) -> tuple[Kind, float]:
    if left is PERCENT:
        plain = (PERCENT, 1.0) if right_constant else (NUMBER, 0.01)
        return {PERCENT: (RATIO, 1.0), RATIO: (RATIO, 0.01)}.get(right, plain)
    if right is PERCENT:
        return left, 100.0
    of_two_series = right is NUMBER and not (left_constant or right_constant)
    return (RATIO if left is RATIO or of_two_series else NUMBER), 1.0


def _sum(left: Kind, right: Kind, left_constant: bool, right_constant: bool) -> Kind:
    if left is right:
        return left
    if PERCENT in (left, right):
        raise Mismatch(f"a {left} and a {right} cannot be added up", "For 5 % above the close write close * 105%.")
    return RATIO if (right_constant if left is RATIO else left_constant) else NUMBER


def comparable(left: Kind, right: Kind, left_value: float | None, right_value: float | None) -> tuple[float, float]:
    """What to multiply both sides by before they are compared."""
    if left is right or PERCENT not in (left, right):
        return 1.0, 1.0
    if RATIO in (left, right):
        return (100.0, 1.0) if left is RATIO else (1.0, 100.0)
    value = right_value if left is PERCENT else left_value
    if value == 0:
        return 1.0, 1.0
    if value is not None:
        raise Mismatch("a percentage is compared with a plain number", f"Write {value:g}%.")
    raise Mismatch("a percentage is compared with a number", "Compare percentages with percentages.")
