"""Divergences: price makes a further swing, the indicator does not follow.

A regular bullish divergence is a lower swing low of price with a higher reading at it than at the swing low before: the
fall has less behind it. A hidden one is a higher low with a lower reading, in a trend that goes on. Bearish ones are
the mirror image at swing highs. A divergence is known when its second swing is, not when the low is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from crypto_mcp.analysis.findings import Finding, Findings, Rows, begun, blank
from crypto_mcp.analysis.kernels import Bars, grade, plain
from crypto_mcp.analysis.measures import measure
from crypto_mcp.analysis.registry import causal
from crypto_mcp.analysis.swings import find_swings
from crypto_mcp.analysis.ta import talib
from crypto_mcp.compiling import compiled
from crypto_mcp.models.candles import Candles, Floats

Gauge = Literal["rsi", "macd", "obv"]
GAUGES: tuple[Gauge, ...] = ("rsi", "macd", "obv")
REGULAR, HIDDEN = 0, 1
# Bars over which a reading's usual spread is taken, and the part of it that two readings must differ by.
SPREAD_BARS, LEAST = 100, 1e-6
# Half of each part of strength at one ATR between the swings, and at one usual spread between the readings.
HALVES, WEIGHTS = np.array((1.0, 1.0)), np.array((0.5, 0.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence(Finding):
    """Two swings of price and an indicator that disagree. `top` and `bottom` are the prices of the two swings.

    Confidence is 0: how often divergences come true has not been counted.

    Attributes:
        gauge: the indicator, RSI(14), MACD line(12, 26) or OBV.
        kind: `regular` against the trend of the swings, `hidden` with it.
        first_at: bar of the first swing; the second lies at `at`.
        price_atr: distance between the swings' prices in ATR.
        reading_spread: distance between the readings in standard deviations of the last 100.

    States: `broken` when a close passes the second swing: price went on without the indicator.
    """

    STATES: ClassVar[tuple[str, ...]] = ("broken",)
    ENDS: ClassVar[tuple[str, ...]] = ("broken",)
    NAMES: ClassVar[Mapping[str, Mapping[int, str]]] = {
        "gauge": dict(enumerate(GAUGES)),
        "kind": {REGULAR: "regular", HIDDEN: "hidden"},
    }

    gauge: Gauge
    kind: Literal["regular", "hidden"]
    first_at: int
    price_atr: float
    reading_spread: float


@causal("divergences", {}, {"reach": 1, "search": 20})
def find_divergences(candles: Candles, *, reach: int = 3, search: int = 60) -> Findings[Divergence]:
    """Divergences of RSI, MACD and OBV in the order in which they are known.

    Args:
        candles: closed bars.
        reach: strength of the swings, bars on either side.
        search: bars between the two swings at most.
    """
    measures = measure(candles)
    bars, swings = measures.bars, find_swings(measures, reach, 0.0, 1).rows
    readings = talib.RSI(candles.close, 14), talib.MACD(candles.close)[0], talib.OBV(candles.close, candles.volume)
    rows, count = blank(Divergence, len(GAUGES) * len(swings)), 0
    for gauge, reading in enumerate(readings):
        spread = talib.STDDEV(reading, SPREAD_BARS)
        count += _find(bars, swings, gauge, plain(reading), plain(spread), search, rows[count:])
    rows = begun(Divergence, rows.take(np.argsort(rows["known_at"][:count], kind="stable")))
    grade((rows["price_atr"], rows["reading_spread"]), HALVES, WEIGHTS, rows["strength"])
    _follow(bars, rows)
    return Findings(Divergence, rows)


@compiled
def _find(bars: Bars, swings: Rows, gauge: int, reading: Floats, spread: Floats, search: int, rows: Rows) -> int:
    count = 0
    before = np.array((-1, -1))  # rows of the newest swing high and swing low
    for i in range(len(swings)):
        swing, low = swings[i], swings[i]["direction"] > 0
        first, before[1 if low else 0] = before[1 if low else 0], i
        if first < 0 or swing["at"] - swings[first]["at"] > search:
            continue
        at, first_at, side = swing["at"], swings[first]["at"], swing["direction"]
        usual, atr = spread[at], bars.atr[swing["known_at"]]
        if not usual > 0 or not atr > 0:
            continue
        further = (swings[first]["top"] - swing["top"]) * side / atr
        weaker = (reading[at] - reading[first_at]) * side / usual
        if not abs(weaker) > LEAST or further == 0 or (further > 0) != (weaker > 0):
            continue
        row = rows[count]
        count += 1
        row["at"], row["known_at"], row["direction"] = at, swing["known_at"], side
        row["top"] = max(swing["top"], swings[first]["top"])
        row["bottom"] = min(swing["top"], swings[first]["top"])
        row["gauge"], row["kind"], row["first_at"] = gauge, REGULAR if further > 0 else HIDDEN, first_at
        row["price_atr"], row["reading_spread"] = abs(further), abs(weaker)
    return count


@compiled
def _follow(bars: Bars, rows: Rows) -> None:
    for row in rows:
        is_low, at = row["direction"] > 0, row["at"]
        edge = bars.low[at] if is_low else bars.high[at]
        for bar in range(row["known_at"] + 1, len(bars.close)):
            if bars.close[bar] < edge if is_low else bars.close[bar] > edge:
                row["broken_at"] = bar
                break
