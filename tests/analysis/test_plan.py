"""The trade plan: stop behind structure, targets ahead, figures that agree with each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_mcp.analysis.plan import trade_plan


def test_the_stop_stands_behind_the_nearest_structure() -> None:
    plan = trade_plan("long", 100.0, 1.0, [99.5, 98.0, 95.0, 101.0, 105.0])
    assert plan.stop == pytest.approx(97.75)  # 99.5 is nearer than 0.75 ATR
    assert plan.target_1 == pytest.approx(102.25)
    assert plan.target_2 == pytest.approx(105.0)
    assert plan.risk_percent == pytest.approx(2.25)
    assert plan.reward_risk == pytest.approx(5 / 2.25, abs=0.01)


def test_without_structure_the_stop_is_two_atr_away_and_the_target_two_risks() -> None:
    plan = trade_plan("short", 100.0, 1.5, [])
    assert (plan.stop, plan.target_1, plan.target_2) == (103.0, 97.0, 94.0)


def test_short_is_the_mirror_image_of_long() -> None:
    structure = [96.0, 97.5, 99.0, 101.2, 102.8, 104.0]
    long = trade_plan("long", 100.0, 1.0, structure)
    short = trade_plan("short", 100.0, 1.0, [200 - price for price in structure])
    for name in ("stop", "target_1", "target_2"):
        assert getattr(long, name) + getattr(short, name) == pytest.approx(200)
    assert long.entry_low + short.entry_high == pytest.approx(200, abs=0.001)
    assert long.reward_risk == short.reward_risk


prices = st.floats(1e-6, 1e7)


@given(
    side=st.sampled_from(["long", "short"]),
    price=prices,
    atr=st.floats(1e-4, 3.0),
    structure=st.lists(st.floats(0.2, 5.0), max_size=12),
)
def test_every_plan_is_in_order(side: str, price: float, atr: float, structure: list[float]) -> None:
    """Stop, entry, price, first and second target lie in this order, above zero, whatever the volatility."""
    plan = trade_plan(side, price, atr * price, [price * place for place in structure])
    line = [plan.stop, plan.entry_low, plan.entry_high, plan.target_1, plan.target_2]
    if side == "short":
        line = [plan.stop, plan.entry_high, plan.entry_low, plan.target_1, plan.target_2]
        line = [-x for x in line]
    assert line == sorted(line)
    assert min(abs(x) for x in line) > 0
    assert 1.5 <= plan.reward_risk <= 4 or price * 0.9 <= plan.risk_percent / 100 * price * plan.reward_risk * 1.01
