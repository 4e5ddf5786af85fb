"""How much of a portfolio is one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def herfindahl(exposures: Floats) -> float:
    """Sum of squared shares of the absolute exposures: 1 for one position, 1 / n for n equal ones."""
    shares = np.abs(exposures) / np.abs(exposures).sum()
    return float(shares @ shares)


class Principal(NamedTuple):
    """Variances of the principal portfolios of a covariance, and their weights (assets by portfolios)."""

    variances: Floats
    weights: Floats


def principal(covariance: Floats) -> Principal:
    """The uncorrelated portfolios that a covariance is made of."""
    values, vectors = np.linalg.eigh(covariance)
    return Principal(np.maximum(values, 0.0), vectors)


def effective_bets(market: Principal, exposures: Floats) -> float:
    """Number of uncorrelated bets: the exponential of the entropy of the variance over principal portfolios.

    Meucci (2009), "Managing Diversification".
    """
    parts = market.variances * (market.weights.T @ exposures) ** 2
    total = float(parts.sum())
    if total <= 0:
        return 1.0
    shares = parts[parts > 1e-12 * total] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def beta(profit: Floats, market: Floats) -> float | None:
    """Slope of profits on a market's returns; None where the market did not move."""
    centred = market - market.mean()
    variance = float(centred @ centred)
    return float(centred @ profit) / variance if variance > 0 else None
