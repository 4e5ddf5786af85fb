"""The trade plan: stop behind structure, targets ahead, figures that agree with each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from walks import from_closes

from crypto_mcp.analysis.landscape import Landscape, Zone, survey
from crypto_mcp.analysis.plan import trade_plan
from crypto_mcp.models.analysis import Level, Side

EMPTY = survey(from_closes(np.full(120, 100.0), wick=0))


def level(price: float) -> Level:
    return Level(level=price, touches=2, distance_percent=0, last_touch=datetime(2024, 1, 1, tzinfo=UTC))


def landscape(price: float, *turns: float, zones: tuple[Zone, ...] = ()) -> Landscape:
    """Levels at the turns, and zones."""
    below = [level(turn) for turn in turns if turn < price]
    above = [level(turn) for turn in turns if turn > price]
    return replace(EMPTY, support=below, resistance=above, zones=zones)


def test_the_stop_stands_behind_the_nearest_structure() -> None:
    plan = trade_plan("long", 100.0, 1.0, landscape(100, 99.5, 98.0, 95.0, 101.0, 105.0))
    assert plan.stop == pytest.approx(97.75)  # 99.5 is nearer than 0.75 ATR
    assert plan.target_1 == pytest.approx(102.25)
    assert plan.target_2 == pytest.approx(105.0)
    assert plan.risk_percent == pytest.approx(2.25)
    assert plan.reward_risk == pytest.approx(5 / 2.25, abs=0.01)


def test_the_stop_stands_behind_a_zone_and_the_target_before_one() -> None:
    """A zone is broken at its far edge, and met at its near one."""
    demand, supply = Zone("order block", 1, 99, 98, 1.0), Zone("gap", -1, 106, 105, 1.0)
    plan = trade_plan("long", 100.0, 1.0, landscape(100, zones=(demand, supply)))
    assert plan.stop == pytest.approx(97.75)
    assert plan.target_2 == pytest.approx(105)
    short = trade_plan("short", 104.5, 1.0, landscape(104.5, zones=(demand, supply)))
    assert short.stop == pytest.approx(106.25)
    assert short.target_2 == pytest.approx(99)


def test_without_structure_the_stop_is_two_atr_away_and_the_target_two_risks() -> None:
    plan = trade_plan("short", 100.0, 1.5, EMPTY)
    assert (plan.stop, plan.target_1, plan.target_2) == (103.0, 97.0, 94.0)
    assert "above 103" in plan.invalidation


def test_short_is_the_mirror_image_of_long() -> None:
    turns = [96.0, 97.5, 99.0, 101.2, 102.8, 104.0]
    long = trade_plan("long", 100.0, 1.0, landscape(100, *turns))
    short = trade_plan("short", 100.0, 1.0, landscape(100, *(200 - price for price in turns)))
    for name in ("stop", "target_1", "target_2"):
        assert getattr(long, name) + getattr(short, name) == pytest.approx(200)
    assert long.entry_low + short.entry_high == pytest.approx(200, abs=0.001)
    assert long.reward_risk == short.reward_risk


@given(
    side=st.sampled_from(["long", "short"]),
    price=st.floats(1e-6, 1e7),
    atr=st.floats(1e-4, 3.0),
    turns=st.lists(st.floats(0.2, 5.0), max_size=12),
)
def test_every_plan_is_in_order(side: Side, price: float, atr: float, turns: list[float]) -> None:
    """Stop, entry, price, first and second target lie in this order, above zero, whatever the volatility."""
    plan = trade_plan(side, price, atr * price, landscape(price, *(price * turn for turn in turns)))
    line = [plan.stop, plan.entry_low, plan.entry_high, plan.target_1, plan.target_2]
    if side == "short":
        line = [-plan.stop, -plan.entry_high, -plan.entry_low, -plan.target_1, -plan.target_2]
    assert line == sorted(line)
    assert min(abs(x) for x in line) > 0
    assert 1.5 <= plan.reward_risk <= 4
