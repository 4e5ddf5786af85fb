"""Volume by time: the price paid on average since an anchor, and an approximation of who pressed.

Candles do not say who crossed the spread. `approximate_cvd` therefore estimates the cumulative volume delta by bulk
volume classification: the more a bar rises against the usual move, the more of its volume counts as bought (Easley,
López de Prado & O'Hara, Flow toxicity and liquidity in a high-frequency world, Review of Financial Studies 25(5),
2012; with the normal distribution and an exponentially weighted scale). It is an approximation and named as one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from crypto_mcp.analysis.kernels import plain
from crypto_mcp.analysis.registry import causal
from crypto_mcp.compiling import compiled
from crypto_mcp.models.candles import Candles, Floats

CVD_WINDOW = 50


@dataclass(frozen=True, slots=True, eq=False)
class AnchoredVwap:
    """Volume-weighted average price since a bar, one value a bar, quote asset.

    Attributes:
        anchor: first bar that counts.
        vwap: of typical prices (high + low + close) / 3; NaN before the anchor and until something is traded.
        deviation: volume-weighted standard deviation of typical prices around it; bands are vwap ± k · deviation.
    """

    anchor: int
    vwap: Floats
    deviation: Floats

    def bands(self, deviations: float) -> tuple[Floats, Floats]:
        """Lower and upper band."""
        return self.vwap - deviations * self.deviation, self.vwap + deviations * self.deviation


def anchored_vwap(candles: Candles, anchor: int) -> AnchoredVwap:
    """VWAP from the bar `anchor` on. It is a fair reading only if the anchor was chosen by what was known by then."""
    prices = plain(candles.high), plain(candles.low), plain(candles.close)
    vwap, deviation = _average(*prices, plain(candles.volume), anchor)
    return AnchoredVwap(anchor, vwap, deviation)


@compiled
def _average(high: Floats, low: Floats, close: Floats, volume: Floats, anchor: int) -> tuple[Floats, Floats]:
    vwap, deviation = np.full(len(close), np.nan), np.full(len(close), np.nan)
    total, mean, spread = 0.0, 0.0, 0.0  # weighted incremental variance (West 1979)
    for bar in range(anchor, len(close)):
        if volume[bar] > 0:
            price = (high[bar] + low[bar] + close[bar]) / 3
            total += volume[bar]
            before = mean
            mean += (price - mean) * (volume[bar] / total)
            spread += volume[bar] * (price - before) * (price - mean)
        if total > 0:
            vwap[bar], deviation[bar] = mean, np.sqrt(max(spread, 0.0) / total)
    return vwap, deviation


@causal("approximate_cvd")
def approximate_cvd(candles: Candles) -> Floats:
    """Approximated cumulative volume delta since the first bar, base asset: bought less sold."""
    return _bulk_delta(plain(candles.close), plain(candles.volume), CVD_WINDOW)


@compiled
def _bulk_delta(close: Floats, volume: Floats, window: int) -> Floats:
    cumulative = np.zeros(len(close))
    square = 0.0
    for bar in range(1, len(close)):
        change = close[bar] - close[bar - 1]
        square += (change * change - square) / min(bar, window)
        pressed = math.erf(change / math.sqrt(2 * square)) if square > 0 else 0.0
        cumulative[bar] = cumulative[bar - 1] + volume[bar] * pressed
    return cumulative
