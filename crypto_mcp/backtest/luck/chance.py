"""How often the best of all tries would look this good by chance.

The tries of a search are near copies of each other, so that 1,000 of them are not 1,000 independent ones. White's
reality check (Econometrica 68(5), 2000) asks the data how many they are: the trials' returns, freed of their means,
are drawn anew together, and the best of the redrawn trials is compared with the best that was found. Here the draw is
a multiplier bootstrap over equal parts of the data (Chernozhukov, Chetverikov & Kato 2013), which keeps dependence
within a part and across trials, and the trials are compared in standard errors (Hansen 2005).

What is judged is timing: a trial's returns less what holding as much of the market on average would have brought
(Jensen 1968). Otherwise whoever is long in a rising market would be called skilled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from crypto_mcp.backtest.luck.trials import TrialTable
    from crypto_mcp.models.candles import Floats

DRAWS = 2000
"""Redrawn searches; the smallest chance that can be told is one in as many."""

_CHUNK = 2048


def chance_of_best(table: TrialTable, best_z: float, *, seed: int = 1) -> float:
    """Share of redrawn searches without any edge whose best trial is at least `best_z` standard errors above 0."""
    traded = np.flatnonzero(table.squares.sum(axis=1) > 0)
    weights = np.random.default_rng(seed).standard_normal((DRAWS, table.sums.shape[1])).astype(np.float32)
    best = np.full(DRAWS, -np.inf, dtype=np.float32)
    for start in range(0, len(traded), _CHUNK):
        rows = traded[start : start + _CHUNK]
        sums = table.sums[rows] - np.outer(table.beta[rows], table.market_sums).astype(np.float32)
        centred = sums - sums.mean(axis=1, keepdims=True)
        length = np.sqrt(np.square(centred).sum(axis=1, keepdims=True))
        np.divide(centred, length, out=centred, where=length > 0)
        best = np.maximum(best, (weights @ centred.T).max(axis=1))
    return float((np.count_nonzero(best >= best_z) + 1) / (DRAWS + 1))


def charged(chance: float, trials: int, earlier: int) -> float:
    """The chance when `earlier` tries on the same data were made before these, of the same kind.

    With r times as many tries in all as here, it is one minus the chance that none of r (1 + ln r) such searches does
    as well (Šidák 1967). The logarithm is for who looks after every job and stops at the first good verdict: without
    it his false discoveries would add up like 1 + 1/2 + 1/3 + ...
    """
    times = 1 + earlier / max(trials, 1)
    return -math.expm1(math.log1p(-min(chance, 1 - 1e-12)) * times * (1 + math.log(times)))


def timing(returns: Floats, market: Floats) -> Floats:
    """Bar returns less those of holding, throughout, as much of the market as on average (by regression)."""
    centred = market - np.mean(market)
    variance = float(centred @ centred)
    if variance <= 0:
        return returns
    rest: Floats = returns - float(returns @ centred) / variance * market
    return rest
