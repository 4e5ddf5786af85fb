"""Swing points: highs and lows that so many bars on either side did not pass.

A swing high of strength n at bar i is higher than each of the n bars before it and not lower than each of the n bars
after it, so of equal highs the first counts; it is known when bar i + n has closed. Bill Williams' fractal (Trading
Chaos, 1995) is the swing of strength 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from crypto_mcp.analysis.findings import Finding, Findings, Rows, begun, blank
from crypto_mcp.analysis.kernels import Bars, follow_levels, grade
from crypto_mcp.analysis.measures import Measures
from crypto_mcp.compiling import compiled
from crypto_mcp.models.candles import Floats

SwingLabel = Literal["first", "higher_high", "lower_high", "higher_low", "lower_low", "equal_high", "equal_low"]

_LABELS: dict[int, SwingLabel] = {
    0: "first",
    1: "higher_high",
    2: "lower_high",
    3: "equal_high",
    4: "lower_low",
    5: "higher_low",
    6: "equal_low",
}

# Half of the strength at a prominence of three ATR.
PROMINENCE = np.array((3.0,)), np.array((1.0,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Swing(Finding):
    """A swing high (bearish: price turned down from it) or swing low (bullish). `top` and `bottom` are its price.

    Attributes:
        reach: bars on either side that did not pass it, `known_at - at`.
        label: against the swing before it on the same side; equal within the tolerance.
        prominence_atr: how far price was away within `reach` bars, on the side where it came less far, in ATR.

    States: `swept` when a wick passes it and the bar closes back, `broken` when a close passes it, `expired`.
    """

    STATES: ClassVar[tuple[str, ...]] = ("swept", "broken", "expired")
    ENDS: ClassVar[tuple[str, ...]] = ("broken", "expired")
    NAMES: ClassVar[Mapping[str, Mapping[int, str]]] = {"label": _LABELS}

    reach: int
    label: SwingLabel
    prominence_atr: float


def find_swings(measures: Measures, reach: int, equal_tolerance: float, max_age: int) -> Findings[Swing]:
    """Swing highs and lows in the order in which they are known.

    Args:
        measures: of the bars.
        reach: bars on either side, at least 1.
        equal_tolerance: distance in ATR within which two highs or lows count as equal.
        max_age: bars after which a swing that nothing broke is no longer followed.
    """
    bars, mirror = measures.bars, measures.mirror
    rows = blank(Swing, 2 + 2 * len(bars.close) // (reach + 1))
    rows = begun(Swing, rows[: _find(bars, mirror, reach, float(equal_tolerance), rows)])
    grade((rows["prominence_atr"],), *PROMINENCE, rows["strength"])
    follow_levels(bars, mirror, rows, rows["known_at"] + max_age)
    return Findings(Swing, rows)


@compiled
def _turns(price: Floats, at: int, reach: int) -> bool:
    for step in range(1, reach + 1):  # noqa: SIM110 - compiled, a generator is not
        if price[at] <= price[at - step] or price[at] < price[at + step]:
            return False
    return True


@compiled
def _add(side: Bars, at: int, known_at: int, before: float, equal_tolerance: float, row: Rows) -> None:
    high, low, reach, atr = side.high[at], side.low, known_at - at, side.atr[known_at]
    row["at"], row["known_at"], row["reach"] = at, known_at, reach
    prominence = high - max(low[at - reach : at].min(), low[at + 1 : known_at + 1].min())
    row["prominence_atr"] = prominence / atr if atr > 0 else 0.0
    if abs(high - before) <= equal_tolerance * atr:
        row["label"] = 3
    elif not np.isnan(before):
        row["label"] = 1 if high > before else 2


@compiled
def _find(bars: Bars, mirror: Bars, reach: int, equal_tolerance: float, rows: Rows) -> int:
    count, before_high, before_low = 0, np.nan, np.nan
    highs, lows = bars.high, mirror.high
    for known_at in range(2 * reach, len(highs)):
        at = known_at - reach
        if _turns(highs, at, reach):
            row = rows[count]
            _add(bars, at, known_at, before_high, equal_tolerance, row)
            row["direction"], row["top"], row["bottom"] = -1, highs[at], highs[at]
            before_high = highs[at]
            count += 1
        if _turns(lows, at, reach):
            row = rows[count]
            _add(mirror, at, known_at, before_low, equal_tolerance, row)
            row["direction"], row["top"], row["bottom"] = 1, -lows[at], -lows[at]
            row["label"] += 3 if row["label"] else 0
            before_low = lows[at]
            count += 1
    return count
