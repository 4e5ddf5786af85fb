"""Liquidity: pools, levels of sessions, days, weeks and months, sweeps; the dealing range."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from drawn import HOUR, MONDAY, drawn, path
from walks import random_walk

from crypto_mcp.analysis.dealing_range import DealingRange, DealingRanges, find_dealing_ranges
from crypto_mcp.analysis.findings import Findings
from crypto_mcp.analysis.liquidity import LiquidityLevel, Sweep, find_liquidity, find_sweeps
from crypto_mcp.analysis.measures import measure
from crypto_mcp.analysis.swings import find_swings
from crypto_mcp.models.candles import Candles

DAY = 24 * HOUR


def levels(candles: Candles, tolerance: float = 0.1, max_age: int = 1000) -> Findings[LiquidityLevel]:
    measures = measure(candles)
    swings = find_swings(measures, 1, equal_tolerance=tolerance, max_age=1000)
    return find_liquidity(measures, swings, equal_tolerance=tolerance, search=100, max_age=max_age)


def sweeps(candles: Candles) -> list[Sweep]:
    measures = measure(candles)
    return list(find_sweeps(measures, levels(candles), find_swings(measures, 2, equal_tolerance=0.1, max_age=1000)))


def pools(candles: Candles) -> list[LiquidityLevel]:
    return [level for level in levels(candles) if level.kind == "pool" and level.direction == "bearish"]


def history(level: LiquidityLevel) -> list[tuple[int, str]]:
    return [(change.bar, change.state) for change in level.changes]


#  110   ┬       ┬       ┬    three highs within a tenth of an ATR
#       ─┴─┐   ┌─┴─┐   ┌─┴─
#          └───┘   └───┘
HIGHS = ((100, 104, 100, 104), (104, 110, 103, 104), (104, 105, 100, 101))
THREE = (*HIGHS, *((a, b + 0.1 * (b == 110), c, d) for a, b, c, d in HIGHS), *HIGHS)


def test_two_equal_highs_make_a_pool_and_a_third_replaces_it() -> None:
    two, three = pools(drawn(*THREE))
    assert (two.at, two.known_at, two.touches, two.bottom, two.top) == (4, 5, 2, 110, 110.1)
    assert (three.at, three.known_at, three.touches, three.bottom, three.top) == (7, 8, 3, 110, 110.1)
    assert history(two) == [(8, "replaced")]
    assert three.strength > two.strength


def test_a_high_that_was_passed_in_between_makes_no_pool() -> None:
    passed = (*HIGHS, (101, 115, 100, 101), (101, 102, 99, 100), *HIGHS)
    assert not pools(drawn(*passed))


def test_a_wick_beyond_a_pool_sweeps_it_and_a_close_breaks_it() -> None:
    candles = drawn(*THREE[:6], (101, 111, 100, 102), (102, 113, 101, 112))
    (pool,) = pools(candles)
    assert history(pool) == [(6, "swept"), (7, "broken")]
    (sweep,) = [s for s in sweeps(candles) if s.kind == "pool"]
    assert (sweep.at, sweep.known_at, sweep.direction) == (6, 6, "bearish")
    assert (sweep.level, sweep.top, sweep.bottom, sweep.level_at) == (110.1, 111, 110.1, 4)
    assert sweep.back_atr == pytest.approx((111 - 102) / measure(candles).bars.atr[6])


def days(count: int, start: int = MONDAY) -> Candles:
    """Hourly bars whose high is 100 plus the day's number at noon, whose low 50 less it at six."""
    bars = []
    for hour in range(count * 24):
        day = hour // 24
        bars.append((75, 100 + day if hour % 24 == 12 else 76, 50 - day if hour % 24 == 6 else 74, 75))
    return drawn(*bars, start=start)


def test_the_last_days_high_and_low_are_known_when_the_day_is_over() -> None:
    found = [level for level in levels(days(3)) if level.kind == "day"]
    assert [(x.direction, x.at, x.known_at, x.top) for x in found] == [
        ("bearish", 12, 23, 100),
        ("bullish", 6, 23, 50),
        ("bearish", 36, 47, 101),
        ("bullish", 30, 47, 49),
        ("bearish", 60, 71, 102),
        ("bullish", 54, 71, 48),
    ]
    assert history(found[0]) == [(36, "swept"), (47, "replaced")]
    assert history(found[-1]) == []


