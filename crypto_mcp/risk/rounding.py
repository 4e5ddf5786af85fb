"""Amounts in the exchange's steps, never rounded to the side that costs more than was asked for."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crypto_mcp.models.markets import SymbolRules

ZERO = Decimal(0)


def _in_steps(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    return value if step <= 0 else (value / step).to_integral_value(rounding) * step


def floor_to_step(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is not above `value`; `value` itself if the step is zero."""
    return _in_steps(value, step, ROUND_FLOOR)


def ceil_to_step(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` that is not below `value`."""
    return _in_steps(value, step, ROUND_CEILING)


def nearest_tick(price: Decimal, tick: Decimal) -> Decimal:
    """A price that is shown, not traded: the nearest multiple of the tick."""
    return _in_steps(price, tick, ROUND_HALF_EVEN)


def orderable(quantity: Decimal, price: Decimal, rules: SymbolRules) -> Decimal:
    """The largest quantity the exchange accepts that is not above `quantity`; zero if it accepts none."""
    if rules.max_quantity > 0:
        quantity = min(quantity, rules.max_quantity)
    floored = floor_to_step(quantity, rules.step_size)
    return floored if floored >= least_orderable(price, rules) and floored > 0 else ZERO


def least_orderable(price: Decimal, rules: SymbolRules) -> Decimal:
    """The smallest quantity the exchange accepts at a price."""
    by_notional = rules.min_notional / price if rules.min_notional > 0 else ZERO
    least = max(rules.min_quantity, by_notional, rules.step_size)
    return ceil_to_step(least, rules.step_size)
