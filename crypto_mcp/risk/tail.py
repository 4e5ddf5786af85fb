"""Value at risk and expected shortfall of a portfolio over one bar, and which position carries how much of them.

Scenarios are past returns of the assets held today (historical simulation). `filtered_*` methods first scale each
past bar by the volatility forecast now over the forecast then, so that a calm past does not hide a wild present
(filtered historical simulation: Barone-Adesi, Giannopoulos and Vosper 1999; Hull and White 1998).

VaR and ES are losses as positive amounts: VaR at 0.95 is the loss that one bar in twenty exceeds, ES the mean loss of
those bars (Acerbi and Tasche 2002, exact for a finite sample).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from crypto_mcp.risk.volatility import ewma_volatility, garch_volatility

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TailMethod = Literal["historical", "filtered_ewma", "filtered_garch", "cornish_fisher"]
METHODS: tuple[TailMethod, ...] = get_args(TailMethod)
DEFAULT_METHOD: TailMethod = "filtered_garch"
"""The one whose forecasts pass the coverage tests out of sample: docs/risk.md has the table."""

LEAST_BARS = 60
"""Below this the worst bar in a hundred is not in the sample by any stretch."""

_SKEW_BOUND = 6 * (math.sqrt(2) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """One method's answer at one confidence. Amounts in the unit of the exposures given, losses positive.

    Attributes:
        var, es: of the whole.
        component_var, component_es: one a position, adding up to `var` and `es`; negative where it hedges.
    """

    confidence: float
    var: float
    es: float
    component_var: Floats
    component_es: Floats


def scenarios(returns: Floats, exposures: Floats, method: TailMethod) -> Floats:
    """The returns (bars by assets) as the method sees them, scaled bar by bar where it filters.

    The volatility is the portfolio's own: exposures times returns, one number a bar.
    """
    if method == "historical":
        return returns
    profit = returns @ exposures
    if not np.any(profit):
        return returns
    forecast = garch_volatility(profit) if method == "filtered_garch" else ewma_volatility(profit)
    floor = 1e-3 * float(np.std(profit))
    scale = forecast[-1] / np.maximum(forecast[:-1], floor)
    return np.asarray(returns * scale[:, np.newaxis])


def tail(scenes: Floats, exposures: Floats, confidence: float, method: TailMethod = DEFAULT_METHOD) -> Tail:
    """VaR and ES of exposures (amounts, negative for shorts) over `scenarios` (bars by assets).

    Raises `ValueError` for a confidence outside 0.5 to 1, or fewer than two bars.
    """
    if not 0.5 <= confidence < 1 or len(scenes) < 2:
        raise ValueError("confidence must be from 0.5 to below 1, with two bars at least")
    return (_cornish_fisher if method == "cornish_fisher" else _empirical)(scenes, exposures, confidence)


def _empirical(scenes: Floats, exposures: Floats, confidence: float) -> Tail:
    losses = -(scenes @ exposures)
    order = np.argsort(-losses, kind="stable")
    weights = _tail_weights(len(losses), confidence)
    in_tail = order[: len(weights)]
    var, es = float(losses[in_tail[-1]]), float(losses[in_tail] @ weights)
    component_es = -(weights @ scenes[in_tail]) * exposures
    near = _kernel(losses, var)
    return Tail(confidence, var, es, _sharing(-(near @ scenes) * exposures, var, component_es, es), component_es)


def _tail_weights(n: int, confidence: float) -> Floats:
    """Weights of the largest losses in ES: whole bars, and the part of one that fills the tail; adding up to 1."""
    size = n * (1 - confidence)
    whole = math.floor(size + 1e-9)
    weights = np.ones(whole + 1)
    weights[-1] = max(size - whole, 0.0)
    if weights[-1] <= 1e-9 and whole > 0:
        weights = weights[:-1]
    return np.asarray(weights / weights.sum())


def _kernel(losses: Floats, at: float) -> Floats:
    """Gaussian weights of the bars with a loss near `at`: a conditional mean that one bar alone cannot swing.

    Epperlein and Smillie (2006), "Cracking VaR with kernels"; bandwidth by Silverman's rule.
    """
    width = 1.06 * float(np.std(losses)) * len(losses) ** -0.2
    if width <= 0:
        return np.full(len(losses), 1 / len(losses))
    weights = np.exp(-0.5 * ((losses - at) / width) ** 2)
    return np.asarray(weights / weights.sum())


def _sharing(shares: Floats, total: float, fallback: Floats, fallback_total: float) -> Floats:
    """Shares scaled to add up to `total`; by the fallback's where theirs add up to nothing."""
    for parts, whole in ((shares, float(shares.sum())), (fallback, fallback_total)):
        if abs(whole) > 1e-12 * float(np.abs(parts).sum()) and whole * total > 0:
            return np.asarray(parts * (total / whole))
    return np.full(len(shares), total / max(1, len(shares)))


