"""What decides: the factors and the score at the newest bar, against what the past left behind."""

from __future__ import annotations

from dataclasses import dataclass

from crypto_mcp.analysis import factors as read
from crypto_mcp.analysis.landscape import Landscape
from crypto_mcp.analysis.regime import movement_features, movement_probabilities
from crypto_mcp.analysis.score import Reading, blended_weights, score_of
from crypto_mcp.analysis.trend import read_trend
from crypto_mcp.analysis.volatility import average_true_range
from crypto_mcp.models.analysis import Movement, TrendReading
from crypto_mcp.models.candles import Candles


@dataclass(frozen=True, slots=True)
class Verdict:
    """The score with all that it is made of.

    Attributes:
        atr: average true range of 14 bars, quote asset.
        movement: probability of trend, range and breakout.
        readings: one a factor.
        weights: share of each factor by name.
        score: 0 to 10.
    """

    atr: float
    trend: TrendReading
    movement: dict[Movement, float]
    readings: list[Reading]
    weights: dict[str, float]
    score: float


def judge(candles: Candles, landscape: Landscape, higher_timeframe: Reading | None = None) -> Verdict:
    """The score at the newest bar in a landscape known by then.

    `higher_timeframe` is that reading, where it is known to be the same as a bar before.
    """
    bar, close = len(candles) - 1, float(candles.close[-1])
    atr = average_true_range(candles)
    trend = read_trend(candles, landscape.swings)
    movement = movement_probabilities(movement_features(candles, atr, trend.adx))
    readings = [
        read.trend_factor(trend),
        read.structure_factor(bar, close, landscape),
        read.zones_factor(close, atr, landscape),
        read.momentum_factor(candles, atr),
        read.volume_factor(candles),
        read.volatility_factor(candles, atr),
        higher_timeframe or read.higher_timeframe_factor(candles),
    ]
    weights = blended_weights(movement)
    return Verdict(atr, trend, movement, readings, weights, score_of(readings, weights))
