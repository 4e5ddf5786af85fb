"""Moving averages, and lines that follow price."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from crypto_mcp.analysis.indicators.spec import (
    Indicator,
    Output,
    Parameter,
    blanked,
    exponential,
    length,
    memory,
    wilder,
)
from crypto_mcp.analysis.ta import talib
from crypto_mcp.models.candles import Candles, Floats

# A following line starts anywhere and falls in with that of the whole history after some turns. Longest seen from
# 1,350 starts on six symbols and generated series: SAR 11 bars over its acceleration; Supertrend, beyond the memory of
# its true range, 70 bars a multiple.
SAR_FALLS_IN, SUPERTREND_FALLS_IN = 20, 100


def _average(
    name: str, label: str, summary: str, function: Callable[..., Any], needs: Callable[..., int], default: int = 20
) -> Indicator:
    source = f"TA-Lib {name.upper()}"
    return Indicator(
        name, summary, (Output(name, label, "source"),), (length(default),), function, needs, source, on_series=True
    )


def _vwma(candles: Candles, bars: int) -> Floats:
    return blanked(talib.VWMA(candles.close, candles.volume, bars), candles.volume > 0, bars)


def _rolling_vwap(candles: Candles, bars: int) -> Floats:
    typical = (candles.high + candles.low + candles.close) / 3
    return blanked(talib.VWMA(typical, candles.volume, bars), candles.volume > 0, bars)


def _kama_needs(_: int, bars: int) -> int:
    # Its weight depends on the path; this is the smallest, for a path that leads nowhere.
    return bars + memory((2 / 31) ** 2)


def _supertrend(candles: Candles, bars: int, multiple: float) -> tuple[Floats, Floats]:
    line, trend = talib.SUPERTREND(candles.high, candles.low, candles.close, bars, multiple)
    return line, np.where(np.isnan(line), np.nan, trend)


def _ichimoku(
    candles: Candles, conversion: int, base: int, span: int, displacement: int
) -> tuple[Floats, Floats, Floats, Floats]:
    tenkan, kijun = _middle(candles, conversion), _middle(candles, base)
    leading = (_delayed((tenkan + kijun) / 2, displacement), _delayed(_middle(candles, span), displacement))
    return tenkan, kijun, *leading


def _middle(candles: Candles, bars: int) -> Floats:
    return (talib.MAX(candles.high, bars) + talib.MIN(candles.low, bars)) / 2


def _delayed(series: Floats, bars: int) -> Floats:
    delayed = np.full(len(series), np.nan)
    delayed[bars:] = series[: max(0, len(series) - bars)]
    return delayed


AVERAGES = (
    _average("sma", "simple moving average", "Mean of the last values.", talib.SMA, lambda _, n: n),
    _average(
        "ema",
        "exponential moving average",
        "Average that weighs the newest values most.",
        talib.EMA,
        lambda _, n: exponential(n),
    ),
    _average("wma", "weighted moving average", "Average with weights that fall in a line.", talib.WMA, lambda _, n: n),
    _average(
        "rma",
        "Wilder's moving average",
        "Exponential average of weight 1/length, as in RSI and ATR.",
        talib.RMA,
        lambda _, n: wilder(n),
    ),
    _average(
        "dema",
        "double exponential moving average",
        "Exponential average with half of its lag taken off.",
        talib.DEMA,
        lambda _, n: exponential(n, 2),
    ),
    _average(
        "tema",
        "triple exponential moving average",
        "Exponential average with most of its lag taken off.",
        talib.TEMA,
        lambda _, n: exponential(n, 3),
    ),
    _average(
        "trima",
        "triangular moving average",
        "Average that weighs the middle of its window most.",
        talib.TRIMA,
        lambda _, n: n,
    ),
    _average(
        "zlema",
        "zero-lag exponential moving average",
        "Exponential average of the series plus its change over half the window.",
        talib.ZLEMA,
        lambda _, n: exponential(n) + n,
    ),
    _average(
        "hma",
        "Hull moving average",
        "Smooth and fast: weighted averages of weighted averages.",
        talib.HMA,
        lambda _, n: n + int(n**0.5) + 1,
    ),
    _average(
        "kama",
        "Kaufman's adaptive moving average",
        "Follows fast in a trend, slowly in noise.",
        talib.KAMA,
        _kama_needs,
        10,
    ),
    Indicator(
        "vwma",
        "Mean of the last closes, weighted by volume.",
        (Output("vwma", "volume-weighted moving average", "price"),),
        (length(20),),
        _vwma,
        lambda _, n: n,
        "TA-Lib VWMA",
    ),
    Indicator(
        "rolling_vwap",
        "Average price paid over the last bars: typical prices weighted by volume.",
        (Output("rolling_vwap", "rolling volume-weighted average price", "price"),),
        (length(24),),
        _rolling_vwap,
        lambda _, n: n,
        "TA-Lib VWMA of (high + low + close) / 3",
    ),
    Indicator(
        "linreg",
        "End of the regression line through the last values.",
        (Output("linreg", "regression line", "source"),),
        (length(14),),
        talib.LINEARREG,
        lambda _, n: n,
        "TA-Lib LINEARREG",
        on_series=True,
    ),
    Indicator(
        "tsf",
        "Regression line carried on by one bar.",
        (Output("tsf", "time series forecast", "source"),),
        (length(14),),
        talib.TSF,
        lambda _, n: n,
        "TA-Lib TSF",
        on_series=True,
    ),
    Indicator(
        "sar",
        "Stop and reverse: a stop that follows price ever faster.",
        (Output("sar", "parabolic SAR", "price"),),
        (Parameter("acceleration", 0.02, 0.01, 1.0), Parameter("maximum", 0.2, 0.02, 1.0)),
        lambda candles, acceleration, maximum: talib.SAR(candles.high, candles.low, acceleration, maximum),
        lambda _, acceleration, __: int(SAR_FALLS_IN / acceleration),
        "TA-Lib SAR (Wilder 1978)",
    ),
    Indicator(
        "supertrend",
        "A band of true range around price that only moves with the trend; price beyond it turns the trend.",
        (
            Output("supertrend", "Supertrend", "price"),
            Output("supertrend_direction", "direction of Supertrend (1 up, -1 down)", "plain"),
        ),
        (length(10), Parameter("multiple", 3.0, 0.1, 10.0)),
        _supertrend,
        lambda _, n, multiple: wilder(n) + int(SUPERTREND_FALLS_IN * multiple),
        "TA-Lib SUPERTREND (Olivier Seban)",
    ),
    Indicator(
        "ichimoku",
        "Middles of ranges. The cloud at a bar is the one drawn for it 26 bars before; the lagging span is no value at "
        "a bar: compare close with close[26].",
        (
            Output("tenkan", "Ichimoku conversion line", "price"),
            Output("kijun", "Ichimoku base line", "price"),
            Output("senkou_a", "leading span A of the Ichimoku cloud", "price"),
            Output("senkou_b", "leading span B of the Ichimoku cloud", "price"),
        ),
        (
            length(9, name="conversion"),
            length(26, name="base"),
            length(52, name="span"),
            length(26, low=1, name="displacement"),
        ),
        _ichimoku,
        lambda _, conversion, base, span, displacement: max(conversion, base, span) + displacement,
        "Goichi Hosoda, Ichimoku Kinko Hyo (1969)",
    ),
    Indicator(
        "heikin_ashi",
        "Candles of averages: open is the middle of the body before, close the mean of the bar's four prices.",
        (
            Output("ha_open", "Heikin-Ashi open", "price"),
            Output("ha_high", "Heikin-Ashi high", "price"),
            Output("ha_low", "Heikin-Ashi low", "price"),
            Output("ha_close", "Heikin-Ashi close", "price"),
        ),
        (),
        lambda candles: talib.HA(candles.open, candles.high, candles.low, candles.close),
        lambda _: memory(0.5),
        "TA-Lib HA",
    ),
)
