"""Probability of backtest overfitting by combinatorially symmetric cross-validation.

Source: Bailey, Borwein, López de Prado & Zhu, The Probability of Backtest Overfitting, Journal of Computational
Finance 20(4), 2017. The data are cut into 16 blocks. For every half of them the best trial in that half is looked up
in the other half; overfitting is how often it ranks below the median there. Trials are compared by Sharpe ratio.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.backtest.luck.trials import BLOCKS, bucket_edges
from crypto_mcp.compiling import compiled

if TYPE_CHECKING:
    from crypto_mcp.backtest.luck.trials import TrialTable
    from crypto_mcp.models.candles import Floats, Ints

LEAST_TRIALS = 10
"""With fewer a rank among them says nothing."""

_EVALUATIONS = 8_000_000


def probability_of_overfitting(table: TrialTable) -> float | None:
    """Share of the splits whose best trial in sample ranks at or below the median out of sample, 0 to 1.

    All 12,870 splits of up to about 600 trials; of more trials an evenly spaced choice of the splits, at least 400 (a
    standard error below 0.025). None with fewer than ten trials that traded.
    """
    traded = np.flatnonzero(table.squares.sum(axis=1) > 0)
    if len(traded) < LEAST_TRIALS:
        return None
    sums = table.sums[traded].astype(np.float64).reshape(len(traded), BLOCKS, -1).sum(axis=2)
    squares = table.squares[traded].astype(np.float64)
    edges = bucket_edges(table.bars)
    lengths = np.diff(edges[:: (len(edges) - 1) // BLOCKS]).astype(np.float64)
    halves = np.array(list(combinations(range(BLOCKS), BLOCKS // 2)), dtype=np.int64)
    few = max(400, _EVALUATIONS // len(traded))
    if few < len(halves):
        halves = halves[np.linspace(0, len(halves) - 1, few).round().astype(np.int64)]
    ranks = np.empty(len(halves))
    _rank(sums.T.copy(), squares.T.copy(), lengths, halves, sums.sum(axis=1), squares.sum(axis=1), ranks)
    return float(np.mean(ranks <= 0.5))


@compiled
def _rank(
    sums: Floats,
    squares: Floats,
    lengths: Floats,
    halves: Ints,
    total_sum: Floats,
    total_square: Floats,
    ranks: Floats,
) -> None:
    """Fills `ranks`, for every half: the relative rank out of sample, within 0..1, of the best in sample.

    `sums` and `squares` are (blocks, trials). Equals count half. A trial that does not vary has a ratio of 0.
    """
    trials = sums.shape[1]
    one = np.empty(trials)
    two = np.empty(trials)
    for split in range(len(halves)):
        length, rest = 0.0, 0.0
        for trial in range(trials):
            one[trial], two[trial] = 0.0, 0.0
        for block in range(len(lengths)):
            rest += lengths[block]
        for place in range(halves.shape[1]):
            block = halves[split, place]
            length += lengths[block]
            for trial in range(trials):
                one[trial] += sums[block, trial]
                two[trial] += squares[block, trial]
        best, best_ratio = 0, -np.inf
        rest -= length
        for trial in range(trials):
            inside = one[trial] * abs(one[trial]) / max(two[trial] * length - one[trial] ** 2, 1e-18)
            if inside > best_ratio:
                best, best_ratio = trial, inside
            outside = total_sum[trial] - one[trial]
            spread = max((total_square[trial] - two[trial]) * rest - outside**2, 1e-18)
            one[trial] = outside * abs(outside) / spread
        mark = one[best]
        below = 0.0
        for trial in range(trials):
            below += 1.0 if one[trial] < mark else 0.5 if one[trial] == mark else 0.0
        ranks[split] = (below + 0.5) / (trials + 1)
