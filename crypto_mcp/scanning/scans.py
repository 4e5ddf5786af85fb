"""The built-in scans, as data: conditions of the language wherever it has the words, so each is an example to copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crypto_mcp.conditions import parse
from crypto_mcp.conditions.measure import parse_number

if TYPE_CHECKING:
    from crypto_mcp.conditions import Condition
    from crypto_mcp.conditions.measure import Measure
    from crypto_mcp.models.scans import Bias, ScanType


@dataclass(frozen=True, slots=True)
class Setup:
    """One side of a scan.

    Attributes:
        side: the way what matches points.
        text: the condition.
        rank: a number of the language, larger where the setup is more pronounced.
        low, high: values of the rank at which the score is 5 and 10.
    """

    side: Bias
    text: str
    rank: str
    low: float
    high: float

    @property
    def condition(self) -> Condition:
        """The condition, parsed once."""
        return parse(self.text)

    @property
    def measure(self) -> Measure:
        """The rank, parsed once."""
        return parse_number(self.rank)


@dataclass(frozen=True, slots=True)
class Scan:
    """A built-in scan: what it looks for in words, what the score measures, and its setups."""

    looks_for: str
    ranked_by: str
    setups: tuple[Setup, ...]


def _both(long: str, short: str, long_rank: str, short_rank: str, low: float, high: float) -> tuple[Setup, Setup]:
    return Setup("long", long, long_rank, low, high), Setup("short", short, short_rank, low, high)


_SQUEEZE = "squeeze() and bb_width() < 0.75 * sma(bb_width(), 100)"

SCANS: dict[ScanType, Scan] = {
    "opportunities": Scan(
        "a pullback into a zone, with the trend of structure, on the cheap side of its range",
        "depth of the pullback in the dealing range",
        _both(
            'structure_trend() == 1 and range_position() < 50% and (in_order_block("demand") or in_fvg("bullish"))',
            'structure_trend() == -1 and range_position() > 50% and (in_order_block("supply") or in_fvg("bearish"))',
            "1 - range_position()",
            "range_position()",
            0.5,
            1.0,
        ),
    ),
    "momentum": Scan(
        "price that has moved for a day, with averages, RSI and MACD on its side",
        "change over 24 bars in average ranges",
        _both(
            "change(close, 24) > 2% and rsi(14) > 55 and ema(20) > ema(50) and macd_histogram() > 0",
            "change(close, 24) < -2% and rsi(14) < 45 and ema(20) < ema(50) and macd_histogram() < 0",
            "(close - close[24]) / atr(14)",
            "(close[24] - close) / atr(14)",
            1,
            12,
        ),
    ),
    "breakout": Scan(
        "a close beyond the range of 48 bars, within the last three, on more volume than usual",
        "distance beyond the range in average ranges",
        _both(
            "within(close > highest(high, 48)[1] and relative_volume() > 1.5, 3) and close > highest(high, 48)[3]",
            "within(close < lowest(low, 48)[1] and relative_volume() > 1.5, 3) and close < lowest(low, 48)[3]",
            "(close - highest(high, 48)[3]) / atr(14)",
            "(lowest(low, 48)[3] - close) / atr(14)",
            0,
            4,
        ),
    ),
    "reversal": Scan(
        "an overdone move that has turned: RSI at an extreme, then a change of character, divergence or engulfing",
        "distance of the close from the extreme of 12 bars in average ranges",
        _both(
            "within(rsi(14) < 30, 12) and close > ema(9) and "
            'within(choch("bullish", "internal") or divergence("rsi", "bullish") '
            'or pattern("engulfing", "bullish"), 6)',
            "within(rsi(14) > 70, 12) and close < ema(9) and "
            'within(choch("bearish", "internal") or divergence("rsi", "bearish") '
            'or pattern("engulfing", "bearish"), 6)',
            "(close - lowest(low, 12)) / atr(14)",
            "(highest(high, 12) - close) / atr(14)",
            0,
            4,
        ),
    ),
    "oversold": Scan("RSI below 30", "points of RSI below 30", (Setup("long", "rsi(14) < 30", "30 - rsi(14)", 0, 15),)),
    "overbought": Scan(
        "RSI above 70", "points of RSI above 70", (Setup("short", "rsi(14) > 70", "rsi(14) - 70", 0, 15),)
    ),
    "volume_spike": Scan(
        "a bar with three times the usual volume",
        "volume over that of the 20 bars before",
        _both(
            "relative_volume() > 3 and close > open",
            "relative_volume() > 3 and close <= open",
            "relative_volume()",
            "relative_volume()",
            3,
            12,
        ),
    ),
    "volatility_squeeze": Scan(
        "Bollinger bands inside the Keltner channel and narrower than usual: a calm that ends in a move, either way",
        "how much narrower the bands are than on average",
        (Setup("neutral", _SQUEEZE, "1 - bb_width() / sma(bb_width(), 100)", 0.25, 0.8),),
    ),
    "order_block_retest": Scan(
        "price back in an order block that no close has broken",
        "how far price came to reach it, in average ranges",
        _both(
            'in_order_block("demand")',
            'in_order_block("supply")',
            "(highest(high, 24) - close) / atr(14)",
            "(close - lowest(low, 24)) / atr(14)",
            1,
            8,
        ),
    ),
    "fvg_open": Scan(
        "price in a fair value gap that is still open",
        "how far price came to reach it, in average ranges",
        _both(
            'in_fvg("bullish")',
            'in_fvg("bearish")',
            "(highest(high, 24) - close) / atr(14)",
            "(close - lowest(low, 24)) / atr(14)",
            1,
            8,
        ),
    ),
    "trend_strength": Scan(
        "a trend that ADX, its directions and a moving average agree on",
        "ADX",
        _both(
            "adx(14) > 25 and plus_di(14) > minus_di(14) and close > ema(50) and rising(ema(50), 3)",
            "adx(14) > 25 and plus_di(14) < minus_di(14) and close < ema(50) and falling(ema(50), 3)",
            "adx(14)",
            "adx(14)",
            25,
            60,
        ),
    ),
    "new_high_low": Scan(
        "the highest high or lowest low of 168 bars",
        "distance from the middle of that range in average ranges",
        _both(
            "high >= highest(high, 168)",
            "low <= lowest(low, 168)",
            "(close - (highest(high, 168) + lowest(low, 168)) / 2) / atr(14)",
            "((highest(high, 168) + lowest(low, 168)) / 2 - close) / atr(14)",
            0,
            16,
        ),
    ),
}

CUSTOM = Scan("what its condition says", "how lately the condition became true", ())
