"""Oscillators: how fast price moves, which way, and how far it has gone."""

from __future__ import annotations

from typing import Any

import numpy as np

from crypto_mcp.analysis.indicators.spec import (
    Indicator,
    Output,
    blanked,
    changes,
    exponential,
    length,
    memory,
    wilder,
)
from crypto_mcp.analysis.ta import talib
from crypto_mcp.models.candles import Candles, Floats


def _ranges(candles: Candles) -> tuple[Floats, Floats, Floats]:
    return candles.high, candles.low, candles.close


def _moves(candles: Candles) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Where a bar has a range, or lies elsewhere than the one before."""
    return np.asarray((candles.high > candles.low) | changes(candles.close))


def _rsi(series: Floats, bars: int) -> Floats:
    return blanked(talib.RSI(series, bars), changes(series), bars)


def _cmo(series: Floats, bars: int) -> Floats:
    return blanked(talib.CMO(series, bars), changes(series), bars)


def _stochastic(candles: Candles, bars: int, smooth: int, signal: int) -> tuple[Floats, Floats]:
    k, d = talib.STOCH(*_ranges(candles), fastk_period=bars, slowk_period=smooth, slowd_period=signal)
    moves = _moves(candles)
    return blanked(k, moves, bars, smooth - 1), blanked(d, moves, bars, smooth + signal - 2)


def _stochastic_rsi(series: Floats, bars: int, window: int, smooth: int, signal: int) -> tuple[Floats, Floats]:
    rsi = talib.RSI(series, bars)
    lowest, highest = talib.MIN(rsi, window), talib.MAX(rsi, window)
    height = highest - lowest
    # A flat window says nothing; the middle keeps the averages after it alive.
    place = np.where(height > 0, 100 * (rsi - lowest) / np.where(height > 0, height, 1.0), 50.0)
    place[np.isnan(height)] = np.nan
    k = talib.SMA(place, smooth)
    return k, talib.SMA(k, signal)


def _williams(candles: Candles, bars: int) -> Floats:
    return blanked(talib.WILLR(*_ranges(candles), bars), _moves(candles), bars)


def _ultimate(candles: Candles, short: int, middle: int, long: int) -> Floats:
    return blanked(talib.ULTOSC(*_ranges(candles), short, middle, long), _moves(candles), max(short, middle, long))


def _efficiency(series: Floats, bars: int) -> Floats:
    return blanked(talib.ER(series, bars), changes(series), bars)


SLOW = (length(12, name="fast"), length(26, name="slow"))

MOMENTUM = (
    Indicator(
        "rsi",
        "Relative strength: 100 when price only rose, 0 when it only fell.",
        (Output("rsi", "RSI", "plain"),),
        (length(14),),
        _rsi,
        lambda _, n: wilder(n) + 1,
        "TA-Lib RSI (Wilder 1978)",
        on_series=True,
    ),
    Indicator(
        "stochastic",
        "Place of the close between the lowest low and the highest high, 0 to 100, smoothed; and its average.",
        (Output("stoch_k", "stochastic %K", "plain"), Output("stoch_d", "stochastic %D", "plain")),
        (length(14), length(3, 1, "smooth"), length(3, 1, "signal")),
        _stochastic,
        lambda _, n, smooth, signal: n + smooth + signal,
        "TA-Lib STOCH (George Lane)",
    ),
    Indicator(
        "stochastic_rsi",
        "Place of RSI in its own range, 0 to 100, smoothed; and its average.",
        (Output("stochrsi_k", "stochastic RSI %K", "plain"), Output("stochrsi_d", "stochastic RSI %D", "plain")),
        (length(14), length(14, name="window"), length(3, 1, "smooth"), length(3, 1, "signal")),
        _stochastic_rsi,
        lambda _, n, window, smooth, signal: wilder(n) + 1 + window + smooth + signal,
        "Chande & Kroll, The New Technical Trader (1994); RSI of TA-Lib",
        on_series=True,
    ),
    Indicator(
        "macd",
        "Distance of a fast from a slow exponential average, its own average, and the distance from that.",
        (
            Output("macd", "MACD line", "source"),
            Output("macd_signal", "MACD signal line", "source"),
            Output("macd_histogram", "MACD histogram", "source"),
        ),
        (*SLOW, length(9, name="signal")),
        talib.MACD,
        lambda _, fast, slow, signal: exponential(max(fast, slow)) + exponential(signal),
        "TA-Lib MACD (Gerald Appel)",
        on_series=True,
    ),
    Indicator(
        "ppo",
        "MACD line as percent of the slow average.",
        (Output("ppo", "percentage price oscillator", "percent"),),
        SLOW,
        talib.PPO,
        lambda _, fast, slow: exponential(max(fast, slow)),
        "TA-Lib PPO",
        on_series=True,
    ),
    Indicator(
        "apo",
        "Distance of a fast from a slow exponential average.",
        (Output("apo", "absolute price oscillator", "source"),),
        SLOW,
        talib.APO,
        lambda _, fast, slow: exponential(max(fast, slow)),
        "TA-Lib APO",
        on_series=True,
    ),
    Indicator(
        "ao",
        "Distance of a fast from a slow average of the middles of bars.",
        (Output("ao", "awesome oscillator", "price"),),
        (length(5, name="fast"), length(34, name="slow")),
        lambda candles, fast, slow: talib.AO(candles.high, candles.low, fast, slow),
        lambda _, fast, slow: max(fast, slow),
        "TA-Lib AO (Bill Williams)",
    ),
    Indicator(
        "trix",
        "Change of a triple smoothed average, percent a bar.",
        (Output("trix", "TRIX", "percent"),),
        (length(18),),
        talib.TRIX,
        lambda _, n: exponential(n, 3) + 1,
        "TA-Lib TRIX (Jack Hutson)",
        on_series=True,
    ),
    Indicator(
        "tsi",
        "Change smoothed twice over its size smoothed twice, -100 to 100.",
        (Output("tsi", "true strength index", "plain"),),
        (length(25, name="slow"), length(13, name="fast")),
        talib.TSI,
        lambda _, slow, fast: exponential(slow) + exponential(fast) + 1,
        "TA-Lib TSI (William Blau)",
        on_series=True,
    ),
    Indicator(
        "roc",
        "Change over so many bars, percent.",
        (Output("roc", "rate of change", "percent"),),
        (length(10, 1),),
        talib.ROC,
        lambda _, n: n + 1,
        "TA-Lib ROC",
        on_series=True,
    ),
    Indicator(
        "mom",
        "Change over so many bars.",
        (Output("mom", "momentum", "source"),),
        (length(10, 1),),
        talib.MOM,
        lambda _, n: n + 1,
        "TA-Lib MOM",
        on_series=True,
    ),
    Indicator(
        "cmo",
        "Rises less falls over both, -100 to 100.",
        (Output("cmo", "Chande momentum oscillator", "plain"),),
        (length(14),),
        _cmo,
        lambda _, n: wilder(n) + 1,
        "TA-Lib CMO, smoothed as RSI",
        on_series=True,
    ),
    Indicator(
        "cci",
        "Distance of the typical price from its mean, in mean deviations; 100 is far.",
        (Output("cci", "commodity channel index", "plain"),),
        (length(20),),
        lambda candles, bars: talib.CCI(*_ranges(candles), bars),
        lambda _, n: n,
        "TA-Lib CCI (Donald Lambert)",
    ),
    Indicator(
        "willr",
        "Place of the close in the range of the last bars, 0 at the top, -100 at the bottom.",
        (Output("willr", "Williams %R", "plain"),),
        (length(14),),
        _williams,
        lambda _, n: n,
        "TA-Lib WILLR",
    ),
    Indicator(
        "ultosc",
        "Buying pressure over three windows, 0 to 100.",
        (Output("ultosc", "ultimate oscillator", "plain"),),
        (length(7, 1, "short"), length(14, 1, "middle"), length(28, 1, "long")),
        _ultimate,
        lambda _, *windows: max(windows) + 1,
        "TA-Lib ULTOSC (Larry Williams)",
    ),
    Indicator(
        "bop",
        "Body over range of the bar, -1 to 1.",
        (Output("bop", "balance of power", "plain"),),
        (),
        lambda candles: talib.BOP(candles.open, *_ranges(candles)),
        lambda _: 1,
        "TA-Lib BOP (Igor Livshin)",
    ),
    Indicator(
        "adx",
        "How strongly price trends, either way, 0 to 100; above 25 a trend is usual.",
        (Output("adx", "ADX", "plain"),),
        (length(14),),
        lambda candles, bars: talib.ADX(*_ranges(candles), bars),
        lambda _, n: 2 * n + memory(1 / n, 2) + 1,
        "TA-Lib ADX (Wilder 1978)",
    ),
    Indicator(
        "directional",
        "Part of the true range that went up and down, 0 to 100.",
        (Output("plus_di", "+DI", "plain"), Output("minus_di", "-DI", "plain")),
        (length(14),),
        lambda candles, bars: (talib.PLUS_DI(*_ranges(candles), bars), talib.MINUS_DI(*_ranges(candles), bars)),
        lambda _, n: wilder(n) + 1,
        "TA-Lib PLUS_DI, MINUS_DI (Wilder 1978)",
    ),
    Indicator(
        "vortex",
        "Upward and downward movement over true range.",
        (Output("vortex_plus", "Vortex +VI", "plain"), Output("vortex_minus", "Vortex -VI", "plain")),
        (length(14),),
        lambda candles, bars: talib.VORTEX(*_ranges(candles), bars),
        lambda _, n: n + 1,
        "TA-Lib VORTEX (Botes & Siepman 2010)",
    ),
    Indicator(
        "aroon",
        "How recent the highest high and the lowest low are, 100 for now.",
        (Output("aroon_up", "Aroon up", "plain"), Output("aroon_down", "Aroon down", "plain")),
        (length(14),),
        lambda candles, bars: talib.AROON(candles.high, candles.low, bars)[::-1],
        lambda _, n: n + 1,
        "TA-Lib AROON (Tushar Chande)",
    ),
    Indicator(
        "aroon_oscillator",
        "Aroon up less Aroon down.",
        (Output("aroon_oscillator", "Aroon oscillator", "plain"),),
        (length(14),),
        lambda candles, bars: talib.AROONOSC(candles.high, candles.low, bars),
        lambda _, n: n + 1,
        "TA-Lib AROONOSC",
    ),
    Indicator(
        "linreg_slope",
        "Slope of the regression line through the last values, a bar.",
        (Output("linreg_slope", "slope of the regression line", "source"),),
        (length(14),),
        talib.LINEARREG_SLOPE,
        lambda _, n: n,
        "TA-Lib LINEARREG_SLOPE",
        on_series=True,
    ),
    Indicator(
        "efficiency_ratio",
        "Net move over path walked, 0 to 1.",
        (Output("efficiency_ratio", "efficiency ratio", "plain"),),
        (length(10),),
        _efficiency,
        lambda _, n: n + 1,
        "TA-Lib ER (Kaufman, Smarter Trading, 1995)",
        on_series=True,
    ),
)
