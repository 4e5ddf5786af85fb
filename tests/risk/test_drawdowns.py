"""Kelly and drawdowns against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from crypto_mcp.risk.drawdowns import project, project_from, ruin_bound
from crypto_mcp.risk.kelly import kelly_stake


@given(st.floats(0.05, 0.95), st.floats(0.2, 10))
def test_kelly_maximises_growth(p: float, b: float) -> None:
    """Against a numerical maximum of p log(1 + f b) + (1 - p) log(1 - f)."""
    found = kelly_stake(p, b).full
    best = minimize_scalar(
        lambda f: -(p * np.log1p(f * b) + (1 - p) * np.log1p(-f)), bounds=(0, 0.999), method="bounded",
        options={"xatol": 1e-9},
    ).x  # fmt: skip
    assert found == pytest.approx(best, abs=2e-4)


@given(st.floats(0.05, 0.95), st.floats(0.2, 10), st.integers(1, 10_000))
def test_uncertainty_only_ever_takes_from_the_stake(p: float, b: float, n: int) -> None:
    few, many, known = kelly_stake(p, b, trades=n), kelly_stake(p, b, trades=10 * n), kelly_stake(p, b)
    assert 0 <= few.shrunk <= many.shrunk <= known.shrunk <= 1
    assert (known.full > 0) == (known.expectancy > 1e-15) or abs(known.expectancy) < 1e-9


@pytest.mark.parametrize("p", [0.52, 0.55, 0.6])
def test_the_bound_of_even_bets_is_the_gamblers_ruin(p: float) -> None:
    """Ten units of a stake that is small against the account: ((1 - p) / p) ** 10."""
    risk = 1e-6
    assert ruin_bound(p, 1.0, risk, 1 - (1 - risk) ** 10) == pytest.approx(((1 - p) / p) ** 10, rel=1e-4)


def test_without_an_edge_ruin_is_certain_and_without_losses_impossible() -> None:
    assert ruin_bound(0.5, 1.0, 0.02, 0.5) == 1.0
    assert ruin_bound(0.5, 2.0, 1.0, 0.5) == 1.0
    assert project_from([0.5, 1.0], 0.01, trades=50, ruin_at=0.5, seed=1).ruin_bound == 0.0


def test_simulated_ruin_stays_below_its_bound_and_near_it_in_the_long_run() -> None:
    found = project(0.55, 1.0, 0.1, trades=500, ruin_at=0.5, seed=7)
    error = 3 * (0.25 / found.paths) ** 0.5
    assert found.ruin_probability <= found.ruin_bound + error
    assert found.ruin_probability > 0.6 * found.ruin_bound


def test_one_trade_has_the_binomial_distribution() -> None:
    found = project(0.6, 2.0, 0.1, trades=1, ruin_at=0.5, seed=3)
    assert found.loss_probability == pytest.approx(0.4, abs=0.03)
    assert found.drawdown[95] == pytest.approx(0.1)
    assert found.ending[95] == pytest.approx(1.2)


def test_a_seed_repeats_itself_and_another_does_not() -> None:
    first, again, other = (project(0.5, 1.5, 0.02, trades=80, ruin_at=0.5, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_drawn_results_agree_with_the_bet_they_describe() -> None:
    drawn = project_from([1.5] * 50 + [-1.0] * 50, 0.02, trades=100, ruin_at=0.5, seed=1)
    bet = project(0.5, 1.5, 0.02, trades=100, ruin_at=0.5, seed=2)
    assert drawn.ruin_bound == pytest.approx(bet.ruin_bound)
    assert drawn.drawdown[50] == pytest.approx(bet.drawdown[50], abs=0.01)
