"""Findings as the answer lists them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from walks import random_walk

from crypto_mcp.analysis.assess import assess
from crypto_mcp.analysis.indicators import INDICATORS
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
    details = full.details.structure
    for shown, listed in ((full.order_blocks, details.order_blocks), (full.gaps, details.gaps)):
        assert shown[0].model_dump().items() <= listed[0].model_dump().items()
        assert len({zone.type for zone in shown}) == len(shown) <= 2


def test_a_full_answer_says_when_each_finding_was_known_and_why(full: Assessment) -> None:
    """Never before its bar, and never in a summary, where words are dear."""
    details = full.details.structure
    for found in (details.swings, details.order_blocks, details.gaps, details.liquidity, details.divergences):
        assert found
        assert all(finding.known_at >= finding.timestamp for finding in found)
    assert all("ATR" in zone.why for zone in (*details.order_blocks, *details.breakers, *details.gaps))
    assert all(gap.fill_within["10"] <= gap.fill_within["50"] <= gap.fill_within["200"] for gap in details.gaps)
    assert all(gap.fill_within["50"] == gap.fill_probability for gap in details.gaps)
    assert all(block.role in {"breaker", "mitigation"} for block in details.breakers)
    assert not {"why", "known_at", "freshness", "role"} & full.order_blocks[0].model_dump().keys()


def test_a_full_answer_reads_volume(full: Assessment) -> None:
    volume = full.details.structure.volume
    assert volume.value_area_low <= volume.point_of_control <= volume.value_area_high
    assert -100 <= volume.delta_percent <= 100
    assert [band.anchor for band in volume.anchored_vwap] == ["high", "low"]
    for band in volume.anchored_vwap:
        assert band.lower_2 <= band.vwap <= band.upper_2


def test_a_full_answer_has_every_indicator_at_its_usual_settings(full: Assessment) -> None:
    outputs = {output.name for indicator in INDICATORS.values() if indicator.needs for output in indicator.outputs}
    assert outputs <= full.details.indicators.keys()
    assert len(outputs) > 100
    assert full.details.indicators["rsi"] == full.indicators["rsi_14"]
    assert set(full.indicators) < set(full.details.indicators)


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