def _cornish_fisher(scenes: Floats, exposures: Floats, confidence: float) -> Tail:
    """Quantile of a distribution with the sample's skewness and kurtosis.

    Components are Euler's: the derivative by each exposure times the exposure, through mean, deviation, skewness and
    kurtosis (Boudt, Peterson and Croux 2008). Moments outside the expansion's domain are drawn to its border (Maillard
    2012, "A User's Guide to the Cornish Fisher Expansion"), where they count as constant.
    """
    profit = scenes @ exposures
    mean, deviation = float(profit.mean()), float(profit.std())
    if deviation <= 0:
        flat = -scenes.mean(axis=0) * exposures
        return Tail(confidence, -mean, -mean, flat, flat)
    z = (profit - mean) / deviation
    skew, excess = float((z**3).mean()), float((z**4).mean()) - 3
    held_skew, held_excess = _in_domain(skew, excess)
    var_z, es_z = (_expansions(confidence, held_skew, held_excess)[i] for i in (0, 1))
    by_asset = scenes - scenes.mean(axis=0)
    part_mean = scenes.mean(axis=0) * exposures
    part_deviation = (z @ by_asset) / len(z) * exposures
    pull = by_asset * exposures / deviation
    part_skew = 3 * ((z**2) @ pull) / len(z) - 3 * skew * part_deviation / deviation
    part_excess = 4 * ((z**3) @ pull) / len(z) - 4 * (excess + 3) * part_deviation / deviation
    free = float(held_skew == skew and held_excess == excess)
    slopes = _slopes(confidence)
    parts = []
    for level, (by_skew, by_excess, by_square) in zip((var_z, es_z), slopes, strict=True):
        shape = free * ((by_skew + 2 * by_square * skew) * part_skew + by_excess * part_excess)
        parts.append(-part_mean - part_deviation * level - deviation * shape)
    return Tail(confidence, -mean - deviation * var_z, -mean - deviation * es_z, parts[0], parts[1])


def _slopes(confidence: float) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Factors of skewness, excess kurtosis and squared skewness in the quantile and in the mean beyond it."""
    alpha = 1 - confidence
    from scipy.special import ndtri

    z = float(ndtri(alpha))
    density = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) / alpha
    quantile = ((z * z - 1) / 6, (z**3 - 3 * z) / 24, -(2 * z**3 - 5 * z) / 36)
    beyond = (-z * density / 6, -(z * z - 1) * density / 24, (2 * (z * z - 1) + 1) * density / 36)
    return quantile, beyond


def _expansions(confidence: float, skew: float, excess: float) -> tuple[float, float]:
    """Quantile and mean beyond it, in standard deviations: negative numbers of the lower tail."""
    alpha = 1 - confidence
    from scipy.special import ndtri

    z = float(ndtri(alpha))
    density = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) / alpha
    quantile, beyond = _slopes(confidence)
    values = (skew, excess, skew * skew)
    return (
        z + sum(a * b for a, b in zip(quantile, values, strict=True)),
        -density + sum(a * b for a, b in zip(beyond, values, strict=True)),
    )


def _in_domain(skew: float, excess: float) -> tuple[float, float]:
    """The nearest moments for which the expansion rises: s^2/9 - 4 (k/8 - s^2/6) (1 - k/8 + 5 s^2/36) <= 0.

    For a skewness s within 6 (sqrt(2) - 1) this is a band of k around 4 + (11/9) s^2.
    """
    skew = min(max(skew, -_SKEW_BOUND), _SKEW_BOUND)
    square = skew * skew
    middle = 4 + 11 / 9 * square
    half = 4 * math.sqrt(max(0.0, (1 - square / 36) ** 2 - square / 9))
    return skew, min(max(excess, middle - half), middle + half)
