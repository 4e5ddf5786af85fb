"""What a portfolio earned: returns without and with the effect of flows, drawdowns, and return over risk."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

YEAR = 365.0
_LEAST_FOR_RATIOS = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """Equity at a time (days since any origin), with all contributions made until then."""

    day: float
    equity: float
    contributed: float


def growth_factors(samples: Sequence[Sample]) -> Floats:
    """Growth from each sample to the next with flows taken out (Modified Dietz, flows in the middle of the interval).

    With a sample just before each flow this is the exact time-weighted return.
    """
    factors = []
    for before, after in itertools.pairwise(samples):
        flow = after.contributed - before.contributed
        base = before.equity + flow / 2
        factors.append(1 + (after.equity - before.equity - flow) / base if base > 0 else 1.0)
    return np.maximum(np.array(factors, dtype=np.float64), 0.0)


def time_weighted(samples: Sequence[Sample]) -> float:
    """Return of one unit that was there all along, a share."""
    return float(np.prod(growth_factors(samples))) - 1


def money_weighted(samples: Sequence[Sample]) -> float | None:
    """Internal rate of return a year, a share: the rate at which all flows are worth the equity at the end.

    None where no rate between -99.99 % and 1,000,000 % fits, or there is nothing to weigh.
    """
    if len(samples) < 2 or samples[-1].day <= samples[0].day:
        return None
    flows = [(samples[0].day, samples[0].equity)]
    flows += [(b.day, b.contributed - a.contributed) for a, b in itertools.pairwise(samples)]
    end = samples[-1]

    def surplus(rate: float) -> float:
        return math.fsum(flow * (1 + rate) ** ((end.day - day) / YEAR) for day, flow in flows) - end.equity

    low, high = -0.9999, 10_000.0
    if not any(flow for _, flow in flows) or surplus(low) * surplus(high) > 0:
        return None
    from scipy.optimize import brentq

    return float(brentq(surplus, low, high, xtol=1e-10))


def drawdowns(growth: Floats) -> Floats:
    """Fall from the highest index so far, a share 0 to 1, at the start and after each factor."""
    index = np.concatenate([[1.0], np.cumprod(growth)])
    return np.asarray(1 - index / np.maximum.accumulate(index))


def sharpe(returns: Floats, periods: float) -> float | None:
    """Mean over standard deviation of returns, times the root of periods a year; riskless rate zero.

    None with under ten returns, or where they do not vary. Lo (2002) has its standard error: about sqrt(1 / years).
    """
    if len(returns) < _LEAST_FOR_RATIOS:
        return None
    deviation = float(returns.std(ddof=1))
    return float(returns.mean()) / deviation * math.sqrt(periods) if deviation > 1e-12 else None


def sortino(returns: Floats, periods: float) -> float | None:
    """As `sharpe`, over the root mean square of the losses among all returns (Sortino and Price 1994)."""
    if len(returns) < _LEAST_FOR_RATIOS:
        return None
    downside = math.sqrt(float((np.minimum(returns, 0.0) ** 2).mean()))
    return float(returns.mean()) / downside * math.sqrt(periods) if downside > 1e-12 else None
