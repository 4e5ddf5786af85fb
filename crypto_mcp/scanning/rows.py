"""A match as a row of the answer: levels, the last day, a picture of the closes."""

from __future__ import annotations

import numpy as np

from crypto_mcp.analysis.landscape import Zone, survey
from crypto_mcp.analysis.rounding import decimals, significant
from crypto_mcp.models.analysis import Detail
from crypto_mcp.models.candles import Candles, Floats
from crypto_mcp.models.scans import KeyLevels, ScanRow
from crypto_mcp.scanning.matching import Match

DAY = 86_400_000
SPARK_BARS = 16
_BARS = "▁▂▃▄▅▆▇█"
_FACTS_IN_SUMMARY = 3
_LEAST_FOR_LEVELS = 50


def row_of(match: Match, candles: Candles, detail: Detail) -> ScanRow:
    """What a reader needs to judge the match."""
    price, closes = float(candles.close[-1]), candles.close[-SPARK_BARS:]
    return ScanRow(
        symbol=match.symbol,
        side=match.side,
        score=match.score,
        price=significant(price),
        change_percent=_change(candles),
        volume=significant(day_volume(candles), 3),
        why=list(match.why if detail == "full" else match.why[:_FACTS_IN_SUMMARY]),
        levels=key_levels(candles),
        spark=spark(closes),
        closes=[significant(float(close)) for close in closes] if detail == "full" else None,
    )


def day_volume(candles: Candles) -> float:
    """Volume of the last 24 hours at the closes, quote asset; of longer bars their share of a day."""
    bars = max(1, DAY // candles.step)
    traded = float((candles.close[-bars:] * candles.volume[-bars:]).sum())
    return traded * min(1.0, DAY / candles.step)


def key_levels(candles: Candles) -> KeyLevels:
    """The nearest levels and zones; none where there are fewer than 50 bars."""
    if len(candles) < _LEAST_FOR_LEVELS:
        return KeyLevels()
    landscape, price = survey(candles), float(candles.close[-1])
    return KeyLevels(
        support=significant(landscape.support[0].level) if landscape.support else None,
        resistance=significant(landscape.resistance[0].level) if landscape.resistance else None,
        demand=_nearest([zone for zone in landscape.zones if zone.side > 0], price),
        supply=_nearest([zone for zone in landscape.zones if zone.side < 0], price),
    )


def spark(closes: Floats) -> str:
    """The closes as blocks of eight heights."""
    low, high = float(closes.min()), float(closes.max())
    if high <= low:
        return _BARS[3] * len(closes)
    heights = np.minimum(7, ((closes - low) / (high - low) * 8).astype(np.int64))
    return "".join(_BARS[height] for height in heights)


def _nearest(zones: list[Zone], price: float) -> tuple[float, float] | None:
    if not zones:
        return None
    nearest = min(zones, key=lambda zone: max(zone.bottom - price, price - zone.top, 0.0))
    return significant(nearest.bottom), significant(nearest.top)


def _change(candles: Candles) -> float | None:
    bars = max(1, DAY // candles.step)
    if len(candles) <= bars:
        return None
    return decimals(100 * (float(candles.close[-1]) / float(candles.close[-1 - bars]) - 1))
