"""Volatility that changes: what a day's returns say of the next day's.

EWMA: J.P. Morgan/Reuters, RiskMetrics Technical Document, 4th ed. (1996), decay 0.94 for daily returns.
GARCH(1,1): Bollerslev (1986), fitted by Gaussian quasi-maximum likelihood with the variance targeted to the sample's
(Francq, Horvath and Zakoian 2011).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

from crypto_mcp.compiling import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DECAY = 0.94

_FIRST = 30
"""Returns whose mean square starts the recursion."""


def ewma_volatility(returns: Floats, decay: float = DECAY) -> Floats:
    """Forecast of each return's standard deviation from those before it, and one for the next: length n + 1."""
    start = float(np.mean(returns[:_FIRST] ** 2))
    return np.sqrt(_recursion(returns, start, 0.0, 1 - decay, decay))


def garch_volatility(returns: Floats) -> Floats:
    """As `ewma_volatility`, by a GARCH(1,1) fitted to these returns."""
    variance = float(np.mean(returns**2))
    if variance <= 0:
        return np.zeros(len(returns) + 1)

    def loss(raw: Floats) -> float:
        alpha, beta = _inside(raw)
        return float(_negative_likelihood(returns, variance, variance * (1 - alpha - beta), alpha, beta))

    raw = minimize(loss, np.array([-2.5, 2.0]), method="Nelder-Mead", options={"xatol": 1e-2, "fatol": 1e-4}).x
    alpha, beta = _inside(raw)
    return np.sqrt(_recursion(returns, variance, variance * (1 - alpha - beta), alpha, beta))


def _inside(raw: Floats) -> tuple[float, float]:
    """Any two numbers as alpha, beta above 0 with a sum below 0.999."""
    a, b = (1 / (1 + math.exp(-min(max(x, -30.0), 30.0))) for x in raw)
    persistence = 0.999 * b
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
