"""What every finder measures by: ranges and volume against their usual size, taken once for all of them."""

from __future__ import annotations

from dataclasses import dataclass

from crypto_mcp.analysis.kernels import Bars, average_true_range, mirrored, plain, volume_scores
from crypto_mcp.analysis.registry import causal
from crypto_mcp.models.candles import Candles, Floats

ATR_PERIOD = 14
LONG_ATR_PERIOD = 100
VOLUME_WINDOW = 50


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """Series of one value a bar, each from that bar and earlier ones.

    Attributes:
        candles: the bars they are of.
        bars: prices, volume, `atr` (average true range over 14 bars, quote asset) and `volume_z` (volume in standard
            deviations from the mean of the 50 bars before, -10 to 10).
        mirror: the same with prices turned upside down.
        long_atr: average true range over 100 bars; atr / long_atr is the volatility regime.
        relative_volume: volume over the mean of the 50 bars before.
    """

    candles: Candles
    bars: Bars
    mirror: Bars
    long_atr: Floats
    relative_volume: Floats


@causal("measure")
def measure(candles: Candles) -> Measures:
    """The measures of these bars."""
    high, low, close, volume = plain(candles.high), plain(candles.low), plain(candles.close), plain(candles.volume)
    score, ratio = volume_scores(volume, VOLUME_WINDOW)
    atr = average_true_range(high, low, close, ATR_PERIOD)
    bars = Bars(plain(candles.open), high, low, close, volume, atr, score)
    return Measures(
        candles=candles,
        bars=bars,
        mirror=mirrored(bars),
        long_atr=average_true_range(high, low, close, LONG_ATR_PERIOD),
        relative_volume=ratio,
    )