def test_a_day_that_began_before_the_bars_gives_no_level() -> None:
    found = [level for level in levels(days(3)[5:]) if level.kind == "day"]
    assert [level.top for level in found] == [101, 49, 102, 48]


def test_a_period_that_ends_in_a_hole_is_known_with_the_bar_after_the_hole() -> None:
    whole = days(2)
    keep = np.r_[0:20, 30:48]
    holed = Candles(*(getattr(whole, n)[keep] for n in ("open_time", "open", "high", "low", "close", "volume")), HOUR)
    assert [level.known_at for level in levels(holed) if level.kind == "day"] == [20, 20, 37, 37]


def test_sessions_weeks_and_months_are_those_of_the_calendar() -> None:
    candles = random_walk(24 * 70, seed=3)
    candles = Candles(MONDAY + HOUR * np.arange(len(candles)), candles.open, candles.high, candles.low, candles.close,
                      candles.volume, step=HOUR)  # fmt: skip
    found = levels(candles)
    when = [datetime.fromtimestamp(int(t) / 1000, UTC) for t in candles.open_time]
    hours = {"asia": range(9), "london": range(7, 16), "new_york": range(13, 22)}
    for kind, session in hours.items():
        highs = [level for level in found if level.kind == kind and level.direction == "bearish"]
        assert len(highs) == 70
        for level in highs:
            inside = [i for i, t in enumerate(when) if t.date() == when[level.at].date() and t.hour in session]
            assert level.top == candles.high[inside].max()
            assert level.known_at == inside[-1]
    weeks = [level for level in found if level.kind == "week" and level.direction == "bullish"]
    assert [level.known_at for level in weeks] == [168 * (i + 1) - 1 for i in range(10)]
    assert [level.bottom for level in weeks] == [candles.low[168 * i : 168 * (i + 1)].min() for i in range(10)]
    months = [level for level in found if level.kind == "month" and level.direction == "bearish"]
    assert [(when[level.known_at].month, when[level.known_at].day) for level in months] == [(1, 31), (2, 29)]


def test_bars_too_long_for_a_period_have_none() -> None:
    candles = drawn(*[(75, 76, 74, 75)] * 40, step=DAY)
    assert {level.kind for level in levels(candles) if level.touches == 1} == {"week", "month"}
    assert not [x for x in levels(drawn(*[(75, 76, 74, 75)] * 40, step=3 * DAY)) if x.touches == 1]


def ranges(candles: Candles) -> tuple[DealingRanges, DealingRange | None]:
    measures = measure(candles)
    found = find_dealing_ranges(measures, find_swings(measures, 1, equal_tolerance=0.1, max_age=1000))
    return found, found.at(len(candles) - 1, candles.close)


def test_the_dealing_range_spans_the_last_swings_and_what_came_after() -> None:
    candles = path(105, 100, 110, 120, 115, 108, wick=0)
    found, newest = ranges(candles)
    assert found.top_at.tolist() == [-1, -1, -1, -1, 3, 3]
    assert newest is not None
    assert (newest.bottom, newest.top, newest.direction) == (100, 120, "bullish")
    assert newest.position == pytest.approx(0.4)
    assert newest.place == "discount"
    assert (newest.ote_low, newest.ote_high) == pytest.approx((120 - 0.79 * 20, 120 - 0.62 * 20))
    assert not newest.in_ote
    assert ranges(path(105, 100, 110, 120, 115, 106, wick=0))[1].in_ote
    beyond = ranges(path(105, 100, 110, 120, 115, 108, 130, wick=0))[1]
    assert (beyond.top, beyond.position, beyond.place) == (130, 1.0, "premium")


def test_a_close_always_lies_in_its_dealing_range() -> None:
    candles = random_walk(800, seed=6)
    found, _ = ranges(candles)
    position = found.position(candles.close)
    known = found.top_at >= 0
    assert ((position[known] >= 0) & (position[known] <= 1)).all()
    assert np.isnan(position[~known]).all()


def test_there_is_no_dealing_range_without_swings() -> None:
    assert ranges(drawn(*[(5, 5, 5, 5)] * 9))[1] is None
