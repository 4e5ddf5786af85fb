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
from crypto_mcp.models.candles import Floats, Ints

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
def _turns(price: Floats, reach: int) -> Ints:
    """Bars whose price none of the `reach` before came up to, and none of the `reach` after passed."""
    turns, count, at = np.empty(len(price) // (reach + 1) + 1, dtype=np.int64), 0, reach
    while at < len(price) - reach:
        after = 1
        while after <= reach and price[at] >= price[at + after]:
            after += 1
        if after > reach:
            before = 1
            while before <= reach and price[at] > price[at - before]:
                before += 1
            if before > reach:
                turns[count] = at
                count += 1
        # None of the bars that did not pass this one is a turn itself.
        at += after
    return turns[:count]


@compiled
def _lowest(low: Floats, begin: int, end: int) -> float:
    lowest: float = low[begin]
    for bar in range(begin + 1, end):
        lowest = min(lowest, low[bar])
    return lowest


@compiled
def _add(side: Bars, at: int, reach: int, before: float, equal_tolerance: float, row: Rows) -> None:
    high, low, known_at = side.high[at], side.low, at + reach
    atr = side.atr[known_at]
    row["at"], row["known_at"], row["reach"] = at, known_at, reach
    prominence = high - max(_lowest(low, at - reach, at), _lowest(low, at + 1, known_at + 1))
    row["prominence_atr"] = prominence / atr if atr > 0 else 0.0
    if abs(high - before) <= equal_tolerance * atr:
        row["label"] = 3
    elif not np.isnan(before):
        row["label"] = 1 if high > before else 2


@compiled
def _find(bars: Bars, mirror: Bars, reach: int, equal_tolerance: float, rows: Rows) -> int:
    before_high, before_low, high, low = np.nan, np.nan, 0, 0
    highs, lows = _turns(bars.high, reach), _turns(mirror.high, reach)
    for row in rows[: len(highs) + len(lows)]:
        # Of one bar that is both, the high comes first.
        if low == len(lows) or (high < len(highs) and highs[high] <= lows[low]):
            at = highs[high]
            _add(bars, at, reach, before_high, equal_tolerance, row)
            before_high = bars.high[at]
            row["direction"], row["top"], row["bottom"] = -1, before_high, before_high
            high += 1
        else:
            at = lows[low]
            _add(mirror, at, reach, before_low, equal_tolerance, row)
            before_low = mirror.high[at]
            row["direction"], row["top"], row["bottom"] = 1, -before_low, -before_low
            row["label"] += 3 if row["label"] else 0
            low += 1
    return high + low
