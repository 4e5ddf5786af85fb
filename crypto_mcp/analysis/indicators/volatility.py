"""How far price swings: ranges, bands and realised volatility."""

from __future__ import annotations

import math

import numpy as np

from crypto_mcp.analysis.indicators.spec import (
    Indicator,
    Output,
    Parameter,
    blanked,
    changes,
    exponential,
    length,
    wilder,
)
from crypto_mcp.analysis.ta import talib
from crypto_mcp.analysis.volatility import parkinson, per_year, yang_zhang
from crypto_mcp.models.candles import Candles, Floats

DEVIATIONS = Parameter("deviations", 2.0, 0.1, 10.0)
LAST_20 = length(20, 5)


def _bands(series: Floats, bars: int, deviations: float) -> tuple[Floats, Floats, Floats]:
    upper, middle, lower = talib.BBANDS(series, bars, deviations, deviations)
    return upper, middle, lower


def _band_width(series: Floats, bars: int, deviations: float) -> Floats:
    upper, middle, lower = _bands(series, bars, deviations)
    return 100 * (upper - lower) / np.where(middle == 0, np.nan, middle)


def _band_place(series: Floats, bars: int, deviations: float) -> Floats:
    upper, _, lower = _bands(series, bars, deviations)
    height = upper - lower
    place = (series - lower) / np.where(height > 0, height, np.nan)
    return blanked(place, changes(series), bars - 1)


def _channel(candles: Candles, bars: int, atr: int, multiple: float) -> tuple[Floats, Floats, Floats]:
    upper, middle, lower = talib.KC(candles.high, candles.low, candles.close, bars, atr, multiple)
    return upper, middle, lower


def _donchian(candles: Candles, bars: int) -> tuple[Floats, Floats, Floats]:
    upper, middle, lower = talib.DONCHIAN(candles.high, candles.low, bars)
    return upper, middle, lower


def _squeeze(candles: Candles, bars: int, deviations: float, multiple: float) -> Floats:
    upper, _, lower = _bands(candles.close, bars, deviations)
    high, _, low = _channel(candles, bars, bars, multiple)
    inside = (upper < high) & (lower > low)
    return np.where(np.isnan(upper) | np.isnan(high), np.nan, inside)


def _a_year(sigma: Floats, candles: Candles) -> Floats:
    return 100 * per_year(candles.step) * sigma


def _realised(candles: Candles, bars: int) -> Floats:
    logs = np.log(candles.close)
    returns = np.full(len(logs), np.nan)
    returns[1:] = logs[1:] - logs[:-1]
    return _a_year(talib.STDDEV(returns, bars) * math.sqrt(bars / (bars - 1)), candles)


def _garman_klass(candles: Candles, bars: int) -> Floats:
    ranges, bodies = np.log(candles.high / candles.low), np.log(candles.close / candles.open)
    mean = talib.SMA(0.5 * ranges**2 - (2 * math.log(2) - 1) * bodies**2, bars)
    return _a_year(np.sqrt(np.maximum(mean, 0.0)), candles)


