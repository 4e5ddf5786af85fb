"""Support and resistance: prices at which several swings turned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import talib

from crypto_mcp.analysis.rounding import decimals, significant
from crypto_mcp.models.analysis import Level
from crypto_mcp.models.candles import Candles, Floats, Ints

STRENGTH = 5
TOLERANCE_ATR = 0.5
SHOWN = 3


@dataclass(frozen=True, slots=True)
class SwingPoints:
    """Confirmed swing points of one kind, oldest first.

    Attributes:
        at: index of the bar that is the extreme.
        price: its high or low.
    """

    at: Ints
    price: Floats


def swing_points(candles: Candles, strength: int = STRENGTH) -> tuple[SwingPoints, SwingPoints]:
    """Highs not exceeded and lows not undercut by `strength` bars on either side; known `strength` bars later.

    Of equal extremes within reach of each other the oldest counts.
    """
    span = 2 * strength + 1
    return (
        _turns(candles.high, talib.MAX(candles.high, span), span, strength),
        _turns(candles.low, talib.MIN(candles.low, span), span, strength),
    )


def _turns(extremes: Floats, furthest: Floats, span: int, strength: int) -> SwingPoints:
    known_at = np.arange(span - 1, len(extremes))
    centre = known_at - strength
    is_turn = extremes[centre] == furthest[known_at]
    at = centre[is_turn].astype(np.int64)
    if len(at):
        repeated = (np.diff(at, prepend=-span) <= strength) & (
            extremes[at] == np.concatenate(([np.nan], extremes[at][:-1]))
        )
        at = at[~repeated]
    return SwingPoints(at, extremes[at])


def find_levels(candles: Candles, highs: SwingPoints, lows: SwingPoints, atr: float) -> tuple[list[Level], list[Level]]:
    """Support and resistance, each nearest first: clusters of swing points no wider than half an ATR.

    A level that was a high counts as support once price is above it, and the other way round. Levels touched at
    least twice come before single swing points; at most three a side.
    """
    at = np.concatenate((highs.at, lows.at))
    prices = np.concatenate((highs.price, lows.price))
    order = np.argsort(prices, kind="stable")
    clusters = _clusters(prices[order], at[order], TOLERANCE_ATR * atr)
    close = float(candles.close[-1])
    levels = [_level(candles, price, touches, newest, close) for price, touches, newest in clusters]
    return _nearest([x for x in levels if x.level < close]), _nearest([x for x in levels if x.level > close])


def _clusters(prices: Floats, at: Ints, width: float) -> list[tuple[float, int, int]]:
    """(mean price, swings, newest bar) of each run of sorted prices that spans at most `width`."""
    clusters = []
    begin = 0
    while begin < len(prices):
        end = int(np.searchsorted(prices, prices[begin] + width, side="right"))
        clusters.append((float(prices[begin:end].mean()), end - begin, int(at[begin:end].max())))
        begin = end
    return clusters


def _level(candles: Candles, price: float, touches: int, newest: int, close: float) -> Level:
    return Level(
        level=significant(price),
        touches=touches,
        distance_percent=decimals(100 * (price / close - 1)),
        last_touch=datetime.fromtimestamp(int(candles.open_time[newest]) / 1000, UTC),
    )


def _nearest(levels: list[Level]) -> list[Level]:
    nearest = sorted(levels, key=lambda level: abs(level.distance_percent))
    proven = [level for level in nearest if level.touches > 1]
    single = [level for level in nearest if level.touches == 1]
    return sorted((proven + single)[:SHOWN], key=lambda level: abs(level.distance_percent))
