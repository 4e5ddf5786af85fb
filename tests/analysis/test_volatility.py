"""Realised volatility against known truth, and the class read from it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from walks import HOUR_MS, from_closes, random_walk

from crypto_mcp.analysis.assess import assess
from crypto_mcp.analysis.volatility import (
    parkinson,
    per_year,
    percentile_of_last,
    volatility_class,
    yang_zhang,
)
from crypto_mcp.models.candles import Candles


def continuous(bars: int, sigma: float, *, seed: int, ticks: int = 400) -> Candles:
    """Bars cut out of a fine random walk, so that highs and lows are those of a true path."""
    path = np.cumsum(np.random.default_rng(seed).normal(0, sigma / math.sqrt(ticks), bars * ticks))
    price = np.exp(path).reshape(bars, ticks)
    opens = np.concatenate(([1.0], price[:-1, -1]))
    return replace(
        from_closes(price[:, -1].copy()),
        open=opens,
        high=np.maximum(price.max(1), opens),
        low=np.minimum(price.min(1), opens),
    )


@pytest.mark.parametrize("estimator", [yang_zhang, parkinson])
def test_estimators_find_the_volatility_of_a_known_walk(estimator) -> None:
    """Within 4 % over 2,000 bars (400 ticks a bar miss the true extremes by a little)."""
    candles = continuous(2000, 0.02, seed=1)
    assert estimator(candles, 1900)[-1] == pytest.approx(0.02, rel=0.04)


def test_yang_zhang_by_its_formula() -> None:
    candles, n = random_walk(60, seed=2), 20
    o, h, low, c = (np.log(getattr(candles, name)) for name in ("open", "high", "low", "close"))
    gap, body = (o[1:] - c[:-1])[-n:], (c - o)[-n:]
    within = ((h - c) * (h - o) + (low - c) * (low - o))[-n:]
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    expected = np.sqrt(gap.var(ddof=1) + k * body.var(ddof=1) + (1 - k) * within.mean())
    assert yang_zhang(candles, n)[-1] == pytest.approx(expected, rel=1e-9)


def test_yang_zhang_does_not_take_drift_for_volatility() -> None:
    """A straight line has none, while its closes alone move 1 % a bar."""
    candles = from_closes(np.exp(0.01 * np.arange(100)), wick=0)
    assert yang_zhang(candles)[-1] < 1e-6


@pytest.mark.parametrize("estimator", [yang_zhang, parkinson])
def test_estimators_do_not_look_ahead(estimator) -> None:
    candles = random_walk(120, seed=3)
    whole = estimator(candles)
    for k in (1, 2, 20, 21, 70, 119):
        np.testing.assert_array_equal(estimator(candles[:k]), whole[:k])


def test_a_year_of_hours() -> None:
    assert per_year(HOUR_MS) == pytest.approx(math.sqrt(8760))


def test_percentile_counts_ties_half() -> None:
    assert percentile_of_last(np.array([np.nan, 1.0, 2.0, 3.0, 4.0])) == pytest.approx(87.5)
    assert percentile_of_last(np.full(10, 2.0)) == 50


@pytest.mark.parametrize(
    ("percentile", "name"),
    [(0, "low"), (24.9, "low"), (25, "moderate"), (74.9, "moderate"), (75, "high"), (94.9, "high"), (95, "extreme")],
)
def test_class_boundaries(percentile: float, name: str) -> None:
    assert volatility_class(percentile, 0.5) == name


def test_the_class_follows_the_last_bars() -> None:
    steps = np.random.default_rng(4).normal(0, 0.01, 400)
    quiet, loud = steps.copy(), steps.copy()
    quiet[-20:] /= 4
    loud[-20:] *= 4
    assert assess(from_closes(np.exp(np.cumsum(quiet)))).analysis.volatility == "low"
    assert assess(from_closes(np.exp(np.cumsum(loud)))).analysis.volatility == "extreme"


def test_figures_are_annual_percent() -> None:
    candles = random_walk(500, seed=5, sigma=0.01)
    reading = assess(candles, detail="full").details.volatility
    assert reading.annual_percent == pytest.approx(100 * yang_zhang(candles)[-1] * math.sqrt(8760), rel=1e-3)
    assert reading.atr_percent == pytest.approx(100 * reading.atr / candles.close[-1], rel=1e-3)
