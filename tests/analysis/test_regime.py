"""Regime: told apart on series whose movement is known, and probabilities that are what they say."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from walks import from_closes, mean_reverting, random_walk

from crypto_mcp.analysis.landscape import survey
from crypto_mcp.analysis.regime import (
    efficiency_ratio,
    energy_probabilities,
    range_break,
    read_regime,
    variance_ratio,
)
from crypto_mcp.analysis.verdict import judge
from crypto_mcp.analysis.volatility import WINDOW, yang_zhang
from crypto_mcp.models.analysis import Regime
from crypto_mcp.models.candles import Candles


def regime(candles: Candles) -> Regime:
    """As `assess` reads it, without all else that it does."""
    verdict = judge(candles, survey(candles))
    return read_regime(candles, yang_zhang(candles), WINDOW, verdict.atr, verdict.movement)


def test_trends_and_ranges_are_told_apart() -> None:
    """Of 60 seeded series of each kind at least three quarters are named rightly."""
    trending = Counter(regime(random_walk(250, seed=seed, drift=0.003)).movement for seed in range(60))
    reverting = Counter(regime(mean_reverting(250, seed=seed)).movement for seed in range(60))
    assert trending["trend"] >= 45, trending
    assert reverting["range"] >= 45, reverting


def test_leaving_a_long_range_is_a_breakout() -> None:
    named = Counter()
    for seed in range(40):
        closes = mean_reverting(250, seed=seed).close.copy()
        closes[-5:] = closes[-6] * np.exp(0.016 * np.arange(1, 6))
        named[regime(from_closes(closes)).movement] += 1
    assert named["breakout"] >= 32, named


def test_a_random_walk_is_given_no_certain_trend() -> None:
    certain = sum(regime(random_walk(250, seed=seed)).movement_probabilities["trend"] > 0.9 for seed in range(80))
    assert certain <= 4


def test_energy_follows_volatility() -> None:
    """The last 60 bars move a third, as much, and three times as much as those before."""
    for factor, energy in ((1 / 3, "calm"), (3.0, "wild")):
        for seed in range(10):
            steps = np.random.default_rng(seed).normal(0, 0.01, 400)
            steps[-60:] *= factor
            assert regime(from_closes(100 * np.exp(np.cumsum(steps)), seed=seed)).energy == energy


@pytest.mark.parametrize("seed", range(10))
def test_probabilities_add_up_to_one(seed: int) -> None:
    result = regime(random_walk(200, seed=seed, sigma=0.001 * 3**seed))
    for shares in (result.movement_probabilities, result.energy_probabilities):
        assert sum(shares.values()) == pytest.approx(1, abs=0.002)
        assert all(0 <= share <= 1 for share in shares.values())


def test_variance_ratio_of_walk_trend_and_reversion() -> None:
    """1 for a walk, below for reversion, above for steps that repeat themselves."""
    assert np.mean([variance_ratio(np.log(random_walk(300, seed=s).close)) for s in range(200)]) == pytest.approx(
        1, abs=0.05
    )
    assert np.mean([variance_ratio(np.log(mean_reverting(300, seed=s).close)) for s in range(50)]) < 0.75
    ratios = []
    for seed in range(50):
        shocks = np.random.default_rng(seed).normal(0, 0.01, 301)
        ratios.append(variance_ratio(np.cumsum(shocks[1:] + 0.5 * shocks[:-1])))
    assert np.mean(ratios) > 1.3


def test_efficiency_ratio_against_its_definition() -> None:
    log_price = np.log(random_walk(60, seed=1).close)
    expected = abs(log_price[-1] - log_price[-31]) / np.abs(np.diff(log_price[-31:])).sum()
    assert efficiency_ratio(log_price) == pytest.approx(expected)
    assert efficiency_ratio(0.01 * np.arange(60)) == pytest.approx(1)
    assert efficiency_ratio(np.full(60, 5.0)) == 0


def test_range_break_is_signed_and_zero_inside() -> None:
    closes = np.where(np.arange(100) % 2, 101.0, 100.0)
    assert range_break(from_closes(closes), 1.0) == 0
    up, down = closes.copy(), closes.copy()
    up[-1], down[-1] = 110.0, 91.0
    assert range_break(from_closes(up), 2.0) == pytest.approx((110 - from_closes(up).high[-45:-5].max()) / 2)
    assert range_break(from_closes(down), 2.0) < -3


def test_energy_of_a_market_that_stopped_is_calm() -> None:
    sigma = np.concatenate((np.full(100, 0.01), np.zeros(10)))
    assert energy_probabilities(sigma, 20) == {"calm": 1.0, "normal": 0.0, "wild": 0.0}
