"""Exchange steps are kept to exactly."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_mcp.models.markets import SymbolRules

RULES = SymbolRules(
    "BTCUSDT", "BTC", "USDT", tick_size=Decimal("0.05"), step_size=Decimal("0.001"),
    min_quantity=Decimal("0.01"), max_quantity=Decimal(100),
)  # fmt: skip


@given(st.decimals("0", "1e6", places=9))
def test_a_quantity_is_a_multiple_of_the_step_and_never_above_what_was_wanted(wanted: Decimal) -> None:
    quantity = RULES.quantity(wanted)
    assert quantity % RULES.step_size == 0
    assert quantity <= min(wanted, RULES.max_quantity)
    assert quantity == 0 or quantity >= RULES.min_quantity
    assert quantity == 0 or quantity > min(wanted, RULES.max_quantity) - RULES.step_size


@given(st.decimals("0.05", "1e6", places=9))
def test_a_price_is_the_nearest_the_exchange_takes(wanted: Decimal) -> None:
    assert RULES.price(wanted) % RULES.tick_size == 0
    assert abs(RULES.price(wanted) - wanted) <= RULES.tick_size / 2


@pytest.mark.parametrize("amount", ["0.123456789", "12345.678"])
def test_a_rule_of_zero_does_not_apply(amount: str) -> None:
    free = SymbolRules("X", "X", "Y")
    assert free.quantity(Decimal(amount)) == free.price(Decimal(amount)) == Decimal(amount)
