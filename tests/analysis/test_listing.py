"""Findings as the answer lists them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from walks import random_walk

from crypto_mcp.analysis.assess import assess
from crypto_mcp.models.analysis import Assessment


@pytest.fixture(scope="module", params=range(4))
def full(request: pytest.FixtureRequest) -> Assessment:
    return assess(random_walk(600, seed=request.param, drift=0.0005), detail="full")


def distance(price: float, top: float, bottom: float) -> float:
    return max(bottom - price, price - top, 0.0)


def test_zones_come_nearest_first_and_lie_on_their_side(full: Assessment) -> None:
    blocks, gaps = full.details.structure.order_blocks, full.details.structure.gaps
    assert blocks
    assert gaps
    for found in (blocks, gaps):
        away = [distance(full.price, zone.top, zone.bottom) for zone in found]
        assert away == pytest.approx(sorted(away), abs=full.price * 1e-5)  # prices are rounded
    for block in blocks:
        assert block.level == (block.top if block.type == "demand" else block.bottom)
        assert block.state in {"active", "tested", "mitigated"}
    for gap in gaps:
        assert gap.state in {"active", "tested", "mitigated"}
        assert (gap.target > gap.entry > gap.stop) == (gap.type == "bullish")


def test_a_summary_shows_the_nearest_of_the_full_answer(full: Assessment) -> None:
    assert len(full.order_blocks) <= 3
    assert full.order_blocks[0] == full.details.structure.order_blocks[0]
    assert full.gaps[0] == full.details.structure.gaps[0]
    assert len({gap.type for gap in full.gaps}) == len(full.gaps)


def test_events_come_newest_first_and_none_lies_in_the_future(full: Assessment) -> None:
    candles = random_walk(600, seed=0)
    newest = datetime.fromtimestamp(int(candles.open_time[-1]) / 1000, UTC)
    details = full.details.structure
    for events in (details.breaks, details.sweeps):
        times = [event.timestamp for event in events]
        assert times == sorted(times, reverse=True)
        assert all(time <= newest for time in times)
    assert {event.scope for event in details.breaks} <= {"internal", "external"}


def test_a_full_answer_stays_under_sixty_kilobytes(full: Assessment) -> None:
    assert len(full.model_dump_json()) < 60_000


def test_liquidity_lies_where_stops_would_rest(full: Assessment) -> None:
    """A high that nothing has broken lies above every close since, so above the last one; a low below."""
    for level in full.details.structure.liquidity:
        assert level.level >= full.price if level.side == "high" else level.level <= full.price
