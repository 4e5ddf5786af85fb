"""The share of an account to risk on an edge, and how much of it the uncertainty of that edge leaves.

Kelly, J. L. (1956), "A New Interpretation of Information Rate"; Baker, R. D. and McHale, I. G. (2013), "Optimal Betting
Under Parameter Uncertainty: Improving the Kelly Criterion", Decision Analysis 10(3).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KellyStake:
    """Shares of the account to lose if the stop is hit.

    Attributes:
        full: what maximises growth if the edge were known; 0 if there is none.
        shrunk: `full` times the share that the uncertainty of the win rate leaves.
        stake: `shrunk` times the fraction asked for.
        expectancy: mean gain of a trade in units of what is risked (R).
    """

    full: float
    shrunk: float
    stake: float
    expectancy: float


def kelly_stake(win_rate: float, payoff: float, *, trades: int | None = None, fraction: float = 0.25) -> KellyStake:
    """Kelly for a bet that wins `payoff` R with probability `win_rate` and else loses 1 R.

    full = win_rate - (1 - win_rate) / payoff. The shrinkage is edge^2 / (edge^2 + (payoff + 1)^2 * v) with
    edge = (payoff + 1) * win_rate - 1 and v = win_rate * (1 - win_rate) / trades, the variance of the estimated rate.

    Args:
        trades: how many trades the win rate was counted on; None takes it as known.
    """
    expectancy = (payoff + 1) * win_rate - 1
    full = max(0.0, win_rate - (1 - win_rate) / payoff)
    shrinkage = 1.0
    if trades is not None and expectancy > 0:
        variance = win_rate * (1 - win_rate) / trades
        shrinkage = expectancy**2 / (expectancy**2 + (payoff + 1) ** 2 * variance)
    return KellyStake(full, full * shrinkage, full * shrinkage * fraction, expectancy)
