"""Does a VaR hold? Tests of a series of forecasts against what happened, out of sample.

Kupiec (1995): as many exceedances as stated. Christoffersen (1998): and not in clusters. Acerbi and Szekely (2014),
second test: exceedances as deep as ES states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the tests say. p-values below 0.05 speak against the forecasts.

    Attributes:
        days, exceedances: forecasts, and those whose loss was larger.
        kupiec, independence, conditional: p-values of unconditional coverage, of independence, of both together.
    """

    days: int
    exceedances: int
    kupiec: float
    independence: float
    conditional: float


def coverage(exceeded: Bools, confidence: float) -> Coverage:
    """Kupiec's and Christoffersen's tests of a series of exceedances."""
    n, x, p = len(exceeded), int(exceeded.sum()), 1 - confidence
    from scipy.stats import chi2

    rate = x / n
    unconditional = -2 * (_likelihood(x, n - x, p) - _likelihood(x, n - x, rate))
    before, after = exceeded[:-1], exceeded[1:]
    n00, n01 = int((~before & ~after).sum()), int((~before & after).sum())
    n10, n11 = int((before & ~after).sum()), int((before & after).sum())
    pooled = (n01 + n11) / max(1, n - 1)
    apart = _likelihood(n01, n00, n01 / max(1, n00 + n01)) + _likelihood(n11, n10, n11 / max(1, n10 + n11))
    independence = max(0.0, -2 * (_likelihood(n01 + n11, n00 + n10, pooled) - apart))
    return Coverage(
        n,
        x,
        float(chi2.sf(unconditional, 1)),
        float(chi2.sf(independence, 1)),
        float(chi2.sf(unconditional + independence, 2)),
    )


def _likelihood(hits: int, misses: int, p: float) -> float:
    from scipy.special import xlogy

    return float(xlogy(hits, p) + xlogy(misses, 1 - p))


def acerbi_szekely(losses: Floats, var: Floats, es: Floats, confidence: float) -> float:
    """Z2 = 1 - sum(L * [L > VaR] / ES) / (n * (1 - confidence)).

    About 0 if ES holds, negative if losses are worse: -0.7 rejects at 5 %, -1.8 at 0.01 %, nearly whatever the tail
    (Acerbi and Szekely 2014, tables 4 and 5).
    """
    hits = losses > var
    return float(1 - (losses[hits] / es[hits]).sum() / (len(losses) * (1 - confidence)))
