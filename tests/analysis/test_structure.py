"""Breaks of structure and changes of character."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import drawn, in_ticks, path, states, upside_down
from smartmoneyconcepts.smc import smc
from smc_frames import frame
from walks import random_walk

from crypto_mcp.analysis.findings import Findings
from crypto_mcp.analysis.measures import measure
from crypto_mcp.analysis.structure import Break, BreakBy, find_breaks, trend_of
from crypto_mcp.analysis.swings import find_swings
from crypto_mcp.models.candles import Candles


def breaks(candles: Candles, reach: int = 1, by: BreakBy = "close", fail_within: int = 2) -> Findings[Break]:
    measures = measure(candles)
    swings = find_swings(measures, reach, equal_tolerance=0.1, max_age=1000)
    return find_breaks(measures, swings, by, fail_within)


# up to 110, back to 104, on to 114 (bar 7 breaks 110.5), back to 108, up a bar, down to 101 (bar 11 breaks 107.5)
ZIGZAG = path(100, 105, 110, 107, 104, 107, 110, 114, 111, 108, 111, 106, 102, 101)


def test_a_close_beyond_the_last_swing_breaks_structure_and_against_the_trend_changes_character() -> None:
    up, down = breaks(ZIGZAG)
    assert (up.at, up.known_at, up.kind, up.direction, up.level, up.swing_at) == (7, 7, "bos", "bullish", 110.5, 2)
    assert (down.at, down.kind, down.direction, down.level, down.swing_at) == (11, "choch", "bearish", 107.5, 9)
    assert (up.bottom, up.top) == (110.5, 114)


def test_the_trend_is_that_of_the_newest_break() -> None:
    assert trend_of(breaks(ZIGZAG), len(ZIGZAG)).tolist() == [0] * 7 + [1] * 4 + [-1] * 3


def test_a_swing_is_broken_once_and_only_after_it_is_known() -> None:
    found = breaks(random_walk(600, seed=3), reach=3)
    assert len(set(zip(found.rows["swing_at"], found.rows["direction"], strict=True))) == len(found)
    assert (found.rows["swing_at"] + 3 < found.rows["at"]).all()


# a swing high of 112, then a wick beyond that closes back, then a close beyond
WICK = drawn(
    (100, 105, 99, 101), *[(101, 112, 99, 101), (101, 103, 99, 100), (100, 113, 99, 101), (101, 115, 100, 114)]
)


def test_a_wick_breaks_only_where_wicks_count() -> None:
    assert [(b.at, b.level) for b in breaks(WICK)] == [(4, 112)]
    by_wick = breaks(WICK, by="wick")
    assert [(b.at, b.level) for b in by_wick] == [(3, 112)]
    assert by_wick[0].beyond_atr < 0
    assert states(by_wick) == [(3, "failed")]


def test_a_break_fails_when_a_close_comes_back_in_time_and_else_holds() -> None:
    rising = (100, 105, 110, 107, 104, 107, 112)
    assert states(breaks(path(*rising, 113, 112, 111))) == [(8, "held")]
    assert states(breaks(path(*rising, 113, 109, 111))) == [(8, "failed")]
    assert states(breaks(path(*rising, 113))) == []


def test_a_stronger_break_is_stronger() -> None:
    base = (100, 105, 110, 107, 104, 107)
    assert breaks(path(*base, 118))[0].strength > breaks(path(*base, 111))[0].strength


@pytest.mark.parametrize("by", ["close", "wick"])
def test_down_is_the_mirror_image_of_up(by: BreakBy) -> None:
    candles = in_ticks(random_walk(500, seed=8), 0.25)
    up, down = breaks(candles, 3, by), breaks(upside_down(candles, 256.0), 3, by)
    assert up.rows["at"].tolist() == down.rows["at"].tolist()
    assert up.rows["kind"].tolist() == down.rows["kind"].tolist()
    assert up.rows["direction"].tolist() == (-down.rows["direction"]).tolist()
    assert up.rows["strength"] == pytest.approx(down.rows["strength"])


def test_smartmoneyconcepts_breaks_the_same_levels_where_its_pattern_of_four_swings_occurs() -> None:
    """It asks for four alternating swings in order, which ours does not, and tells the break at an earlier bar."""
    agreed = told = 0
    for seed in range(6):
        candles = random_walk(800, seed=seed)
        swings = smc.swing_highs_lows(frame(candles), swing_length=5)
        theirs = smc.bos_choch(frame(candles), swings, close_break=True)
        ours = {(round(b.level, 2), b.at) for b in breaks(candles, 5)}
        rows = theirs[~theirs["Level"].isna() & (theirs.index > 5)]
        for level, bar in zip(rows["Level"], rows["BrokenIndex"], strict=True):
            told += 1
            agreed += any(abs(level - at) < 0.02 and bar == bars for at, bars in ours)
    assert told > 50
    assert agreed / told > 0.8


def test_nothing_is_broken_where_nothing_moves() -> None:
    flat = drawn(*[(5, 5, 5, 5)] * 60)
    assert not len(breaks(flat))
    assert not trend_of(breaks(flat), 60).any()
    assert np.isfinite(breaks(random_walk(300, seed=2), 2).rows["strength"]).all()
