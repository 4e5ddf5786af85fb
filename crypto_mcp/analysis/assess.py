"""The whole assessment of one symbol on one timeframe: candles in, findings out."""

from __future__ import annotations

import numpy as np
import talib

from crypto_mcp.analysis import factors as read
from crypto_mcp.analysis.levels import find_levels, swing_points
from crypto_mcp.analysis.recommendation import recommend
from crypto_mcp.analysis.regime import read_regime
from crypto_mcp.analysis.score import agreement, blended_weights, total, weigh
from crypto_mcp.analysis.sentiment import mood, read_sentiment
from crypto_mcp.analysis.snapshot import indicator_snapshot
from crypto_mcp.analysis.trend import read_trend, swing_direction, trend_class
from crypto_mcp.analysis.volatility import WINDOW, read_volatility, volatility_class, yang_zhang
from crypto_mcp.errors import NotEnoughData
from crypto_mcp.models.analysis import AnalysisSummary, Assessment
from crypto_mcp.models.candles import Candles

LEAST_BARS = 100


def assess(candles: Candles) -> Assessment:
    """Assess the newest of these closed bars.

    Args:
        candles: at least 100 closed bars. What lies before them is not known to the result.

    Raises:
        NotEnoughData: fewer than 100 bars.
        BadCandles: bars that cannot be.
    """
    if len(candles) < LEAST_BARS:
        raise NotEnoughData(
            f"{len(candles)} closed bars, an assessment needs {LEAST_BARS}",
            hint="Choose a shorter timeframe, or a symbol that has traded for longer.",
        )
    candles.validated()
    atr = average_true_range(candles)
    sigma = yang_zhang(candles)
    highs, lows = swing_points(candles)
    trend = read_trend(candles, swing_direction(highs.price, lows.price))
    volatility = read_volatility(candles, sigma, atr)
    regime = read_regime(candles, sigma, WINDOW, atr, trend.adx)
    sentiment = read_sentiment(candles)
    support, resistance = find_levels(candles, highs, lows, atr)
    readings = [
        read.trend_factor(trend),
        read.structure_factor(candles, trend, highs, lows, atr),
        read.zones_factor(candles, support, resistance),
        read.momentum_factor(candles, atr),
        read.volume_factor(candles),
        read.volatility_factor(candles, atr),
        read.higher_timeframe_factor(candles),
    ]
    factors = weigh(readings, blended_weights(regime.movement_probabilities))
    score = total(factors)
    confidence = round(100 * agreement(factors) * min(1.0, abs(score - 5) / 2.5), 1)
    return Assessment(
        price=float(candles.close[-1]),
        analysis=AnalysisSummary(
            trend=trend_class(trend.value),
            volatility=volatility_class(volatility.percentile, volatility.annual_percent),
            confidence=confidence,
            intelligent_score=score,
            sentiment=mood(sentiment.value),
        ),
        recommendation=recommend(score, confidence, factors, regime, volatility, (support, resistance)),
        factors=factors,
        trend=trend,
        volatility=volatility,
        regime=regime,
        sentiment=sentiment,
        support=support,
        resistance=resistance,
        order_blocks=[],
        indicators=indicator_snapshot(candles),
    )


def average_true_range(candles: Candles, window: int = 14) -> float:
    """ATR at the newest bar, quote asset (Wilder 1978)."""
    unit = float(2.0 ** np.round(np.log2(candles.close[0])))
    return float(talib.ATR(candles.high / unit, candles.low / unit, candles.close / unit, window)[-1]) * unit
