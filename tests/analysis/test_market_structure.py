"""All structure in one call, from any candles."""

from __future__ import annotations

import sys
from dataclasses import fields

import numpy as np
import pytest
from nasty import NASTY, scaled
from walks import random_walk

from crypto_mcp.analysis.findings import Findings
from crypto_mcp.analysis.market_structure import Structure, StructureSettings, find_structure, in_zones, prepare
from crypto_mcp.errors import InvalidRequest
from crypto_mcp.models.candles import Candles


def findings(found: Structure) -> dict[str, Findings]:
    return {f.name: value for f in fields(found) if isinstance(value := getattr(found, f.name), Findings)}


@pytest.mark.parametrize("name", NASTY)
def test_nasty_candles_give_finite_figures_in_their_bounds(name: str) -> None:
    candles = NASTY[name]
    found = find_structure(candles, StructureSettings(internal=1, external=3, min_gap=0))
    for kind, table in findings(found).items():
        rows = table.rows
        for column in ("strength", "confidence"):
            assert ((rows[column] >= 0) & (rows[column] <= 100)).all(), (kind, column)
        for column in rows.dtype.names:
            if column not in table.kind.REVEALED:
                assert np.isfinite(rows[column]).all(), (kind, column)
        assert (rows["top"] >= rows["bottom"]).all()
        assert (rows["at"] <= rows["known_at"]).all()
        assert (np.diff(rows["known_at"]) >= 0).all()
        for state in table.kind.STATES:
            changed = rows[f"{state}_at"]
            assert ((changed == -1) | (changed >= rows["known_at"])).all()
            assert (changed < len(candles)).all()
        list(table)
    for series in (found.measures.bars.atr, found.measures.bars.volume_z, found.measures.relative_volume, found.cvd):
        assert np.isfinite(series).all()


def test_a_price_scale_changes_nothing_but_prices() -> None:
    """By powers of two, which are exact."""
    candles = random_walk(700, seed=3)
    base = findings(find_structure(candles))
    assert all(len(table) for table in base.values())
    for factor in (2.0**-40, 2.0**30):
        other = findings(find_structure(scaled(candles, factor)))
        for name, table in base.items():
            prices = {"top", "bottom", "level", "entry", "stop", "target"}
            for column in table.rows.dtype.names:
                expected = table.rows[column] * (factor if column in prices else 1)
                assert np.array_equal(other[name].rows[column], expected, equal_nan=True), (name, column)


def test_read_only_and_strided_columns_give_the_same() -> None:
    candles = random_walk(400, seed=3)
    table = np.column_stack([getattr(candles, n) for n in ("open", "high", "low", "close", "volume")])
    table.flags.writeable = False
    other = Candles(candles.open_time, *(table[:, i] for i in range(5)), step=candles.step)
    assert findings(find_structure(other)) == findings(find_structure(candles))


def test_after_preparing_no_request_waits_for_a_compiler() -> None:
    prepare()
    ours = [module for name, module in sys.modules.items() if name.startswith("crypto_mcp.analysis")]
    kernels = {kernel for module in ours for kernel in vars(module).values() if hasattr(kernel, "signatures")}
    before = {kernel: list(kernel.signatures) for kernel in kernels}
    assert len(before) > 20
    for candles in (random_walk(300, seed=4), NASTY["holes"], NASTY["1e-8"]):
        found = find_structure(candles, StructureSettings(internal=2, min_gap=0, min_displacement=2, break_by="wick"))
        found.fill_odds()
        in_zones(found.order_blocks, candles.close, "supply")
    assert {kernel: list(kernel.signatures) for kernel in kernels} == before


def test_settings_reach_the_definitions() -> None:
    candles = random_walk(800, seed=6)
    base = find_structure(candles)
    assert set(base.internal_swings.rows["reach"]) == {3}
    assert set(find_structure(candles, StructureSettings(internal=5)).internal_swings.rows["reach"]) == {5}
    assert len(find_structure(candles, StructureSettings(min_gap=0)).fair_value_gaps) > len(base.fair_value_gaps)
    assert len(find_structure(candles, StructureSettings(min_displacement=3)).order_blocks) < len(base.order_blocks)
    wicks = find_structure(candles, StructureSettings(break_by="wick"))
    assert len(wicks.internal_breaks) > len(base.internal_breaks)
    assert len(find_structure(candles, StructureSettings(equal_tolerance=1.0)).liquidity) > len(base.liquidity)
    assert find_structure(candles, StructureSettings(profile_rows=10)).profile.volume.shape == (10,)


@pytest.mark.parametrize("name", ["internal", "external", "impulse", "max_age", "profile_bars", "profile_rows"])
def test_settings_that_no_definition_allows_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match=name):
        StructureSettings(**{name: 0})


def test_order_blocks_come_from_both_scales_and_one_candle_makes_one() -> None:
    rows = find_structure(random_walk(3000, seed=6)).order_blocks.rows
    assert set(rows["reach"]) == {3, 10}
    assert len(set(rows["at"])) == len(rows)


def test_vwaps_are_anchored_at_the_newest_known_swings() -> None:
    found = find_structure(random_walk(500, seed=2))
    swings = found.external_swings.rows
    assert found.vwap_from_high.anchor == swings["at"][swings["direction"] == -1][-1]
    assert found.vwap_from_low.anchor == swings["at"][swings["direction"] == 1][-1]
    assert np.isfinite(found.vwap_from_low.vwap[-1])
