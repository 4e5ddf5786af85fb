"""Numbers as a chart shows them."""

from __future__ import annotations

import math


def price(value: float) -> str:
    """Five significant digits, thousands separated: `67,123`, `1.2346`, `0.000012346`."""
    if value == 0:
        return "0"
    decimals = max(0, 4 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 12)}f}"


def spaced(value: float, step: float) -> str:
    """A mark on an axis whose marks are `step` apart: with the decimals that tell one from the next."""
    decimals = max(0, -math.floor(math.log10(abs(step)))) if step else 0
    if not math.isclose(step * 10**decimals, round(step * 10**decimals)):
        decimals += 1
    return f"{value:,.{decimals}f}"


def signed(value: float, decimals: int = 2) -> str:
    """With its sign; a zero has none."""
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text
