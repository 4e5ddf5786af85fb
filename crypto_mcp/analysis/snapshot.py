"""The newest value of the indicators that traders ask for first."""

from __future__ import annotations

import numpy as np

from crypto_mcp.analysis.indicators import INDICATORS
from crypto_mcp.analysis.rounding import last, significant
from crypto_mcp.analysis.ta import price_unit, talib
from crypto_mcp.models.candles import Candles, Floats

# Those that a summary shows.
USUAL = (
    "rsi_14",
    "macd_histogram",
    "ema_21",
    "ema_50",
    "ema_200",
    "bb_upper",
    "bb_lower",
    "atr_14",
    "adx_14",
    "mfi_14",
    "stoch_k",
    "volume_ratio_20",
)


AT_USUAL_SETTINGS = [(indicator, indicator.values({})) for indicator in INDICATORS.values() if indicator.needs]


def indicator_snapshot(candles: Candles) -> dict[str, float | None]:
    """Name to value at the newest bar, prices in quote asset, standard parameters; None while history is too short."""
    unit = price_unit(candles.close[0])
    high, low, close = candles.high / unit, candles.low / unit, candles.close / unit
    macd, signal, histogram = talib.MACD(close)
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    slow_k, slow_d = talib.STOCH(high, low, close, fastk_period=14, slowk_period=3, slowd_period=3)
    prices = {
        "ema_9": talib.EMA(close, 9),
        "ema_21": talib.EMA(close, 21),
        "ema_50": talib.EMA(close, 50),
        "ema_200": talib.EMA(close, 200),
        "sma_200": talib.SMA(close, 200),
        "macd": macd,
        "macd_signal": signal,
        "macd_histogram": histogram,
        "bb_upper": upper,
        "bb_middle": middle,
        "bb_lower": lower,
        "atr_14": talib.ATR(high, low, close, 14),
    }
    figures = {
        "rsi_14": talib.RSI(close, 14),
        "stoch_k": slow_k,
        "stoch_d": slow_d,
        "mfi_14": talib.MFI(high, low, close, candles.volume, 14),
        "adx_14": talib.ADX(high, low, close, 14),
        "roc_10": talib.ROC(close, 10),
        "volume_ratio_20": _ratio(candles.volume, talib.SMA(candles.volume, 20)),
    }
    newest = {name: last(series[-1:] * unit) for name, series in prices.items()}
    newest |= {name: last(series) for name, series in figures.items()}
    return {name: None if value is None else significant(value) for name, value in newest.items()}


def every_indicator(candles: Candles) -> dict[str, float | None]:
    """The newest value of each output of the table at its usual settings, by the output's name.

    Left out are sums since the first bar: where history begins is no fact of the market.
    """
    newest: dict[str, float | None] = {}
    for indicator, usual in AT_USUAL_SETTINGS:
        for output, values in zip(indicator.outputs, indicator.compute(candles, usual), strict=True):
            value = last(values)
            newest[output.name] = None if value is None else significant(value)
    return newest


def _ratio(series: Floats, to: Floats) -> Floats:
    ratio: Floats = np.divide(series, to, out=np.full(len(series), np.nan), where=to > 0)
    return ratio
