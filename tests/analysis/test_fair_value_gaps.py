"""Fair value gaps: where they are, how they fill, what they advise."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import drawn, states, upside_down
from smartmoneyconcepts.smc import smc
from smc_frames import frame
from walks import random_walk

from crypto_mcp.analysis.fair_value_gaps import STOP_ROOM, FairValueGap, find_fair_value_gaps
from crypto_mcp.analysis.findings import Findings
from crypto_mcp.analysis.market_structure import find_structure
from crypto_mcp.analysis.measures import measure
from crypto_mcp.analysis.swings import find_swings
from crypto_mcp.models.candles import Candles


def gaps(candles: Candles, min_size: float = 0.0, max_age: int = 1000) -> Findings[FairValueGap]:
    measures = measure(candles)
    swings = find_swings(measures, 2, equal_tolerance=0.1, max_age=1000)
    return find_fair_value_gaps(measures, swings, min_size=min_size, max_age=max_age)


#   106           ┌──
#   104         ┌─┤    low of the third bar
#               │ ▒    the gap, 102 to 104
#   102     ├─┐ ▒      high of the first bar
#   100   ──┘ └
GAP = ((100, 102, 99, 101), (101, 105, 101, 105), (105, 106, 104, 106))


def test_a_gap_lies_between_the_first_and_the_third_bar_and_is_known_with_the_third() -> None:
    (gap,) = gaps(drawn(*GAP))
    assert (gap.at, gap.known_at, gap.direction, gap.bottom, gap.top) == (1, 2, "bullish", 102, 104)
    assert not len(gaps(drawn(*GAP[:2])))


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([(106, 107, 104.5, 106)], []),
        ([(106, 107, 103.5, 106)], [(3, "tested")]),
        ([(106, 107, 103, 106)], [(3, "tested"), (3, "mitigated")]),
        ([(106, 107, 102, 106)], [(3, "tested"), (3, "mitigated"), (3, "filled")]),
        (
            [(106, 107, 101, 101.5), (101.5, 103, 100, 101), (101, 105, 101, 105)],
            [(3, "tested"), (3, "mitigated"), (3, "filled"), (3, "inverted"), (5, "spent")],
        ),
    ],
)
def test_a_gap_fills_in_steps(after: list[tuple[float, ...]], expected: list[tuple[int, str]]) -> None:
    assert states(gaps(drawn(*GAP, *after))) == expected


def test_an_open_gap_expires() -> None:
    assert states(gaps(drawn(*GAP, *[(106, 107, 105, 106)] * 9), max_age=5)) == [(8, "expired")]


def test_small_gaps_are_left_out_on_request() -> None:
    size = gaps(drawn(*GAP))[0].size_atr
    assert len(gaps(drawn(*GAP), min_size=size * 0.99)) == 1
    assert not len(gaps(drawn(*GAP), min_size=size * 1.01))


@pytest.mark.parametrize("seed", range(6))
def test_gaps_and_their_first_test_are_those_of_smartmoneyconcepts(seed: int) -> None:
    """Which also asks that the middle bar points the gap's way; and it marks the bar before the gap is known."""
    candles = random_walk(900, seed=seed)
    theirs = smc.fvg(frame(candles))
    ours = [gap for gap in gaps(candles) if gap.displacement_atr > 0]
    at = np.flatnonzero(~np.isnan(theirs["FVG"]))
    assert len(at) > 20
    assert [gap.at for gap in ours] == at.tolist()
    assert [1 if gap.direction == "bullish" else -1 for gap in ours] == theirs["FVG"][at].tolist()
    assert [gap.top for gap in ours] == theirs["Top"][at].tolist()
    assert [gap.bottom for gap in ours] == theirs["Bottom"][at].tolist()
    tested = [next((c.bar for c in gap.changes if c.state == "tested"), 0) for gap in ours]
    assert tested == theirs["MitigatedIndex"][at].astype(int).tolist()


def test_the_advice_enters_at_the_near_edge_and_stops_behind_the_far_one() -> None:
    for gap in gaps(random_walk(900, seed=2)):
        sign = 1 if gap.direction == "bullish" else -1
        near, far = (gap.top, gap.bottom) if sign > 0 else (gap.bottom, gap.top)
        assert gap.entry == near
        assert sign * (far - gap.stop) > 0
        assert sign * (gap.target - gap.entry) > 0
        assert gap.reward_risk == pytest.approx((gap.target - gap.entry) / (gap.entry - gap.stop))
        assert gap.reward_risk >= 1
    assert STOP_ROOM > 0


def test_chances_of_a_fill_rise_with_time_and_fall_with_distance() -> None:
    found = find_structure(random_walk(3000, seed=5))
    rows = found.fair_value_gaps.rows
    assert ((rows["fill_10"] <= rows["fill_50"]) & (rows["fill_50"] <= rows["fill_200"])).all()
    assert rows["confidence"] == pytest.approx(100 * rows["fill_50"])
    small, large = rows["size_atr"] < 0.3, rows["size_atr"] > 1
    assert rows["fill_10"][small].mean() > rows["fill_10"][large].mean()


def test_open_gaps_are_asked_again_from_where_price_is_now() -> None:
    candles = random_walk(1500, seed=5)
    found = find_structure(candles)
    chances = found.fill_odds()
    is_open = np.isfinite(chances).all(1)
    rows = found.fair_value_gaps.rows
    assert 0 < is_open.sum() < len(rows)
    assert (is_open == ((rows["filled_at"] < 0) & (rows["expired_at"] < 0))).all()
    away = np.where(rows["direction"] > 0, candles.close[-1] - rows["bottom"], rows["top"] - candles.close[-1])
    nearest, furthest = np.argmin(np.where(is_open, away, np.inf)), np.argmax(np.where(is_open, away, -np.inf))
    assert chances[nearest, 1] > chances[furthest, 1]


def test_bearish_gaps_are_the_mirror_image_of_bullish_ones() -> None:
    up = gaps(drawn(*GAP, (106, 107, 101, 101.5)))[0]
    down = gaps(upside_down(drawn(*GAP, (106, 107, 101, 101.5)), 128.0))[0]
    assert (down.direction, 256 - down.top, 256 - down.bottom) == ("bearish", up.bottom, up.top)
    assert down.changes == up.changes
    assert (256 - down.entry, 256 - down.stop) == (up.entry, pytest.approx(up.stop))
