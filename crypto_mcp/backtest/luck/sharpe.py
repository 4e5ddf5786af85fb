"""How sure a Sharpe ratio is, and how large the best of many is by chance.

Sources: Bailey & López de Prado, The Sharpe Ratio Efficient Frontier (2012) for the probabilistic ratio and the
minimum track record; the same, The Deflated Sharpe Ratio (2014). Ratios are per bar, unless said otherwise; kurtosis
is that of a normal distribution when 3.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from crypto_mcp.models.candles import Floats

_EULER = 0.5772156649015329
_NORMAL = NormalDist()


class Record(NamedTuple):
    """A track record: its Sharpe ratio per bar, the bars, and the shape of the bars' returns."""

    sharpe: float
    bars: int
    skewness: float
    kurtosis: float


def record_of(returns: Floats) -> Record | None:
    """The record of these returns, (bars); None where they do not vary."""
    spread = float(np.std(returns, ddof=1)) if len(returns) > 2 else 0.0
    if spread <= 1e-12 * (float(np.max(np.abs(returns), initial=0.0)) + 1e-300) or spread < 1e-15:
        return None
    scaled = (returns - np.mean(returns)) / np.std(returns)
    return Record(float(np.mean(returns)) / spread, len(returns), float(np.mean(scaled**3)), float(np.mean(scaled**4)))


def standard_error(record: Record) -> float:
    """Of the estimated ratio, with skewness and kurtosis (Mertens 2002; the papers' denominator over root n - 1)."""
    sharpe = record.sharpe
    variance = 1 - record.skewness * sharpe + (record.kurtosis - 1) / 4 * sharpe**2
    return math.sqrt(max(variance, 1e-12) / (record.bars - 1))


def z_score(record: Record, against: float = 0.0) -> float:
    """The ratio's distance from `against` in standard errors."""
    return (record.sharpe - against) / standard_error(record)


def probabilistic_sharpe_ratio(record: Record, against: float = 0.0) -> float:
    """Probability that the true ratio is above `against`, 0 to 1."""
    return _NORMAL.cdf(z_score(record, against))


def chance_alone(record: Record) -> float:
    """How often a single try without any edge would show at least this ratio, 0 to 1; exact in the far tail."""
    return _NORMAL.cdf(-z_score(record))


def expected_maximum(variance: float, trials: float) -> float:
    """The largest of that many independent estimates of a ratio of 0, expected; `variance` is that of the estimates.

    The deflated Sharpe ratio is the probabilistic one against this. One trial has no best: 0.
    """
    if trials <= 1:
        return 0.0
    first = _NORMAL.inv_cdf(1 - 1 / trials)
    second = _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * ((1 - _EULER) * first + _EULER * second)


def minimum_track_record(record: Record, level: float, against: float = 0.0) -> float | None:
    """Bars after which a ratio like this is above `against` with probability 1 - `level`; None if it is not above."""
    if record.sharpe <= against:
        return None
    sharpe = record.sharpe
    variance = max(1 - record.skewness * sharpe + (record.kurtosis - 1) / 4 * sharpe**2, 1e-12)
    return 1 + variance * (_NORMAL.inv_cdf(1 - level) / (sharpe - against)) ** 2
