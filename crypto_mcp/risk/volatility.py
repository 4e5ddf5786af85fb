"""Volatility that changes: what a day's returns say of the next day's.

EWMA: J.P. Morgan/Reuters, RiskMetrics Technical Document, 4th ed. (1996), decay 0.94 for daily returns.
GARCH(1,1): Bollerslev (1986), fitted by Gaussian quasi-maximum likelihood with the variance targeted to the sample's
(Francq, Horvath and Zakoian 2011).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.compiling import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DECAY = 0.94

_FIRST = 30
"""Returns whose mean square starts the recursion."""

_NEAR, _FLAT, _TRIES = 1e-2, 1e-4, 400
"""When the search for a likelihood ends: corners that near, losses that alike, or so many tries."""


def ewma_volatility(returns: Floats, decay: float = DECAY) -> Floats:
    """Forecast of each return's standard deviation from those before it, and one for the next: length n + 1."""
    start = float(np.mean(returns[:_FIRST] ** 2))
    return np.sqrt(_recursion(returns, start, 0.0, 1 - decay, decay))


def garch_volatility(returns: Floats) -> Floats:
    """As `ewma_volatility`, by a GARCH(1,1) fitted to these returns."""
    variance = float(np.mean(returns**2))
    if variance <= 0:
        return np.zeros(len(returns) + 1)

    alpha, beta = _fitted(np.ascontiguousarray(returns), variance)
    return np.sqrt(_recursion(returns, variance, variance * (1 - alpha - beta), alpha, beta))


@compiled
def _fitted(returns: Floats, variance: float) -> tuple[float, float]:  # pragma: no cover - compiled
    """alpha and beta of the greatest likelihood, by Nelder and Mead (1965): as scipy's `minimize`, step for step."""
    corners = np.array(((-2.5, 2.0), (-2.5 * 1.05, 2.0), (-2.5, 2.0 * 1.05)))
    losses = np.array([_loss(returns, variance, corner) for corner in corners])
    tries = len(corners)
    while True:
        order = np.argsort(losses, kind="mergesort")
        corners, losses = corners[order], losses[order]
        if (np.abs(corners[1:] - corners[0]).max() <= _NEAR and losses[2] - losses[0] <= _FLAT) or tries >= _TRIES:
            return _inside(corners[0])
        middle, worst = (corners[0] + corners[1]) / 2, corners[2]
        point = 2 * middle - worst
        loss = _loss(returns, variance, point)
        tries += 1
        if loss < losses[0]:
            further = 3 * middle - 2 * worst
            other = _loss(returns, variance, further)
            tries += 1
            if other < loss:
                point, loss = further, other
        elif loss >= losses[1]:
            outside = loss < losses[2]
            nearer = 1.5 * middle - 0.5 * worst if outside else 0.5 * middle + 0.5 * worst
            other = _loss(returns, variance, nearer)
            tries += 1
            if (outside and other > loss) or (not outside and other >= losses[2]):
                for i in (1, 2):
                    corners[i] = corners[0] + 0.5 * (corners[i] - corners[0])
                    losses[i] = _loss(returns, variance, corners[i])
                tries += 2
                continue
            point, loss = nearer, other
        corners[2], losses[2] = point, loss


@compiled
def _loss(returns: Floats, variance: float, raw: Floats) -> float:  # pragma: no cover - compiled
    alpha, beta = _inside(raw)
    return _negative_likelihood(returns, variance, variance * (1 - alpha - beta), alpha, beta)


@compiled
def _inside(raw: Floats) -> tuple[float, float]:  # pragma: no cover - compiled
    """Any two numbers as alpha, beta above 0 with a sum below 0.999."""
    a = 1 / (1 + math.exp(-min(max(raw[0], -30.0), 30.0)))
    persistence = 0.999 * (1 / (1 + math.exp(-min(max(raw[1], -30.0), 30.0))))
    return persistence * a, persistence * (1 - a)


@compiled
def _recursion(
    returns: Floats, start: float, omega: float, alpha: float, beta: float
) -> Floats:  # pragma: no cover - compiled
    variances = np.empty(len(returns) + 1)
    variances[0] = start
    for t in range(len(returns)):
        variances[t + 1] = omega + alpha * returns[t] ** 2 + beta * variances[t]
    return variances


@compiled
def _negative_likelihood(
    returns: Floats, start: float, omega: float, alpha: float, beta: float
) -> float:  # pragma: no cover - compiled
    variance, total = start, 0.0
    for t in range(len(returns)):
        total += math.log(variance) + returns[t] ** 2 / variance
        variance = omega + alpha * returns[t] ** 2 + beta * variance
    return total
