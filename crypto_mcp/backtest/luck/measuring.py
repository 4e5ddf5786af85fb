"""One pass over an equity curve, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crypto_mcp.compiling import compiled
from crypto_mcp.models.candles import Floats, Ints

Floats32 = NDArray[np.float32]


@compiled
def measure(
    equity: Floats, start: float, market: Floats, edges: Ints, figures: Floats, sums: Floats32, squares: Floats32
) -> None:
    """Figures of one equity curve: total return, maximum drawdown, Sharpe, Sortino, skewness, kurtosis (per bar), and
    the mean product of its returns with those of the market.

    Fills `figures` (7), `sums` (a bucket each) and `squares` (a block each). Sharpe divides by the standard deviation
    of a sample (n - 1), Sortino by the root of the mean squared loss. An account that is worth nothing earns nothing.
    """
    bars = len(equity)
    a_block = (len(edges) - 1) // len(squares)
    before, peak, drawdown, low_mark = start, start, 0.0, start
    one, two, three, four, down, both = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    sums[:] = 0.0
    squares[:] = 0.0
    for bucket in range(len(edges) - 1):
        bucket_sum, bucket_square = 0.0, 0.0
        for bar in range(edges[bucket], edges[bucket + 1]):
            value = equity[bar]
            if value == before:
                continue
            change = (value - before) / before if before > 0.0 else 0.0
            before = value
            square = change * change
            bucket_sum += change
            bucket_square += square
            three += square * change
            four += square * square
            both += change * market[bar]
            loss = min(change, 0.0)
            down += loss * loss
            if value < low_mark:
                drawdown = 1.0 - value / peak
                low_mark = value
            elif value > peak:
                peak = value
                low_mark = peak * (1.0 - drawdown)
        sums[bucket] = bucket_sum
        squares[bucket // a_block] += bucket_square
        one += bucket_sum
        two += bucket_square
    figures[0] = equity[bars - 1] / start - 1.0
    figures[1] = drawdown
    figures[2:6] = np.nan
    figures[6] = both / bars
    mean = one / bars
    variance = two / bars - mean * mean
    if bars > 1 and variance > 1e-14 * (two / bars + 1e-300) and variance > 1e-30:
        spread = np.sqrt(variance)
        figures[2] = mean / (spread * np.sqrt(bars / (bars - 1.0)))
        figures[4] = (three / bars - 3.0 * mean * two / bars + 2.0 * mean**3) / spread**3
        figures[5] = (four / bars - 4.0 * mean * three / bars + 6.0 * mean * mean * two / bars - 3.0 * mean**4) / (
            variance * variance
        )
    if down > 0.0:
        figures[3] = mean / np.sqrt(down / bars)
