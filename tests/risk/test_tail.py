"""VaR and ES: laws, closed forms, and the tests that judge forecasts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from crypto_mcp.models.candles import Floats
from crypto_mcp.risk.coverage import acerbi_szekely, coverage
from crypto_mcp.risk.tail import METHODS, TailMethod, scenarios, tail
from crypto_mcp.risk.volatility import ewma_volatility, garch_volatility

confidences = st.sampled_from([0.9, 0.95, 0.975, 0.99])
methods = st.sampled_from(METHODS)


@st.composite
def books(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Returns with a common factor and fat tails, and exposures of either sign."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    assets, bars = draw(st.integers(1, 6)), draw(st.integers(60, 250))
    common = rng.standard_t(4, (bars, 1)) * 0.02
    returns = common + rng.standard_t(3, (bars, assets)) * 0.02
    return returns, rng.uniform(-1000, 3000, assets)


@settings(max_examples=60)
@given(books(), confidences, methods)
def test_components_add_up_and_es_is_no_less_than_var(
    book: tuple[np.ndarray, np.ndarray], confidence: float, method: TailMethod
) -> None:
    returns, exposures = book
    found = tail(scenarios(returns, exposures, method), exposures, confidence, method)
    scale = np.abs(exposures).sum()
    assert found.component_var.sum() == pytest.approx(found.var, abs=1e-9 * scale)
    assert found.component_es.sum() == pytest.approx(found.es, abs=1e-9 * scale)
    assert found.es >= found.var - 1e-9 * scale


@settings(max_examples=40)
@given(books(), confidences, methods, st.floats(0.01, 100))
def test_twice_the_positions_are_twice_the_risk(
    book: tuple[np.ndarray, np.ndarray], confidence: float, method: TailMethod, factor: float
) -> None:
    returns, exposures = book
    once = tail(scenarios(returns, exposures, method), exposures, confidence, method)
    many = tail(scenarios(returns, exposures * factor, method), exposures * factor, confidence, method)
    assert many.var == pytest.approx(once.var * factor, rel=1e-4, abs=1e-6)
    assert many.es == pytest.approx(once.es * factor, rel=1e-4, abs=1e-6)


@settings(max_examples=40)
@given(books(), confidences, st.sampled_from(["historical", "cornish_fisher"]), st.floats(-0.01, 0.01))
def test_a_certain_gain_takes_itself_off_the_risk(
    book: tuple[np.ndarray, np.ndarray], confidence: float, method: TailMethod, gain: float
) -> None:
    """Translation: returns that are all higher by a constant lower VaR and ES by it."""
    returns, _ = book
    one = np.zeros(returns.shape[1])
    one[0] = 1000.0
    before, after = (tail(r, one, confidence, method) for r in (returns, returns + gain))
    assert after.var == pytest.approx(before.var - 1000 * gain, abs=1e-6)
    assert after.es == pytest.approx(before.es - 1000 * gain, abs=1e-6)


def test_historical_var_and_es_are_the_counted_losses() -> None:
    """Of a hundred losses 1 to 100, five are in the tail of 95 %: VaR 96, ES 98; 97.5 % takes half of the third."""
    losses = np.random.default_rng(0).permutation(np.arange(1.0, 101.0))
    scenes, one = -losses[:, np.newaxis], np.ones(1)
    found = tail(scenes, one, 0.95, "historical")
    assert (found.var, found.es) == (96, pytest.approx(98))
    assert tail(scenes, one, 0.975, "historical").es == pytest.approx((100 + 99 + 98 / 2) / 2.5)


@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_cornish_fisher_is_normal_for_normal_moments_and_its_es_is_the_mean_beyond(confidence: float) -> None:
    """Quantiles of a normal sample without skewness; for a skewed one ES is the integral of the quantiles."""
    grid = stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    one = np.ones(1)
    grid /= grid.std()
    found = tail(grid[:, np.newaxis], one, confidence, "cornish_fisher")
    assert found.var == pytest.approx(-stats.norm.ppf(1 - confidence), rel=0.01)
    skewed = (np.exp(0.2 * grid) - np.exp(0.2 * grid).mean())[:, np.newaxis] * -1
    alpha = 1 - confidence
    mean_beyond = integrate.quad(lambda u: tail(skewed, one, 1 - u, "cornish_fisher").var, 1e-9, alpha)[0] / alpha
    assert tail(skewed, one, confidence, "cornish_fisher").es == pytest.approx(mean_beyond, rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_components_are_what_a_little_more_of_a_position_adds(method: TailMethod) -> None:
    """Euler: the derivative of ES by an exposure, times the exposure, against a finite difference."""
    rng = np.random.default_rng(5)
    returns = rng.multivariate_normal([0, 0], [[4e-4, 2e-4], [2e-4, 9e-4]], 800)
    exposures = np.array([1000.0, 500.0])
    scenes = scenarios(returns, exposures, method)
    found = tail(scenes, exposures, 0.95, method)
    for i in range(2):
        more, less = exposures.copy(), exposures.copy()
        more[i] *= 1.001
        less[i] *= 0.999
        slope = (tail(scenes, more, 0.95, method).es - tail(scenes, less, 0.95, method).es) / 0.002
        assert found.component_es[i] == pytest.approx(slope, rel=0.02)


def test_the_volatility_forecast_knows_only_the_past() -> None:
    returns = np.random.default_rng(2).normal(0, 0.02, 300)
    whole = ewma_volatility(returns)
    assert len(whole) == 301
    np.testing.assert_allclose(ewma_volatility(returns[:200]), whole[:201])


def test_garch_finds_the_process_it_was_made_from() -> None:
    """Forecasts of a fit follow the true volatility of a simulated GARCH(1,1)."""
    rng = np.random.default_rng(11)
    variance, true, returns = 4e-4, [], []
    for _ in range(3000):
        true.append(math.sqrt(variance))
        returns.append(true[-1] * rng.standard_normal())
        variance = 4e-6 + 0.1 * returns[-1] ** 2 + 0.89 * variance
    found = garch_volatility(np.array(returns))[:-1]
    assert np.corrcoef(found[500:], true[500:])[0, 1] > 0.97


@pytest.mark.parametrize("seed", range(40))
def test_a_garch_is_fitted_as_scipy_would(seed: int) -> None:
    """To the bit: the search for the greatest likelihood is Nelder and Mead's, with scipy's steps."""
    rng = np.random.default_rng(seed)
    returns = rng.standard_t(3, int(rng.integers(60, 400))) * 10.0 ** rng.integers(-6, 1)
    variance = float(np.mean(returns**2))

    def parameters(raw: Floats) -> tuple[float, float]:
        a, b = (1 / (1 + math.exp(-min(max(x, -30.0), 30.0))) for x in raw.tolist())
        return 0.999 * b * a, 0.999 * b * (1 - a)

    def recursion(raw: Floats) -> Floats:
        alpha, beta = parameters(raw)
        found = [variance]
        for each in returns.tolist():
            found.append(variance * (1 - alpha - beta) + alpha * each**2 + beta * found[-1])
        return np.array(found)

    def loss(raw: Floats) -> float:
        total = 0.0
        for each, expected in zip(returns.tolist(), recursion(raw).tolist(), strict=False):
            total += math.log(expected) + each**2 / expected
        return total

    options = {"xatol": 1e-2, "fatol": 1e-4}
    found = optimize.minimize(loss, np.array([-2.5, 2.0]), method="Nelder-Mead", options=options).x
    assert np.array_equal(garch_volatility(returns), np.sqrt(recursion(found)))


def test_kupiec_is_the_likelihood_ratio_of_the_textbook() -> None:
    """250 days at 99 % with 6 exceedances, written out."""
    exceeded = np.zeros(250, dtype=bool)
    exceeded[[10, 50, 90, 130, 170, 210]] = True
    ratio = -2 * (244 * math.log(0.99) + 6 * math.log(0.01) - 244 * math.log(244 / 250) - 6 * math.log(6 / 250))
    assert coverage(exceeded, 0.99).kupiec == pytest.approx(stats.chi2.sf(ratio, 1))


def test_true_forecasts_pass_and_false_ones_fail() -> None:
    rng = np.random.default_rng(1)
    losses = rng.standard_normal(2000)
    var, es = stats.norm.ppf(0.95), stats.norm.pdf(stats.norm.ppf(0.95)) / 0.05
    fair = coverage(losses > var, 0.95)
    assert min(fair.kupiec, fair.independence, fair.conditional) > 0.05
    assert abs(acerbi_szekely(losses, np.full(2000, var), np.full(2000, es), 0.95)) < 0.2
    assert coverage(losses > 0.8 * var, 0.95).kupiec < 0.01
    assert acerbi_szekely(losses * 1.5, np.full(2000, var), np.full(2000, es), 0.95) < -0.7
    runs = np.repeat(rng.random(200) < 0.05, 10)
    assert coverage(runs, 0.95).independence < 0.01
