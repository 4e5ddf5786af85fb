"""Covariances and correlations that can be inverted and believed: Ledoit and Wolf's shrinkage."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Shrunk(NamedTuple):
    """A covariance matrix, and the weight (0 to 1) its target has in it."""

    covariance: Floats
    intensity: float

    @property
    def correlation(self) -> Floats:
        """The same as correlations."""
        deviation = np.sqrt(np.diag(self.covariance))
        safe = np.where(deviation > 0, deviation, 1.0)
        matrix = self.covariance / np.outer(safe, safe)
        np.fill_diagonal(matrix, 1.0)
        return np.asarray(np.clip(matrix, -1.0, 1.0))


def ledoit_wolf(returns: Floats) -> Shrunk:
    """Covariance of returns (bars by assets), shrunk to the one with a single common correlation.

    Ledoit, O. and Wolf, M. (2004), "Honey, I Shrunk the Sample Covariance Matrix", J. of Portfolio Management 30(4),
    appendix B; the sample covariance divides by the number of bars.
    """
    bars, assets = returns.shape
    x = returns - returns.mean(axis=0)
    sample = x.T @ x / bars
    if assets == 1:
        return Shrunk(sample, 0.0)
    deviation = np.sqrt(np.diag(sample))
    safe = np.where(deviation > 0, deviation, 1.0)
    common = ((sample / np.outer(safe, safe)).sum() - assets) / (assets * (assets - 1))
    target = common * np.outer(deviation, deviation)
    np.fill_diagonal(target, np.diag(sample))
    square = x**2
    spread = square.T @ square / bars - sample**2
    ratio = np.outer(1 / safe, deviation)
    cubes = (x**3).T @ x / bars - np.diag(sample)[:, np.newaxis] * sample
    cross = cubes * ratio
    np.fill_diagonal(cross, 0.0)
    rho = np.diag(spread).sum() + common * cross.sum()
    distance = ((target - sample) ** 2).sum()
    intensity = 1.0 if distance <= 0 else float(np.clip((spread.sum() - rho) / distance / bars, 0.0, 1.0))
    return Shrunk(intensity * target + (1 - intensity) * sample, intensity)
