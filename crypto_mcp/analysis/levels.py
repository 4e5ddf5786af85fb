"""Support and resistance: prices at which several swings turned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

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
    clusters = _clusters(highs, lows, TOLERANCE_ATR * atr)
    close = float(candles.close[-1])
    below = [cluster for cluster in reversed(clusters) if cluster.price < close]
    above = [cluster for cluster in clusters if cluster.price > close]
    return _shown(candles, below, close), _shown(candles, above, close)


class Cluster(NamedTuple):
    """Swing points at about one price, and the bar of the newest."""

    price: float
    touches: int
    newest: int


def _clusters(highs: SwingPoints, lows: SwingPoints, width: float) -> list[Cluster]:
    """Runs of swing points, sorted by price, that span at most `width`; the cheapest first."""
    points = sorted(zip(highs.price.tolist() + lows.price.tolist(), highs.at.tolist() + lows.at.tolist(), strict=True))
    clusters: list[Cluster] = []
    run: list[tuple[float, int]] = []
    for point in [*points, (math.inf, 0)]:
        if run and point[0] > run[0][0] + width:
            mean = significant(sum(price for price, _ in run) / len(run))
            clusters.append(Cluster(mean, len(run), max(at for _, at in run)))
            run = []
        run.append(point)
    return clusters


def _shown(candles: Candles, nearest: list[Cluster], close: float) -> list[Level]:
    """At most three, the proven before the single ones, nearest first."""
    order = {cluster: rank for rank, cluster in enumerate(nearest)}
    chosen = sorted(nearest, key=lambda cluster: (cluster.touches == 1, order[cluster]))[:SHOWN]
    return [
        Level(
            level=cluster.price,
            touches=cluster.touches,
            distance_percent=decimals(100 * (cluster.price / close - 1)),
            last_touch=datetime.fromtimestamp(int(candles.open_time[cluster.newest]) / 1000, UTC),
        )
        for cluster in sorted(chosen, key=lambda cluster: order[cluster])
    ]
