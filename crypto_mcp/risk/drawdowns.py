"""How deep an account may fall over its next trades: closed form and simulated.

A trade risks the share f of the account: it wins f * payoff with the win rate p, or loses f. Losses compound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.compiling import compiled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PATHS = 4000
"""Simulated accounts; a probability near one half is then known to 0.8 percentage points (one standard error)."""


@dataclass(frozen=True, slots=True)
class Projection:
    """Distribution over simulated accounts after `trades` trades, as shares of the account's start or peak.

    Attributes:
        drawdown: deepest fall from a peak at the 5th, 50th, 75th, 95th and 99th percentile, 0 to 1.
        ending: account over its start at the 5th, 50th and 95th percentile.
        loss_probability: share of accounts that end below their start.
        ruin_probability: share that fell by `ruin_at` from their start at some trade.
        ruin_bound: Lundberg's upper bound of the chance to ever fall so far, whatever the number of trades.
        losing_streak: longest run of losses at the median and the 95th percentile.
    """

    trades: int
    paths: int
    drawdown: dict[int, float]
    ending: dict[int, float]
    loss_probability: float
    ruin_probability: float
    ruin_bound: float
    losing_streak: dict[int, int]


def ruin_bound(win_rate: float, payoff: float, risk: float, ruin_at: float) -> float:
    """Chance to ever lose the share `ruin_at` of the account, from above: (1 - ruin_at) ** theta.

    theta > 0 solves p * (1 + f * payoff) ** -theta + (1 - p) * (1 - f) ** -theta = 1, the adjustment coefficient of
    the logarithm of the account (Lundberg's inequality; Asmussen and Albrecher, Ruin Probabilities, 2nd ed., ch. IV).
    It is exact but for the last trade's overshoot, and for one step a time it is the gambler's ruin ((1-p)/p) ** n.
    Without positive expected growth, ruin is certain: 1.
    """
    if risk >= 1:
        return float(win_rate < 1)
    grown = np.array([math.log1p(risk * payoff), math.log1p(-risk)])
    return _bound(grown, np.array([win_rate, 1 - win_rate]), ruin_at)


def project(
    win_rate: float, payoff: float, risk: float, *, trades: int, ruin_at: float, seed: int, paths: int = PATHS
) -> Projection:
    """Simulates accounts that risk the share `risk` of themselves on each of `trades` trades. Seeded."""
    draws = np.random.default_rng(seed).random((paths, trades), dtype=np.float32) < win_rate
    outcomes = np.where(draws, math.log1p(risk * payoff), math.log1p(-min(risk, 1 - 1e-12)))
    return _summed(outcomes, ruin_at, ruin_bound(win_rate, payoff, risk, ruin_at))


def project_from(
    multiples: Sequence[float], risk: float, *, trades: int, ruin_at: float, seed: int, paths: int = PATHS
) -> Projection:
    """As `project`, with trades drawn (with replacement) from results seen before, in units of R."""
    results = np.asarray(multiples, dtype=np.float64)
    picks = np.random.default_rng(seed).integers(0, len(results), (paths, trades))
    grown = np.log(np.maximum(1 + risk * results, 1e-12))
    return _summed(grown[picks], ruin_at, _bound(grown, np.full(len(grown), 1 / len(grown)), ruin_at))


def _bound(grown: Floats, chance: Floats, ruin_at: float) -> float:
    """Lundberg's bound for one trade's logarithmic growth, given as values with their chances."""
    if grown[chance > 0].min() >= 0:
        return 0.0
    if grown @ chance <= 0:
        return 1.0

    def balance(theta: float) -> float:
        return float(np.exp(-theta * grown) @ chance) - 1

    high = 1.0
    while balance(high) < 0:
        high *= 2
    low = high / 2
    while balance(low) > 0:
        low /= 2
    from scipy.optimize import brentq

    return float((1 - ruin_at) ** brentq(balance, low, high))


def _summed(outcomes: Floats, ruin_at: float, bound: float) -> Projection:
    deepest, lowest, ending, streak = _walk(outcomes)
    cuts = {p: float(v) for p, v in zip((5, 50, 75, 95, 99), np.percentile(deepest, (5, 50, 75, 95, 99)), strict=True)}
    ends = {
        p: float(v)
        for p, v in zip((5, 50, 95), np.exp(np.minimum(np.percentile(ending, (5, 50, 95)), _MOST_GROWTH)), strict=True)
    }
    return Projection(
        trades=outcomes.shape[1],
        paths=outcomes.shape[0],
        drawdown=cuts,
        ending=ends,
        loss_probability=float((ending < 0).mean()),
        ruin_probability=float((lowest <= math.log(max(1 - ruin_at, 1e-12))).mean()),
        ruin_bound=bound,
        losing_streak={p: int(v) for p, v in zip((50, 95), np.percentile(streak, (50, 95)), strict=True)},
    )


# Natural logarithm of the largest multiple of an account that is told; beyond it floats end.
_MOST_GROWTH = 700.0


@compiled
def _walk(outcomes: Floats) -> tuple[Floats, Floats, Floats, Floats]:  # pragma: no cover - compiled
    """Per path: deepest drawdown (share of the peak), lowest and last logarithm of the account, longest losing run."""
    paths, trades = outcomes.shape
    deepest, lowest = np.zeros(paths), np.zeros(paths)
    ending, streak = np.zeros(paths), np.zeros(paths)
    for i in range(paths):
        level, peak, low, worst, run, longest = 0.0, 0.0, 0.0, 0.0, 0, 0
        for t in range(trades):
            step = outcomes[i, t]
            level += step
            peak = max(peak, level)
            low = min(low, level)
            worst = max(worst, peak - level)
            run = run + 1 if step < 0 else 0
            longest = max(longest, run)
        deepest[i] = 1 - math.exp(-worst)
        lowest[i], ending[i], streak[i] = low, level, longest
    return deepest, lowest, ending, streak
