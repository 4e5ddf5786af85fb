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

from crypto_mcp.analysis.findings import NEVER, Finding, Findings, Rows, begun, blank
from crypto_mcp.analysis.kernels import Bars, compiled, follow_levels
from crypto_mcp.analysis.measures import Measures, in_atr, saturating
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
    rows["reach"] = reach
    rows["prominence_atr"] = in_atr(rows["prominence_atr"], bars.atr[rows["known_at"]])
    rows["strength"] = saturating(rows["prominence_atr"], 3.0)
    until = rows["known_at"] + max_age
    follow_levels(bars, mirror, rows, until)
    rows["expired_at"] = np.where((rows["broken_at"] == NEVER) & (until < len(bars.close)), until, NEVER)
    return Findings(Swing, rows)


@compiled
def _turns(price: Floats, at: int, reach: int) -> bool:
    for step in range(1, reach + 1):  # noqa: SIM110 - compiled, a generator is not
        if price[at] <= price[at - step] or price[at] < price[at + step]:
            return False
    return True


@compiled
def _add(high: Floats, low: Floats, at: int, known_at: int, before: float, tolerance: float, row: Rows) -> None:
    row["at"], row["known_at"] = at, known_at
    reach = known_at - at
    row["prominence_atr"] = high[at] - max(low[at - reach : at].min(), low[at + 1 : known_at + 1].min())
    if abs(high[at] - before) <= tolerance:
        row["label"] = 3
    elif not np.isnan(before):
        row["label"] = 1 if high[at] > before else 2


@compiled
def _find(bars: Bars, mirror: Bars, reach: int, equal_tolerance: float, rows: Rows) -> int:
    count, before_high, before_low = 0, np.nan, np.nan
    highs, lows = bars.high, mirror.high
    for known_at in range(2 * reach, len(highs)):
        at = known_at - reach
        tolerance = equal_tolerance * bars.atr[known_at]
        if _turns(highs, at, reach):
            row = rows[count]
            _add(highs, bars.low, at, known_at, before_high, tolerance, row)
            row["direction"], row["top"], row["bottom"] = -1, highs[at], highs[at]
            before_high = highs[at]
            count += 1
        if _turns(lows, at, reach):
            row = rows[count]
            _add(lows, mirror.low, at, known_at, before_low, tolerance, row)
            row["direction"], row["top"], row["bottom"] = 1, -lows[at], -lows[at]
            row["label"] += 3 if row["label"] else 0
            before_low = lows[at]
            count += 1
    return count


def newest_known(swings: Findings[Swing], direction: int, bars: Ints) -> Floats:
    """Price of the newest swing high (direction -1) or low (1) known at each of `bars`; NaN where there is none."""
    rows = swings.rows[swings.rows["direction"] == direction]
    newest: Floats = np.append(np.nan, rows["top"])[np.searchsorted(rows["known_at"], bars, side="right")]
    return newest
