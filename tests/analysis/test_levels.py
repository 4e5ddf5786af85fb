"""Support and resistance made of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from walks import from_closes, random_walk

from crypto_mcp.analysis.levels import find_levels
from crypto_mcp.analysis.market_structure import find_structure
from crypto_mcp.models.analysis import Level
from crypto_mcp.models.candles import Candles


def zigzag(*turns: float, leg: int = 12) -> Candles:
    """Straight legs between the turns given, without wicks."""
    legs = [np.linspace(a, b, leg, endpoint=False) for a, b in pairwise(turns)]
    return from_closes(np.concatenate([*legs, turns[-1:]]), wick=0)


def levels(candles: Candles, atr: float = 1.0) -> tuple[list[Level], list[Level]]:
    return find_levels(candles, find_structure(candles).internal_swings, atr)


def test_equal_turns_make_one_level_with_its_touches() -> None:
    candles = zigzag(100, 110, 100, 110, 100, 110, 105)
    support, resistance = levels(candles)
    assert resistance[0].level == pytest.approx(110, abs=0.2)
    assert resistance[0].touches == 3
    assert support[0].level == pytest.approx(100, abs=0.2)
    assert support[0].touches == 2
    assert resistance[0].distance_percent == pytest.approx(100 * (110 / 105 - 1), abs=0.2)
    assert resistance[0].last_touch > support[0].last_touch


def test_a_broken_resistance_becomes_support() -> None:
    candles = zigzag(100, 110, 102, 110, 103, 125)
    support, resistance = levels(candles)
    assert any(level.level == pytest.approx(110, abs=0.2) and level.touches == 2 for level in support)
    assert resistance == []


def test_proven_levels_come_before_nearer_single_turns() -> None:
    candles = zigzag(100, 120, 100, 118, 100, 116, 100, 114, 100, 120, 100, 112, 105)
    _, resistance = levels(candles)
    assert len(resistance) == 2
    assert any(level.touches > 1 and level.level == pytest.approx(120, abs=0.2) for level in resistance)
    assert [level.level for level in resistance] == sorted(level.level for level in resistance)


@given(seed=st.integers(0, 10_000), bars=st.integers(100, 400))
def test_levels_lie_on_their_side_and_no_two_touch(seed: int, bars: int) -> None:
    candles = random_walk(bars, seed=seed)
    swings = find_structure(candles).internal_swings
    support, resistance = find_levels(candles, swings, atr=1.0)
    close = candles.close[-1]
    assert all(level.level < close and level.distance_percent <= 0 for level in support)
    assert all(level.level > close and level.distance_percent >= 0 for level in resistance)
    assert sum(level.touches for level in support + resistance) <= len(swings)
