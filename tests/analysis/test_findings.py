"""Findings in columns: read as objects, cut back to what was known."""

from __future__ import annotations

import pytest
from walks import random_walk

from crypto_mcp.analysis.findings import Change
from crypto_mcp.analysis.market_structure import Structure, find_structure


@pytest.fixture(scope="module")
def found() -> Structure:
    return find_structure(random_walk(800, seed=4))


def test_a_row_reads_the_same_alone_and_in_passing(found: Structure) -> None:
    blocks = found.order_blocks
    assert list(blocks) == [blocks[i] for i in range(len(blocks))]
    assert list(blocks[3:6]) == list(blocks)[3:6]
    assert blocks[-1] == list(blocks)[-1]
    with pytest.raises(IndexError):
        blocks[len(blocks)]


def test_the_state_is_that_of_the_newest_change(found: Structure) -> None:
    block = next(block for block in found.order_blocks if len(block.changes) > 2)
    first, *_, last = block.changes
    assert block.state == last.state
    assert block.state_at(first.bar - 1) == "active"
    assert block.state_at(last.bar) == last.state
    assert [change.bar for change in block.changes] == sorted(change.bar for change in block.changes)


def test_as_of_hides_later_findings_later_changes_and_what_they_revealed(found: Structure) -> None:
    block = next(block for block in found.order_blocks if block.role)
    broken = next(change.bar for change in block.changes if change.state == "broken")
    before = next(b for b in found.order_blocks.as_of(broken) if b.at == block.at and b.known_at == block.known_at)
    assert before.role == ""
    assert Change(broken, "broken") not in before.changes
    assert all(b.known_at < broken for b in found.order_blocks.as_of(broken))
    untested = found.order_blocks.as_of(block.known_at + 1)[-1]
    assert untested.reaction_atr is None
    assert untested.changes == ()


def test_alive_leaves_out_what_has_ended(found: Structure) -> None:
    alive = {block.at for block in found.order_blocks.alive()}
    for block in found.order_blocks:
        ended = any(change.state in {"spent", "expired"} for change in block.changes)
        assert (block.at in alive) != ended


def test_every_zone_says_why_and_grows_stale(found: Structure) -> None:
    block = found.order_blocks[0]
    assert f"{block.displacement_atr:.1f} ATR" in block.why
    assert block.freshness(block.known_at) == 1
    assert block.freshness(block.known_at + 10_000) < 0.01
    gap = found.fair_value_gaps[0]
    assert f"{100 * gap.fill_50:.0f}" in gap.why
