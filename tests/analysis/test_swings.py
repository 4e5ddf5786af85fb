"""Swing points: what is one, from when it may be used, and what becomes of it."""

from __future__ import annotations

import numpy as np
import pytest
import talib
from drawn import drawn, in_ticks, path, states
from hypothesis import given, settings
from hypothesis import strategies as st
from smartmoneyconcepts.smc import smc
from smc_frames import frame
from walks import random_walk

from crypto_mcp.analysis.measures import measure
from crypto_mcp.analysis.swings import Swing, find_swings
from crypto_mcp.models.candles import Candles


def swings(candles: Candles, reach: int = 2, max_age: int = 1000) -> list[Swing]:
    return list(find_swings(measure(candles), reach, equal_tolerance=0.1, max_age=max_age))


#                               peak
PEAK = path(100, 101, 102, 105, 103, 102, 101)


def test_a_swing_high_lies_on_its_bar_and_is_known_reach_bars_later() -> None:
    (high,) = swings(PEAK)
    assert (high.at, high.known_at, high.top, high.bottom) == (3, 5, 105.5, 105.5)
    assert high.direction == "bearish"
    assert not swings(PEAK[:5])
    assert len(swings(PEAK[:6])) == 1


def test_of_equal_highs_the_first_counts() -> None:
    flat = drawn((9, 10, 8, 9), (9, 10, 8, 9), (9, 12, 8, 9), (9, 12, 8, 9), (9, 10, 8, 9), (9, 10, 8, 9))
    assert [(s.at, s.top) for s in swings(flat)] == [(2, 12)]


def test_flat_bars_have_no_swings() -> None:
    assert not swings(drawn(*[(5, 5, 5, 5)] * 40))


def test_labels_compare_with_the_swing_before_on_the_same_side() -> None:
    legs = [100, 103, 106, 103, 101, 104, 108, 105, 103, 105, 108, 104, 99, 103, 105, 101, 98, 99, 100]
    assert [(s.direction, s.label) for s in swings(path(*legs))] == [
        ("bearish", "first"),
        ("bullish", "first"),
        ("bearish", "higher_high"),
        ("bullish", "higher_low"),
        ("bearish", "equal_high"),
        ("bullish", "lower_low"),
        ("bearish", "lower_high"),
        ("bullish", "lower_low"),
    ]


def test_a_wick_sweeps_a_swing_and_a_close_breaks_it() -> None:
    quiet = (100, 101, 99, 100)
    both = drawn(quiet, quiet, (100, 110, 99, 100), quiet, quiet, (100, 111, 99, 100), (100, 112, 99, 111))
    found = find_swings(measure(both), 2, equal_tolerance=0.1, max_age=1000)
    assert states(found) == [(5, "swept"), (6, "broken")]


def test_an_old_swing_expires() -> None:
    high, *_ = swings(path(100, 101, 102, 105, 103, 102, *[101] * 10), max_age=4)
    assert [(c.bar, c.state) for c in high.changes] == [(9, "expired")]


def by_definition(candles: Candles, reach: int) -> set[tuple[int, str]]:
    found = set()
    for at in range(reach, len(candles) - reach):
        before, after = slice(at - reach, at), slice(at + 1, at + reach + 1)
        if candles.high[at] > candles.high[before].max() and candles.high[at] >= candles.high[after].max():
            found.add((at, "bearish"))
        if candles.low[at] < candles.low[before].min() and candles.low[at] <= candles.low[after].min():
            found.add((at, "bullish"))
    return found


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), reach=st.integers(1, 8), bars=st.integers(1, 200))
def test_swings_are_those_of_the_definition(seed: int, reach: int, bars: int) -> None:
    """Prices in coarse ticks, so that ties are common."""
    candles = in_ticks(random_walk(bars, seed=seed), 0.5)
    assert {(s.at, s.direction) for s in swings(candles, reach)} == by_definition(candles, reach)


def test_the_average_true_range_is_that_of_ta_lib_from_its_first_value_on() -> None:
    candles = random_walk(300, seed=1)
    ours = measure(candles).bars.atr
    theirs = talib.ATR(candles.high, candles.low, candles.close, 14)
    assert ours[14:] == pytest.approx(theirs[14:], rel=1e-12)
    assert np.isfinite(ours).all()


@pytest.mark.parametrize("seed", range(5))
def test_every_swing_of_smartmoneyconcepts_that_beats_both_sides_is_one_of_ours(seed: int) -> None:
    """Theirs looks at one bar less before than after, and adds one at either end of the series."""
    candles, reach = random_walk(600, seed=seed), 5
    theirs = smc.swing_highs_lows(frame(candles), swing_length=reach)["HighLow"].to_numpy()
    ours = {(s.at, s.direction) for s in swings(candles, reach)}
    inner = [at for at in np.flatnonzero(~np.isnan(theirs)) if reach <= at < len(candles) - reach]
    assert len(inner) > 30
    for at in inner:
        high = theirs[at] == 1
        beats_furthest = (
            candles.high[at] > candles.high[at - reach] if high else candles.low[at] < candles.low[at - reach]
        )
        assert ((at, "bearish" if high else "bullish") in ours) == beats_furthest
