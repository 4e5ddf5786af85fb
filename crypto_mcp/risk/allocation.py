"""Weights by risk: long, adding up to one. Expected returns are not guessed at.

equal_risk: Maillard, Roncalli and Teiletche (2010), by cyclical coordinate descent (Griveau-Billion, Richard and
Roncalli 2013). min_variance: the convex problem as non-negative least squares. hrp: Lopez de Prado (2016), "Building
Diversified Portfolios that Outperform Out of Sample", single linkage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.compiling import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crypto_mcp.models.portfolio import Objective

    Floats = NDArray[np.float64]

_HEAVY = 1e3
"""Weight of the equation that the weights add up to one, against standardised variances."""


def weights(covariance: Floats, objective: Objective) -> Floats:
    """Weights of an objective for a positive definite covariance."""
    return np.asarray(
        {"equal_risk": equal_risk, "min_variance": min_variance, "hrp": hierarchical}[objective](covariance)
    )


def equal_risk(covariance: Floats) -> Floats:
    """Every asset contributes the same to the variance."""
    found = _descend(covariance / np.mean(np.diag(covariance)))
    shares: Floats = found / found.sum()
    return shares


@compiled
def _descend(covariance: Floats) -> Floats:  # pragma: no cover - compiled
    n = covariance.shape[0]
    x = 1.0 / np.sqrt(np.diag(covariance)) / n
    for _ in range(500):
        moved = 0.0
        for i in range(n):
            rest = 0.0
            for j in range(n):
                if j != i:
                    rest += covariance[i, j] * x[j]
            new = (-rest + np.sqrt(rest * rest + 4 * covariance[i, i] / n)) / (2 * covariance[i, i])
            moved = max(moved, abs(new - x[i]) / new)
            x[i] = new
        if moved < 1e-10:
            break
    return np.asarray(x)


def min_variance(covariance: Floats) -> Floats:
    """The least variance that weights of zero or more reach."""
    n = len(covariance)
    root = np.linalg.cholesky(covariance / np.mean(np.diag(covariance)))
    system = np.vstack([root.T, np.full((1, n), _HEAVY)])
    from scipy.optimize import nnls

    found, _ = nnls(system, np.append(np.zeros(n), _HEAVY), maxiter=50 * n)
    return np.asarray(found / found.sum())


def hierarchical(covariance: Floats) -> Floats:
    """Like assets share what their branch is given, branches by inverse variance."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    n = len(covariance)
    if n == 1:
        return np.ones(1)
    deviation = np.sqrt(np.diag(covariance))
    correlation = np.clip(covariance / np.outer(deviation, deviation), -1, 1)
    distance = np.sqrt(np.maximum(0.0, (1 - correlation) / 2))
    np.fill_diagonal(distance, 0.0)
    order = leaves_list(linkage(squareform(distance, checks=False), "single"))
    found = np.ones(n)
    branches = [order]
    while branches:
        branch = branches.pop()
        if len(branch) < 2:
            continue
        left, right = branch[: len(branch) // 2], branch[len(branch) // 2 :]
        share = _cluster_variance(covariance, left), _cluster_variance(covariance, right)
        found[left] *= share[1] / sum(share)
        found[right] *= share[0] / sum(share)
        branches += [left, right]
    return found


def _cluster_variance(covariance: Floats, members: NDArray[np.intp]) -> float:
    part = covariance[np.ix_(members, members)]
    inverse = 1 / np.diag(part)
    inverse /= inverse.sum()
    return float(inverse @ part @ inverse)
