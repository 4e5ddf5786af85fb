"""Swing points and the support and resistance made of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from walks import from_closes, random_walk

from crypto_mcp.analysis.levels import find_levels, swing_points
from crypto_mcp.models.candles import Candles


def zigzag(*turns: float, leg: int = 12) -> Candles:
    """Straight legs between the turns given, without wicks."""
    legs = [np.linspace(a, b, leg, endpoint=False) for a, b in pairwise(turns)]
    return from_closes(np.concatenate([*legs, turns[-1:]]), wick=0)


def test_swings_are_where_price_turned() -> None:
    highs, lows = swing_points(zigzag(100, 110, 102, 115, 105, 112), 5)
    assert list(highs.at) == [12, 36]
    assert list(highs.price) == pytest.approx([110, 115])
    assert list(lows.at) == [24, 48]
    assert list(lows.price) == pytest.approx([102, 105])


def test_a_swing_is_known_only_after_its_strength() -> None:
    """Brute force over every prefix: what is found at k is what the definition gives, and is never taken back."""
    candles, strength = random_walk(150, seed=1), 5
    seen: set[int] = set()
    for k in range(1, len(candles) + 1):
        highs, _ = swing_points(candles[:k], strength)
        expected = {
            i
            for i in range(strength, k - strength)
            if candles.high[i] == candles.high[i - strength : i + strength + 1].max()
        }
        assert set(highs.at.tolist()) == expected
        assert seen <= expected
        seen = expected


def test_a_flat_top_is_one_swing() -> None:
    closes = np.concatenate((np.linspace(90, 100, 12), [100.0, 100.0], np.linspace(99, 90, 12)))
    flat = replace(from_closes(closes, wick=0), open=closes)
    assert len(swing_points(flat, 5)[0].at) == 1


def test_equal_turns_make_one_level_with_its_touches() -> None:
    candles = zigzag(100, 110, 100, 110, 100, 110, 105)
    support, resistance = find_levels(candles, *swing_points(candles), atr=1.0)
    assert resistance[0].level == pytest.approx(110, abs=0.2)
    assert resistance[0].touches == 3
    assert support[0].level == pytest.approx(100, abs=0.2)
    assert support[0].touches == 2
    assert resistance[0].distance_percent == pytest.approx(100 * (110 / 105 - 1), abs=0.2)
    assert resistance[0].last_touch > support[0].last_touch


def test_a_broken_resistance_becomes_support() -> None:
    candles = zigzag(100, 110, 102, 110, 103, 125)
    support, resistance = find_levels(candles, *swing_points(candles), atr=1.0)
    assert any(level.level == pytest.approx(110, abs=0.2) and level.touches == 2 for level in support)
    assert resistance == []


def test_proven_levels_come_before_nearer_single_turns() -> None:
    candles = zigzag(100, 120, 100, 118, 100, 116, 100, 114, 100, 120, 100, 112, 105)
    _, resistance = find_levels(candles, *swing_points(candles), atr=1.0)
    assert len(resistance) == 3
    assert any(level.touches > 1 and level.level == pytest.approx(120, abs=0.2) for level in resistance)
    assert [level.level for level in resistance] == sorted(level.level for level in resistance)


@given(seed=st.integers(0, 10_000), bars=st.integers(100, 400))
def test_levels_lie_on_their_side_and_no_two_touch(seed: int, bars: int) -> None:
    candles = random_walk(bars, seed=seed)
    highs, lows = swing_points(candles)
    support, resistance = find_levels(candles, highs, lows, atr=1.0)
    close = candles.close[-1]
    assert all(level.level < close and level.distance_percent <= 0 for level in support)
    assert all(level.level > close and level.distance_percent >= 0 for level in resistance)
    assert sum(level.touches for level in support + resistance) <= len(highs.at) + len(lows.at)
