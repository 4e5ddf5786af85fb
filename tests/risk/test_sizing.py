"""Sizes and liquidation prices: laws that hold for any trade, and closed forms."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_mcp.models.markets import SymbolRules
from crypto_mcp.risk.margin import ASSUMED_TIERS, MarginTier, cumulative, liquidation_price, maintenance_margin
from crypto_mcp.risk.rounding import ceil_to_step, floor_to_step, least_orderable, orderable
from crypto_mcp.risk.sizing import Costs, Idea, affordable, quantity_for_loss, sized

amounts = st.decimals(min_value="0.0001", max_value="1000000", places=4)
steps = st.sampled_from([Decimal(s) for s in ("1", "0.1", "0.001", "0.00001", "0.25")])
costs = st.builds(Costs, fee=st.decimals("0", "0.01", places=4), slippage=st.decimals("0", "0.01", places=4))


@st.composite
def ideas(draw: st.DrawFn) -> Idea:
    entry = draw(st.decimals("1", "100000", places=2))
    away = draw(st.decimals("0.001", "0.5", places=3))
    long = draw(st.booleans())
    return Idea(long, entry, entry * (1 - away if long else 1 + away), draw(costs))


@given(amounts, steps)
def test_a_quantity_is_never_rounded_up(value: Decimal, step: Decimal) -> None:
    floored, ceiled = floor_to_step(value, step), ceil_to_step(value, step)
    assert floored <= value <= ceiled
    assert floored % step == 0
    assert value - floored < step
    assert floor_to_step(floored, step) == floored


@given(ideas(), amounts, steps, amounts, st.decimals("1", "125", places=0))
def test_a_size_keeps_to_every_limit(
    idea: Idea, account: Decimal, step: Decimal, wish: Decimal, lever: Decimal
) -> None:
    """Never more than wished for, than the account can pay, than the exchange takes; else nothing."""
    rules = SymbolRules(
        "X", "A", "B", step_size=step, min_quantity=step, max_quantity=step * 999, min_notional=Decimal(5)
    )
    size = sized(wish, idea, rules, affordable(account, idea, lever))
    assert size.quantity <= wish
    assert size.notional / lever + idea.costs.one_way(size.notional) <= account
    assert size.quantity == 0 or (size.notional >= 5 and step <= size.quantity <= step * 999)
    assert size.quantity % step == 0


@given(ideas(), amounts)
def test_the_stop_loses_what_was_risked(idea: Idea, loss: Decimal) -> None:
    quantity = quantity_for_loss(idea, loss)
    assert -idea.gain_per_unit(idea.stop) * quantity == pytest.approx(loss, rel=Decimal("1e-20"))
    assert idea.r_multiple(idea.stop) == pytest.approx(-1, rel=Decimal("1e-20"))
    assert idea.gain_per_unit(idea.break_even) == pytest.approx(0, abs=idea.entry * Decimal("1e-20"))


def test_the_least_orderable_quantity_reaches_notional_and_step() -> None:
    rules = SymbolRules(
        "X", "A", "B", step_size=Decimal("0.01"), min_quantity=Decimal("0.01"), min_notional=Decimal(10)
    )
    assert least_orderable(Decimal(333), rules) == Decimal("0.04")
    assert orderable(Decimal("0.039"), Decimal(333), rules) == 0
    assert orderable(Decimal("0.049"), Decimal(333), rules) == Decimal("0.04")


@given(st.decimals("0.001", "5000", places=3), st.decimals("1", "100000", places=1), st.integers(2, 50), st.booleans())
def test_at_the_liquidation_price_just_the_maintenance_margin_is_left(
    size: Decimal, entry: Decimal, leverage: int, long: bool
) -> None:
    quantity = size if long else -size
    margin = size * entry / leverage
    price = liquidation_price(quantity, entry, margin)
    if price is None:
        assert long
        return
    left = margin + quantity * (price - entry)
    assert left == pytest.approx(maintenance_margin(size * price), rel=Decimal("1e-15"), abs=Decimal("1e-15"))


def test_a_single_tier_has_the_textbook_liquidation_price() -> None:
    """Long, 10x, 1 % maintenance: P = E (1 - 1/10) / (1 - 0.01); short: P = E (1 + 1/10) / (1 + 0.01)."""
    tiers = (MarginTier(Decimal(10**9), Decimal(100), Decimal("0.01")),)
    for sign, expected in ((1, Decimal(90) / Decimal("0.99")), (-1, Decimal(110) / Decimal("1.01"))):
        found = liquidation_price(Decimal(sign), Decimal(100), Decimal(10), tiers)
        assert found is not None
        assert abs(found - expected) < Decimal("1e-20")


def test_a_long_paid_in_full_is_not_liquidated_above_zero() -> None:
    assert liquidation_price(Decimal(1), Decimal(100), Decimal(100)) is None


def test_maintenance_margin_has_no_jump_where_tiers_meet() -> None:
    tiny = Decimal("1e-9")
    for tier in ASSUMED_TIERS[:-1]:
        step = maintenance_margin(tier.up_to + tiny) - maintenance_margin(tier.up_to)
        assert 0 <= step < tiny
    assert cumulative(ASSUMED_TIERS)[:3] == [0, 500, 8000]
