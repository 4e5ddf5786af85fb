"""A day simulated many times: returns of all assets together, with fat tails that come together.

A multivariate Student t: normal draws with the assets' correlations, divided by one chi-square for all, so that
bad days are bad everywhere (Embrechts, McNeil and Straumann 2002 on why normal dependence is not enough). Seeded.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PATHS = 50_000
_BLOCK = 10_000
_LEAST_FREEDOM, _MOST_FREEDOM = 3.0, 30.0


class Simulated(NamedTuple):
    """Losses of the whole in the unit of the exposures: VaR and ES at 95 and 99 %, and the worst path."""

    var_95: float
    es_95: float
    var_99: float
    es_99: float
    worst: float
    freedom: float


def tail_freedom(returns: Floats) -> float:
    """Degrees of freedom whose kurtosis is the assets' median: excess = 6 / (freedom - 4), from 3 to 30."""
    z = returns - returns.mean(axis=0)
    variance = np.maximum((z**2).mean(axis=0), 1e-300)
    excess = float(np.median((z**4).mean(axis=0) / variance**2)) - 3
    return _MOST_FREEDOM if excess <= 6 / (_MOST_FREEDOM - 4) else max(_LEAST_FREEDOM, 4 + 6 / excess)


def simulate(
    covariance: Floats, exposures: Floats, freedom: float, *, seed: int, paths: int = PATHS, days: int = 1
) -> Simulated:
    """Losses over `days` days of exposures whose daily logarithmic returns have this covariance and tails."""
    root = np.linalg.cholesky(covariance + 1e-12 * np.mean(np.diag(covariance)) * np.eye(len(covariance)))
    scale = math.sqrt((freedom - 2) / freedom)
    root32, held = (root.T * scale).astype(np.float32), exposures.astype(np.float32)
    rng = np.random.Generator(np.random.SFC64(seed))
    losses = np.empty(paths)
    for start in range(0, paths, _BLOCK):
        size = min(_BLOCK, paths - start)
        moves = np.zeros((size, len(exposures)), dtype=np.float32)
        for _ in range(days):
            normal = rng.standard_normal((size, len(exposures)), dtype=np.float32)
            shared = np.sqrt(freedom / rng.chisquare(freedom, size)).astype(np.float32)
            moves += (normal @ root32) * shared[:, np.newaxis]
        losses[start : start + size] = -(np.expm1(moves) @ held)
    return _tails(losses, freedom)


def _tails(losses: Floats, freedom: float) -> Simulated:
    five, one = (max(1, round(len(losses) * share)) for share in (0.05, 0.01))
    worst = np.sort(np.partition(losses, len(losses) - five)[-five:])
    return Simulated(
        float(worst[0]),
        float(worst.mean()),
        float(worst[-one]),
        float(worst[-one:].mean()),
        float(worst[-1]),
        freedom,
    )
