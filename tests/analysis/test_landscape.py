"""Structure and zones as the score reads them, now and at the close of a bar that has not come yet."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from walks import from_closes, random_walk

from crypto_mcp.analysis.factors import structure_factor, zones_factor
from crypto_mcp.analysis.flips import NextBar
from crypto_mcp.analysis.landscape import Landscape, Standing, Zone, survey
from crypto_mcp.models.candles import Candles


@pytest.fixture(scope="module")
def landscape() -> Landscape:
    return survey(random_walk(300, seed=1))


def bare(landscape: Landscape, **parts: object) -> Landscape:
    """A landscape of which only the parts given matter."""
    empty = {"zones": (), "range": None, "external": Standing(), "internal": Standing()}
    return replace(landscape, **(empty | parts))


def test_a_close_beyond_an_unbroken_swing_breaks_structure() -> None:
    up = Standing(trend=1, kind="bos", level=90, since=10, high=110, low=95)
    assert up.after(50, 105) == up
    assert up.after(50, 111) == Standing(1, "bos", 110, 50)
    assert up.after(50, 94) == Standing(-1, "choch", 95, 50)
    assert Standing(high=110, low=95).after(50, 94).kind == "bos"


def test_a_break_fades_and_a_failed_one_counts_for_nothing() -> None:
    broken = Standing(trend=1, kind="bos", level=90, since=10)
    assert broken.freshness(10) == 1
    assert broken.freshness(20) == pytest.approx(math.exp(-1))
    assert replace(broken, failed=True).freshness(10) == 0
    assert Standing().freshness(10) == 0


@pytest.mark.parametrize("seed", range(12))
def test_the_next_bar_is_read_as_if_it_had_come(seed: int) -> None:
    """Standing.after agrees with finding structure afresh on the longer bars, for closes across the range."""
    candles = random_walk(260, seed=seed)
    before = survey(candles)
    for step in (0.9, 0.97, 1.0, 1.03, 1.1):
        close = float(candles.close[-1]) * step
        after = survey(NextBar(candles).closing_at(close))
        for told, found in (
            (before.external.after(260, close), after.external),
            (before.internal.after(260, close), after.internal),
        ):
            assert (told.trend, told.kind, told.since) == (found.trend, found.kind, found.since)


def test_structure_is_bullish_after_breaks_up_and_bearish_after_breaks_down(landscape: Landscape) -> None:
    up, down = Standing(1, "bos", 90, 100), Standing(-1, "choch", 90, 100)
    assert structure_factor(100, 100, bare(landscape, external=up, internal=up)).direction == pytest.approx(1)
    assert structure_factor(100, 100, bare(landscape, external=down, internal=down)).direction == pytest.approx(-1)
    mixed = structure_factor(100, 100, bare(landscape, external=up, internal=down))
    assert mixed.direction == pytest.approx(0.4)
    assert "BoS up" in mixed.words()
    assert "ChoCH down" in mixed.words()


def test_a_zone_pulls_in_full_inside_and_not_at_all_two_atr_away(landscape: Landscape) -> None:
    demand = bare(landscape, zones=(Zone("order block", 1, top=100, bottom=98, strength=0.8),))
    inside, half, far, broken = (zones_factor(price, 1.0, demand) for price in (99, 101, 102, 97))
    assert inside.value == pytest.approx(0.8)
    assert half.value == pytest.approx(0.4)
    assert (far.value, broken.value) == (0, 0)
    assert "in demand zone 98-100" in inside.words()
    assert "near demand zone" in half.words()
    assert "no zone" in far.words()


def test_supply_pulls_down_and_gaps_are_named(landscape: Landscape) -> None:
    supply = bare(landscape, zones=(Zone("gap", -1, top=102, bottom=101, strength=0.5),))
    reading = zones_factor(100, 1.0, supply)
    assert reading.value == pytest.approx(-0.25)
    assert "gap down 101-102" in reading.words()


def test_discount_is_bullish_and_premium_bearish(landscape: Landscape) -> None:
    bounds = landscape.range
    assert bounds is not None
    empty = bare(landscape, range=bounds)
    assert zones_factor(bounds.bottom, 1.0, empty).direction == pytest.approx(0.5)
    assert zones_factor(bounds.top, 1.0, empty).direction == pytest.approx(-0.5)
    assert zones_factor((bounds.top + bounds.bottom) / 2, 1.0, empty).direction == pytest.approx(0)


def test_zones_are_those_that_no_close_has_broken(landscape: Landscape) -> None:
    close = float(landscape.structure.measures.candles.close[-1])
    assert landscape.zones
    for zone in landscape.zones:
        assert zone.bottom <= zone.top
        assert 0 <= zone.strength <= 1
        assert close >= zone.bottom if zone.side > 0 else close <= zone.top


def test_a_market_without_swings_has_an_empty_landscape() -> None:
    flat: Candles = from_closes(100 + 0 * random_walk(120, seed=1).close, wick=0)
    empty = survey(flat)
    assert empty.zones == ()
    assert repr(empty.external) == repr(Standing())  # its level is NaN, equal to nothing
    assert (empty.support, empty.resistance, empty.range) == ([], [], None)
