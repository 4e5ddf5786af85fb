"""Where price is going: over several horizons, by slope, moving averages, directional movement and swings."""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

import numpy as np

from crypto_mcp.analysis.rounding import clipped, decimals
from crypto_mcp.analysis.ta import talib
from crypto_mcp.models.analysis import Trend, TrendHorizon, TrendReading
from crypto_mcp.models.candles import Candles, Floats

# Bars of the regression, fast and slow moving average, share of the trend value.
HORIZONS = ((20, 9, 21, 0.2), (50, 21, 50, 0.25), (90, 50, 100, 0.25))
_AVERAGES = sorted({bars for _, fast, slow, _ in HORIZONS for bars in (fast, slow)})
MOVEMENT_SHARE, SWINGS_SHARE = 0.15, 0.15
PLAIN_FROM, STRONG_FROM = 0.2, 0.6

Swings = Literal["rising", "falling", "mixed"]
_SWING_VALUE: dict[Swings, float] = {"rising": 1.0, "falling": -1.0, "mixed": 0.0}


def slope_z(log_price: Floats, window: int) -> float:
    """Regression slope of the last `window` log prices, in standard errors of a random walk without drift.

    The usual t-statistic of a regression on time calls most random walks a trend, for its residuals are not
    independent. The slope of a walk with steps of standard deviation s has the variance
    s^2 * 6 (n^2 + 1) / (5 n (n^2 - 1)) (limit: Durlauf & Phillips 1988, Econometrica 56(6)); s is taken as the root
    mean square of the last `window` returns, so the figure stays finite on a straight line, and is 0 where price
    does not move. Needs more than `window` prices.
    """
    recent = log_price[-window - 1 :]
    returns = recent[1:] - recent[:-1]
    step = math.sqrt(float(returns @ returns) / window)
    if step < 1e-10:
        return 0.0
    places = _centred(window)
    slope = float(places @ recent[1:]) / (window * (window**2 - 1) / 12)
    return slope / (step * math.sqrt(6 * (window**2 + 1) / (5 * window * (window**2 - 1))))


@cache
def _centred(window: int) -> Floats:
    return np.arange(window, dtype=np.float64) - (window - 1) / 2


def _averages_vote(close: float, fast: float, slow: float) -> float:
    """1 for price above fast above slow, -1 for the mirror image, a third for price and one of them only."""
    return (_sign(close - fast) + _sign(fast - slow) + _sign(close - slow)) / 3


def _sign(value: float) -> int:
    return int(value > 0) - int(value < 0)


def read_horizon(close: Floats, window: int, fast: int, slow: int) -> TrendHorizon:
    """The trend over the last `window` bars; there must be more of them, and no fewer than `slow`."""
    return _read_horizon(close, window, _average(close, fast), _average(close, slow))


def _average(close: Floats, bars: int) -> float:
    return float(talib.EMA(close, bars)[-1])


def _read_horizon(close: Floats, window: int, fast: float, slow: float) -> TrendHorizon:
    z = slope_z(np.log(close[-window - 1 :]), window)
    now, before = float(close[-1]), float(close[-1 - window])
    vote = _averages_vote(now, fast, slow)
    return TrendHorizon(
        bars=window,
        change_percent=decimals(100 * (now / before - 1)),
        slope_z=decimals(z),
        direction=decimals((clipped(z / 2) + vote) / 2, 3),
    )


def movement(candles: Candles, window: int = 14) -> tuple[float, float]:
    """ADX and the balance of directional movement, (DI+ - DI-) / (DI+ + DI-), at the newest bar (Wilder 1978)."""
    bars = candles.high, candles.low, candles.close
    up, down = float(talib.PLUS_DI(*bars, window)[-1]), float(talib.MINUS_DI(*bars, window)[-1])
    total = up + down
    return float(talib.ADX(*bars, window)[-1]), (up - down) / total if total > 0 else 0.0


def swing_direction(highs: Floats, lows: Floats) -> Swings:
    """Higher high and higher low of the last two swings: `rising`; both lower: `falling`."""
    if len(highs) < 2 or len(lows) < 2:
        return "mixed"
    steps = _sign(highs[-1] - highs[-2]), _sign(lows[-1] - lows[-2])
    if steps == (1, 1):
        return "rising"
    return "falling" if steps == (-1, -1) else "mixed"


def read_trend(candles: Candles, swings: Swings) -> TrendReading:
    """All horizons and their weighted mean: horizons 70 %, directional movement (scaled by ADX) 15 %, swings 15 %."""
    close = candles.close
    averages = {bars: _average(close, bars) for bars in _AVERAGES}
    horizons = [_read_horizon(close, window, averages[fast], averages[slow]) for window, fast, slow, _ in HORIZONS]
    adx, balance = movement(candles)
    value = sum(share * horizon.direction for (*_, share), horizon in zip(HORIZONS, horizons, strict=True))
    value += MOVEMENT_SHARE * clipped(balance * adx / 15) + SWINGS_SHARE * _SWING_VALUE[swings]
    return TrendReading(value=decimals(value, 3), horizons=horizons, adx=decimals(adx, 1), swings=swings)


def trend_class(value: float) -> Trend:
    """`neutral` within 0.2 of zero, `*_strong` from 0.6 on."""
    if abs(value) < PLAIN_FROM:
        return "neutral"
    if value > 0:
        return "bullish_strong" if value >= STRONG_FROM else "bullish"
    return "bearish_strong" if value <= -STRONG_FROM else "bearish"
