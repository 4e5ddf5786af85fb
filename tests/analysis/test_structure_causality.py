"""No structure looks ahead: what was known after k bars is what the first k bars alone give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nasty import NASTY
from replay import DIRECTORY, ours, recorded, rewritten, theirs
from walks import mean_reverting, random_walk

from crypto_mcp.analysis.dealing_range import DealingRanges
from crypto_mcp.analysis.findings import Findings
from crypto_mcp.analysis.kernels import Bars
from crypto_mcp.analysis.market_structure import Structure, StructureSettings, find_structure, in_zones
from crypto_mcp.analysis.measures import Measures
from crypto_mcp.models.candles import Candles

# Read at the newest bar only, from bars up to it; nothing of them is told about earlier bars.
NEWEST_ONLY = {"profile", "vwap_from_high", "vwap_from_low"}
SETTINGS = (
    StructureSettings(max_age=60),
    StructureSettings(internal=1, external=4, break_by="wick", min_gap=0.0, max_age=200),
)


def differing(found: object, bars: int, known: object) -> list[str]:
    """Names of what `found` tells of the first `bars` bars other than `known`, which was found in them alone."""
    if isinstance(found, Findings):
        return [] if found.as_of(bars) == known else [found.kind.__name__]
    if isinstance(found, np.ndarray):
        return [] if np.array_equal(found[:bars], known, equal_nan=True) else ["series"]
    names = found._fields if isinstance(found, Bars) else [f.name for f in fields(found)]
    differences = []
    for name in names:
        if name not in NEWEST_ONLY | {"candles", "mirror"}:
            inner = differing(getattr(found, name), bars, getattr(known, name))
            differences += [f"{name}: {difference}" for difference in inner]
    return differences


def check(candles: Candles, cuts: list[int], chosen: StructureSettings, finder: Callable = find_structure) -> None:
    whole = finder(candles, chosen)
    for bars in cuts:
        known = finder(candles[:bars], chosen)
        assert differing(whole, bars, known) == []
        for zones in ("order_blocks", "fair_value_gaps"):
            inside = in_zones(getattr(whole, zones), candles.close)[:bars]
            assert np.array_equal(inside, in_zones(getattr(known, zones), candles.close[:bars]))


def test_everything_in_a_structure_is_compared() -> None:
    """A field of a kind that `differing` does not know would fail there; these are all it meets."""
    found = find_structure(random_walk(300, seed=1))
    kinds = {type(getattr(found, f.name)) for f in fields(Structure) if f.name not in NEWEST_ONLY}
    assert kinds == {Measures, Findings, DealingRanges, np.ndarray}


@settings(max_examples=40)
@given(
    seed=st.integers(0, 100_000),
    bars=st.integers(1, 500),
    reverting=st.booleans(),
    chosen=st.sampled_from(SETTINGS),
    data=st.data(),
)
def test_generated_candles(
    seed: int, bars: int, reverting: bool, chosen: StructureSettings, data: st.DataObject
) -> None:
    candles = mean_reverting(bars, seed=seed) if reverting else random_walk(bars, seed=seed)
    check(candles, data.draw(st.lists(st.integers(0, bars), min_size=1, max_size=4)), chosen)


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("chosen", SETTINGS)
def test_nasty_candles(name: str, chosen: StructureSettings) -> None:
    candles = NASTY[name]
    check(candles, list(range(0, len(candles) + 1, max(1, len(candles) // 12))), chosen)


@pytest.mark.parametrize("seed", range(10))
def test_every_single_bar(seed: int) -> None:
    """Some look-ahead shows on few bars only: a newer swing that is used too early hides the break of an older one."""
    candles = random_walk(350, seed=seed) if seed % 2 else mean_reverting(350, seed=seed, pull=0.1)
    check(candles, list(range(351)), SETTINGS[seed % 3 % 2])


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "LINKUSDT", "DOGEUSDT"])
def test_recorded_candles(symbol: str) -> None:
    if not (DIRECTORY / f"{symbol}-1h.parquet").exists():
        pytest.skip(f"no recorded candles in {DIRECTORY}")
    candles = recorded(symbol)
    check(candles[-3000:], [1, 57, 500, 1234, 2600, 2999], StructureSettings())
    check(candles[20_000:20_350], list(range(351)), StructureSettings(internal=2, external=5))


@pytest.mark.parametrize("lie", ["early", "late change"])
def test_a_finder_that_cheats_is_caught(lie: str) -> None:
    """One that claims to know swings on their own bar, and one that lets a later bar change a strength."""

    def cheating(candles: Candles, chosen: StructureSettings) -> Structure:
        found = find_structure(candles, chosen)
        rows = found.external_swings.rows.copy()
        if lie == "early":
            rows["known_at"] = rows["at"]
        else:
            rows["strength"][rows["broken_at"] >= 0] /= 2
        return replace(found, external_swings=Findings(found.external_swings.kind, rows))

    with pytest.raises(AssertionError, match="external_swings: Swing"):
        check(random_walk(300, seed=5), list(range(100, 300, 7)), SETTINGS[0], cheating)


def test_replayed_bar_by_bar_nothing_settled_is_rewritten() -> None:
    """The figure that users of such libraries compare; smartmoneyconcepts rewrites on the same bars."""
    candles = random_walk(240, seed=12)
    assert sum(rewritten(candles, ours, 0).values()) == 0
    assert sum(rewritten(candles, theirs, 0).values()) > 50