VOLATILITY = (
    Indicator(
        "atr",
        "Average true range: how far a bar usually reaches.",
        (Output("atr", "average true range", "price"),),
        (length(14),),
        lambda candles, bars: talib.ATR(candles.high, candles.low, candles.close, bars),
        lambda _, n: wilder(n) + 1,
        "TA-Lib ATR (Wilder 1978)",
    ),
    Indicator(
        "natr",
        "Average true range as percent of the close.",
        (Output("natr", "normalised average true range", "percent"),),
        (length(14),),
        lambda candles, bars: talib.NATR(candles.high, candles.low, candles.close, bars),
        lambda _, n: wilder(n) + 1,
        "TA-Lib NATR",
    ),
    Indicator(
        "true_range",
        "Range of the bar and of the gap before it.",
        (Output("true_range", "true range", "price"),),
        (),
        lambda candles: talib.TRANGE(candles.high, candles.low, candles.close),
        lambda _: 2,
        "TA-Lib TRANGE (Wilder 1978)",
    ),
    Indicator(
        "stdev",
        "Standard deviation of the last values.",
        (Output("stdev", "standard deviation", "source"),),
        (length(20),),
        talib.STDDEV,
        lambda _, n: n,
        "TA-Lib STDDEV",
        on_series=True,
    ),
    Indicator(
        "bollinger",
        "Mean of the last values, and so many standard deviations above and below it.",
        (
            Output("bb_upper", "upper Bollinger band", "source"),
            Output("bb_middle", "middle Bollinger band", "source"),
            Output("bb_lower", "lower Bollinger band", "source"),
        ),
        (length(20), DEVIATIONS),
        _bands,
        lambda _, n, __: n,
        "TA-Lib BBANDS (John Bollinger)",
        on_series=True,
    ),
    Indicator(
        "bollinger_width",
        "Height of the Bollinger bands as percent of their middle.",
        (Output("bb_width", "width of the Bollinger bands", "percent"),),
        (length(20), DEVIATIONS),
        _band_width,
        lambda _, n, __: n,
        "John Bollinger, Bollinger on Bollinger Bands (2001)",
        on_series=True,
    ),
    Indicator(
        "bollinger_place",
        "Place between the Bollinger bands: 0 on the lower, 1 on the upper.",
        (Output("bb_percent", "%b of the Bollinger bands", "plain"),),
        (length(20), DEVIATIONS),
        _band_place,
        lambda _, n, __: n,
        "John Bollinger, Bollinger on Bollinger Bands (2001)",
        on_series=True,
    ),
    Indicator(
        "keltner",
        "Exponential average of typical prices, and so many average true ranges above and below it.",
        (
            Output("keltner_upper", "upper Keltner channel", "price"),
            Output("keltner_middle", "middle of the Keltner channel", "price"),
            Output("keltner_lower", "lower Keltner channel", "price"),
        ),
        (length(20), length(10, name="atr_length"), Parameter("multiple", 2.0, 0.1, 20.0)),
        _channel,
        lambda _, n, atr, __: max(exponential(n), wilder(atr) + 1),
        "TA-Lib KC (Chester Keltner, Linda Raschke)",
    ),
    Indicator(
        "donchian",
        "Highest high and lowest low of the last bars, this one included.",
        (
            Output("donchian_upper", "upper Donchian channel", "price"),
            Output("donchian_middle", "middle of the Donchian channel", "price"),
            Output("donchian_lower", "lower Donchian channel", "price"),
        ),
        (length(20),),
        _donchian,
        lambda _, n: n,
        "TA-Lib DONCHIAN (Richard Donchian)",
    ),
    Indicator(
        "squeeze",
        "Bollinger bands inside the Keltner channel: volatility is low and may break out.",
        (Output("squeeze", "a squeeze", "flag"),),
        (length(20), DEVIATIONS, Parameter("multiple", 1.5, 0.1, 20.0)),
        _squeeze,
        lambda _, n, *__: wilder(n) + 1,
        "John Carter, Mastering the Trade (2005)",
    ),
    Indicator(
        "realised_volatility",
        "Standard deviation of log returns from close to close, percent a year.",
        (Output("realised_volatility", "realised volatility", "percent"),),
        (LAST_20,),
        _realised,
        lambda _, n: n + 1,
        "sample standard deviation of TA-Lib STDDEV, 365 days a year",
    ),
    Indicator(
        "parkinson_volatility",
        "Volatility from highs and lows, percent a year.",
        (Output("parkinson_volatility", "Parkinson volatility", "percent"),),
        (LAST_20,),
        lambda candles, bars: _a_year(parkinson(candles, bars), candles),
        lambda _, n: n,
        "Parkinson, Journal of Business 53(1), 1980",
    ),
    Indicator(
        "garman_klass_volatility",
        "Volatility from open, high, low and close, percent a year.",
        (Output("garman_klass_volatility", "Garman-Klass volatility", "percent"),),
        (LAST_20,),
        _garman_klass,
        lambda _, n: n,
        "Garman & Klass, Journal of Business 53(1), 1980",
    ),
    Indicator(
        "yang_zhang_volatility",
        "Volatility from open, high, low and close that takes no harm from drift and gaps, percent a year.",
        (Output("yang_zhang_volatility", "Yang-Zhang volatility", "percent"),),
        (LAST_20,),
        lambda candles, bars: _a_year(yang_zhang(candles, bars), candles),
        lambda _, n: n + 1,
        "Yang & Zhang, Journal of Business 73(3), 2000",
    ),
)
