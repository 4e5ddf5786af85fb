"""How far figures would differ had the same kind of market drawn other days.

Stationary bootstrap (Politis & Romano 1994): histories are put together from blocks of real ones, their lengths
geometric around the cube root of the sample, so that what hangs together stays together. A block adds its sums, taken
from running totals; a history of 8,760 bars costs some 400 steps.
"""

from __future__ import annotations

import numpy as np

from crypto_mcp.compiling import compiled
from crypto_mcp.models.backtest_statistics import Interval
from crypto_mcp.models.candles import Floats

HISTORIES = 1000
_SURE = (2.5, 97.5)


def intervals(returns: Floats, bars_per_year: float, *, seed: int = 1) -> dict[str, Interval]:
    """95 % intervals of total return, CAGR, volatility, Sharpe and Sortino; of each that every history has.

    Args:
        returns: simple returns of all bars, above -1.
        bars_per_year: of the data.
        seed: the same seed gives the same intervals.
    """
    bars = len(returns)
    parts = np.stack([returns, returns**2, np.minimum(returns, 0) ** 2, np.log1p(np.maximum(returns, -0.999999))])
    totals = np.zeros((4, bars + 1))
    np.cumsum(parts, axis=1, out=totals[:, 1:])
    sums = np.empty((HISTORIES, 4))
    redraw_sums(totals, mean_block(bars), seed, sums)
    root = np.sqrt(bars_per_year)
    mean = sums[:, 0] / bars
    spread = np.sqrt(np.maximum(sums[:, 1] - bars * mean**2, 0) / (bars - 1))
    down = np.sqrt(np.maximum(sums[:, 2], 0) / bars)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        figures = {
            "total_return": np.expm1(sums[:, 3]),
            "cagr": np.expm1(sums[:, 3] * bars_per_year / bars),
            "volatility": spread * root,
            "sharpe": np.where(spread > 1e-12, mean / spread, np.nan) * root,
            "sortino": np.where(down > 1e-12, mean / down, np.nan) * root,
        }
    return {name: _interval(values) for name, values in figures.items() if np.isfinite(values).all()}


def mean_block(bars: int) -> float:
    """Mean length of a block in bars: the cube root of the sample, the rate of Politis & White (2004)."""
    return max(1.0, float(round(bars ** (1 / 3))))


def _interval(values: Floats) -> Interval:
    low, high = map(float, np.percentile(values, _SURE))
    return Interval(low=low, high=high)


@compiled
def redraw_sums(totals: Floats, block: float, seed: int, sums: Floats) -> None:
    """Fills `sums`, (histories, series), with sums over redrawn histories; `totals` is (series, bars + 1), from 0."""
    np.random.seed(seed)
    bars = totals.shape[1] - 1
    for history in range(len(sums)):
        for series in range(len(totals)):
            sums[history, series] = 0.0
        left = bars
        while left > 0:
            first = np.random.randint(0, bars)
            length = min(np.random.geometric(1.0 / block), left)
            left -= length
            while length > 0:
                piece = min(length, bars - first)
                for series in range(len(totals)):
                    sums[history, series] += totals[series, first + piece] - totals[series, first]
                length -= piece
                first = 0
