"""What each factor of the score reads from the bars, from -1 (bearish) to 1 (bullish)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import talib

from crypto_mcp.analysis.levels import SwingPoints
from crypto_mcp.analysis.resample import resample
from crypto_mcp.analysis.rounding import clipped
from crypto_mcp.analysis.score import Reading
from crypto_mcp.analysis.sentiment import money_flow
from crypto_mcp.analysis.trend import read_horizon
from crypto_mcp.models.analysis import TrendReading
from crypto_mcp.models.candles import Candles

HIGHER = 4


def trend_factor(trend: TrendReading) -> Reading:
    """The trend value as it is."""
    directions = ", ".join(f"{horizon.change_percent:+.1f} % in {horizon.bars}" for horizon in trend.horizons)
    return Reading(
        "trend",
        trend.value,
        "-1 to 1",
        trend.value,
        f"{_direction(trend.value)} trend ({directions} bars), ADX {trend.adx:.0f}",
    )


def structure_factor(
    candles: Candles, trend: TrendReading, highs: SwingPoints, lows: SwingPoints, atr: float
) -> Reading:
    """Half from the order of swings, half from a close beyond the last swing."""
    close = float(candles.close[-1])
    direction = {"rising": 0.5, "falling": -0.5, "mixed": 0.0}[trend.swings]
    words = {"rising": "higher highs and higher lows", "falling": "lower highs and lower lows", "mixed": "mixed swings"}
    high = float(highs.price[-1]) if len(highs.price) else float(candles.high.max())
    low = float(lows.price[-1]) if len(lows.price) else float(candles.low.min())
    text = f"{words[trend.swings]}; between the last swing low {low:.6g} and high {high:.6g}"
    if close > high:
        direction, text = direction + 0.5, f"{words[trend.swings]}; closed above the last swing high {high:.6g}"
    elif close < low:
        direction, text = direction - 0.5, f"{words[trend.swings]}; closed below the last swing low {low:.6g}"
    middle = (close - (high + low) / 2) / atr if atr > 0 else 0.0
    return Reading("structure", middle, "ATR from the middle of the last swings", clipped(direction), text)


def zones_factor(candles: Candles, levels: Sequence[float]) -> Reading:
    """Near support is bullish, near resistance bearish; the bars' own extremes stand in where a side has no level."""
    close = float(candles.close[-1])
    below = max((level for level in levels if level < close), default=float(candles.low.min()))
    above = min((level for level in levels if level > close), default=float(candles.high.max()))
    place = (close - below) / (above - below) if above > below else 0.5
    words = f"{100 * place:.0f} % of the way from support {below:.6g} to resistance {above:.6g}"
    return Reading("zones", 100 * place, "%", clipped(1 - 2 * place), words)


def momentum_factor(candles: Candles, atr: float) -> Reading:
    """Half from RSI around 50 (full at 25 and 75), half from the MACD histogram (full at a quarter of an ATR)."""
    unit = float(2.0 ** np.round(np.log2(candles.close[0])))
    close = candles.close / unit
    rsi = float(talib.RSI(close, 14)[-1]) if np.ptp(close[-100:]) > 0 else 50.0
    histogram = float(talib.MACD(close)[2][-1]) * unit
    push = clipped(4 * histogram / atr) if atr > 0 else 0.0
    words = f"RSI {rsi:.0f}, MACD {'above' if histogram >= 0 else 'below'} its signal"
    return Reading("momentum", rsi, "RSI", (clipped((rsi - 50) / 25) + push) / 2, words)


def volume_factor(candles: Candles) -> Reading:
    """Chaikin money flow over 20 bars, full at 0.25."""
    flow = money_flow(candles)
    usual = float(candles.volume[-21:-1].mean())
    ratio = float(candles.volume[-1]) / usual if usual > 0 else 1.0
    words = f"money flow {flow:+.2f}; last bar's volume {ratio:.1f} times the usual"
    return Reading("volume", flow, "Chaikin money flow", clipped(4 * flow), words)


def volatility_factor(candles: Candles, atr: float) -> Reading:
    """Ranges that widen count for the side price moves to, ranges that narrow for none."""
    ranges = candles.high - candles.low
    recent, usual = float(ranges[-5:].mean()), float(ranges[-50:].mean())
    ratio = recent / usual if usual > 0 else 1.0
    moved = float(candles.close[-1] - candles.close[-6])
    side = clipped(moved / (2 * atr)) if atr > 0 else 0.0
    words = f"last 5 ranges {ratio:.2f} times those of 50 bars, price {'up' if moved >= 0 else 'down'}"
    return Reading("volatility", ratio, "times usual range", clipped(max(0.0, ratio - 1) * 2) * side, words)


def higher_timeframe_factor(candles: Candles) -> Reading:
    """Direction over the last 20 bars four times as long."""
    longer = resample(candles, HIGHER)
    horizon = read_horizon(longer.close, 20, 9, 21)
    words = f"{_direction(horizon.direction)} on bars {HIGHER} times as long ({horizon.change_percent:+.1f} % in 20)"
    return Reading("higher_timeframe", horizon.slope_z, "standard errors of slope", horizon.direction, words)


def _direction(value: float) -> str:
    if abs(value) < 0.2:
        return "no clear"
    strength = "strong " if abs(value) >= 0.6 else ""
    return f"{strength}{'up' if value > 0 else 'down'}"
