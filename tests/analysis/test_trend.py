"""Trend: slopes against a random walk, classes, and mirror symmetry."""

from __future__ import annotations

import numpy as np
import pytest
from walks import from_closes, random_walk

from crypto_mcp.analysis.assess import assess
from crypto_mcp.analysis.trend import slope_z, swing_direction, trend_class


def test_slope_z_of_random_walks_is_standard_normal() -> None:
    """The share beyond two standard errors is near 5 %: an ordinary t-statistic would call most walks a trend."""
    z = np.array([slope_z(np.log(random_walk(60, seed=seed).close), 50) for seed in range(1500)])
    assert z.mean() == pytest.approx(0, abs=0.1)
    assert z.std() == pytest.approx(1, abs=0.08)
    assert np.mean(np.abs(z) > 2) == pytest.approx(0.05, abs=0.02)


def test_slope_z_of_a_straight_line_and_of_none() -> None:
    n = 20
    line = slope_z(0.01 * np.arange(60), n)
    assert line == pytest.approx(1 / np.sqrt(6 * (n**2 + 1) / (5 * n * (n**2 - 1))))
    assert slope_z(np.full(60, 3.0), n) == 0


def test_slope_is_that_of_a_least_squares_line() -> None:
    log_price, n = np.log(random_walk(150, seed=1).close), 50
    slope = np.polyfit(np.arange(n), log_price[-n:], 1)[0]
    step = np.sqrt(np.mean(np.diff(log_price[-n - 1 :]) ** 2))
    error = step * np.sqrt(6 * (n**2 + 1) / (5 * n * (n**2 - 1)))
    assert slope_z(log_price, n) == pytest.approx(slope / error)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (0.6, "bullish_strong"),
        (0.59, "bullish"),
        (0.2, "bullish"),
        (0.19, "neutral"),
        (-0.19, "neutral"),
        (-0.2, "bearish"),
        (-0.6, "bearish_strong"),
    ],
)
def test_class_boundaries(value: float, name: str) -> None:
    assert trend_class(value) == name


def test_order_of_swings() -> None:
    up, down = np.array([1.0, 2.0]), np.array([2.0, 1.0])
    assert swing_direction(up, up) == "rising"
    assert swing_direction(down, down) == "falling"
    assert swing_direction(up, down) == "mixed"
    assert swing_direction(up[:1], up) == "mixed"


def test_a_falling_market_reads_as_the_mirror_of_a_rising_one() -> None:
    """Closes, highs and lows reciprocal: every direction changes its sign."""
    steps = np.random.default_rng(2).normal(0.001, 0.01, 300)
    there = assess(from_closes(np.exp(np.cumsum(steps)), seed=1), detail="full").details.trend
    back = assess(from_closes(np.exp(-np.cumsum(steps)), seed=1), detail="full").details.trend
    for a, b in zip(there.horizons, back.horizons, strict=True):
        assert a.direction == pytest.approx(-b.direction, abs=0.01)
        assert a.slope_z == pytest.approx(-b.slope_z, abs=0.02)


def test_horizons_may_disagree() -> None:
    """A long rise with a sharp fall at the end: long up, short down."""
    closes = np.exp(np.concatenate((0.01 * np.arange(300), 3.0 - 0.02 * np.arange(20))))
    trend = assess(from_closes(closes), detail="full").details.trend
    short, _, long = trend.horizons
    assert short.direction < -0.5
    assert long.direction > 0.2
