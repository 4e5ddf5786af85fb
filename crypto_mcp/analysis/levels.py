"""Support and resistance: prices at which several swings turned."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import NamedTuple

from crypto_mcp.analysis.findings import Findings
from crypto_mcp.analysis.rounding import decimals, significant
from crypto_mcp.analysis.swings import Swing
from crypto_mcp.models.analysis import Level
from crypto_mcp.models.candles import Candles

TOLERANCE_ATR = 0.5
SHOWN = 2


def find_levels(candles: Candles, swings: Findings[Swing], atr: float) -> tuple[list[Level], list[Level]]:
    """Support and resistance, each nearest first: clusters of swing points no wider than half an ATR.

    A level that was a high counts as support once price is above it, and the other way round. Levels touched at
    least twice come before single swing points; at most two a side.
    """
    clusters = _clusters(swings, TOLERANCE_ATR * atr)
    close = float(candles.close[-1])
    below = [cluster for cluster in reversed(clusters) if cluster.price < close]
    above = [cluster for cluster in clusters if cluster.price > close]
    return _shown(candles, below, close), _shown(candles, above, close)


class Cluster(NamedTuple):
    """Swing points at about one price, and the bar of the newest."""

    price: float
    touches: int
    newest: int


def _clusters(swings: Findings[Swing], width: float) -> list[Cluster]:
    """Runs of swing points, sorted by price, that span at most `width`; the cheapest first."""
    points = sorted(zip(swings.rows["top"].tolist(), swings.rows["at"].tolist(), strict=True))
    clusters: list[Cluster] = []
    total, touches, newest, widest = 0.0, 0, 0, math.inf
    for price, at in [*points, (math.inf, 0)]:
        if touches and price > widest:
            clusters.append(Cluster(significant(total / touches), touches, newest))
            touches = 0
        if not touches:
            total, newest, widest = 0.0, at, price + width
        total, touches, newest = total + price, touches + 1, max(newest, at)
    return clusters


def _shown(candles: Candles, nearest: list[Cluster], close: float) -> list[Level]:
    """At most two, the proven before the single ones, nearest first."""
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
