"""The dealing range: where price is between the last swing high and low, and where a retracement is worth entering.

The range of a bar spans the highest high and lowest low since the older of the newest known swing high and swing low.
Its upper half is premium, its lower half discount. The optimal trade entry (OTE) lies where price has retraced 62 to
79 % of the way between the extremes, counted from the later one (Michael Huddleston's "Inner Circle Trader" lessons).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from crypto_mcp.analysis.findings import Direction, Findings, Rows
from crypto_mcp.analysis.kernels import Bars
from crypto_mcp.analysis.measures import Measures
from crypto_mcp.analysis.swings import Swing
from crypto_mcp.compiling import compiled
from crypto_mcp.models.candles import Floats, Ints

OTE_FROM, OTE_TO = 0.62, 0.79

Place = Literal["premium", "equilibrium", "discount"]


@dataclass(frozen=True, slots=True)
class DealingRange:
    """The dealing range at one bar; prices in quote asset.

    Attributes:
        bar: at whose close it is read.
        top, bottom: its bounds, on bars `top_at` and `bottom_at`.
        direction: bullish when the top came later, so that a retracement is one to buy.
        position: of the close, 0 at the bottom, 1 at the top.
        place: premium above the middle, discount below it.
        ote_high, ote_low: bounds of the optimal trade entry.
        in_ote: whether the close lies there.
    """

    bar: int
    top: float
    bottom: float
    top_at: int
    bottom_at: int
    direction: Direction
    position: float
    place: Place
    ote_high: float
    ote_low: float
    in_ote: bool


@dataclass(frozen=True, slots=True, eq=False)
class DealingRanges:
    """The dealing range at the close of every bar; NaN and -1 before a swing high and a swing low are known."""

    top: Floats
    bottom: Floats
    top_at: Ints
    bottom_at: Ints

    def position(self, close: Floats) -> Floats:
        """Of each close in its range, 0 at the bottom, 1 at the top, one half where the range has no height."""
        height = self.top - self.bottom
        return np.where(height > 0, (close - self.bottom) / np.where(height > 0, height, 1.0), height + 0.5)

    def at(self, bar: int, close: Floats) -> DealingRange | None:
        """The range read at one bar; None while there is none."""
        if self.top_at[bar] < 0:
            return None
        top, bottom, price = float(self.top[bar]), float(self.bottom[bar]), float(close[bar])
        rising = self.top_at[bar] > self.bottom_at[bar]
        start, way = (top, bottom - top) if rising else (bottom, top - bottom)
        bounds = sorted((start + OTE_FROM * way, start + OTE_TO * way))
        position = (price - bottom) / (top - bottom) if top > bottom else 0.5
        return DealingRange(
            bar=bar,
            top=top,
            bottom=bottom,
            top_at=int(self.top_at[bar]),
            bottom_at=int(self.bottom_at[bar]),
            direction="bullish" if rising else "bearish",
            position=position,
            place="premium" if position > 0.5 else "discount" if position < 0.5 else "equilibrium",
            ote_low=bounds[0],
            ote_high=bounds[1],
            in_ote=bounds[0] <= price <= bounds[1],
        )


def find_dealing_ranges(measures: Measures, swings: Findings[Swing]) -> DealingRanges:
    """The dealing range of every bar, from the swings of external structure."""
    return DealingRanges(*_follow(measures.bars, swings.rows))


@compiled
def _follow(bars: Bars, swings: Rows) -> tuple[Floats, Floats, Ints, Ints]:
    count = len(bars.close)
    top, bottom, top_at, bottom_at = (
        np.full(count, np.nan),
        np.full(count, np.nan),
        np.full(count, -1),
        np.full(count, -1),
    )
    newest_high, newest_low = -1, -1  # bars of the newest swing high and swing low
    begin, following, highest, lowest = -1, 0, 0, 0
    for bar in range(count):
        while following < len(swings) and swings[following]["known_at"] <= bar:
            swing = swings[following]
            newest_high = swing["at"] if swing["direction"] < 0 else newest_high
            newest_low = swing["at"] if swing["direction"] > 0 else newest_low
            following += 1
        older, unseen_from = min(newest_high, newest_low), bar
        if older < 0:
            continue
        if older != begin:
            begin = highest = lowest = unseen_from = older
        for unseen in range(unseen_from, bar + 1):
            highest = unseen if bars.high[unseen] > bars.high[highest] else highest
            lowest = unseen if bars.low[unseen] < bars.low[lowest] else lowest
        top[bar], bottom[bar], top_at[bar], bottom_at[bar] = bars.high[highest], bars.low[lowest], highest, lowest
    return top, bottom, top_at, bottom_at
