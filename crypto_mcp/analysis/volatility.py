"""Realised volatility from open, high, low and close, and the class it falls into.

Yang, D. & Zhang, Q. (2000), Drift-independent volatility estimation based on high, low, open, and close prices,
Journal of Business 73(3). Parkinson, M. (1980), The extreme value method for estimating the variance of the rate of
return, Journal of Business 53(1).
"""

from __future__ import annotations

import math

import numpy as np

from crypto_mcp.analysis.registry import causal
from crypto_mcp.analysis.rounding import decimals, significant
from crypto_mcp.analysis.ta import price_unit, talib
from crypto_mcp.models.analysis import Volatility, VolatilityReading
from crypto_mcp.models.candles import Candles, Floats

WINDOW = 20
YEAR_MS = 365 * 24 * 3_600_000

# Percentile of the present volatility among its own history at which each class begins.
HIGH_FROM, EXTREME_FROM, LOW_BELOW = 75.0, 95.0, 25.0


@causal("yang_zhang", {}, {"window": 2})
def yang_zhang(candles: Candles, window: int = WINDOW) -> Floats:
    """Standard deviation of the log return of one bar, over `window` bars; NaN for the first `window`.

    Independent of drift and of gaps between bars, with about an eighth of the variance of close-to-close estimates.
    """
    log_open, log_close = np.log(candles.open), np.log(candles.close)
    to_high, to_low = np.log(candles.high) - log_open, np.log(candles.low) - log_open
    body = log_close - log_open
    gap = np.full(len(candles), np.nan)
    gap[1:] = log_open[1:] - log_close[:-1]
    within = to_high * (to_high - body) + to_low * (to_low - body)  # Rogers & Satchell (1991)
    within[:1] = np.nan
    weight = 0.34 / (1.34 + (window + 1) / (window - 1))
    unbiased = window / (window - 1)
    variance = (
        unbiased * talib.VAR(gap, window, 1.0)
        + weight * unbiased * _variance(body, window)
        + (1 - weight) * talib.SMA(within, window)
    )
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)), dtype=np.float64)


def _variance(series: Floats, window: int) -> Floats:
    rolling: Floats = talib.VAR(series, window, 1.0)
    return rolling


@causal("parkinson", {}, {"window": 2})
def parkinson(candles: Candles, window: int = WINDOW) -> Floats:
    """Standard deviation of the log return of one bar from highs and lows, over `window` bars; NaN before."""
    ranges = np.log(candles.high / candles.low) ** 2
    mean: Floats = talib.SMA(ranges, window)
    return np.asarray(np.sqrt(np.maximum(mean, 0.0) / (4 * math.log(2))), dtype=np.float64)


def average_true_range(candles: Candles, window: int = 14) -> float:
    """ATR at the newest bar, quote asset (Wilder 1978)."""
    unit = price_unit(candles.close[0])
    return float(talib.ATR(candles.high / unit, candles.low / unit, candles.close / unit, window)[-1]) * unit


def per_year(step: int) -> float:
    """Factor from the volatility of a bar of `step` milliseconds to that of a year of 365 days."""
    return math.sqrt(YEAR_MS / step)


def percentile_of_last(series: Floats) -> float:
    """Share of the finite values below the newest, ties counted half, 0 to 100; 50 for a constant series."""
    known = series[np.isfinite(series)]
    newest = known[-1]
    return float(100 * (np.count_nonzero(known < newest) + np.count_nonzero(known <= newest)) / (2 * len(known)))


def volatility_class(percentile: float, sigma: float) -> Volatility:
    """`low` below its 25th percentile, `high` from the 75th, `extreme` from the 95th; no movement at all is `low`."""
    if sigma <= 0 or percentile < LOW_BELOW:
        return "low"
    if percentile < HIGH_FROM:
        return "moderate"
    return "high" if percentile < EXTREME_FROM else "extreme"


def read_volatility(candles: Candles, sigma: Floats, atr: float) -> VolatilityReading:
    """The figures behind the class, from `yang_zhang(candles)` and the present average true range."""
    factor = 100 * per_year(candles.step)
    return VolatilityReading(
        annual_percent=significant(sigma[-1] * factor, 4),
        percentile=decimals(percentile_of_last(sigma), 1),
        parkinson_percent=significant(parkinson(candles)[-1] * factor, 4),
        atr=significant(atr, 5),
        atr_percent=significant(100 * atr / candles.close[-1], 4),
    )
