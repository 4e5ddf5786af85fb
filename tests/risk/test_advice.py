"""What is suggested does what it says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from crypto_mcp.models.markets import SymbolRules
from crypto_mcp.models.risk import MarketKind
from crypto_mcp.risk.advice import Benchmark, cut_to, hedge, rebalanced
from crypto_mcp.risk.book import Book
from crypto_mcp.risk.exposures import Exposures, Returns, exposures
from crypto_mcp.risk.valuation import value

BTC = "BTCUSDT"
RULES = SymbolRules(
    symbol=BTC, base="BTC", quote="USDT", status="TRADING", tick_size=Decimal("0.01"), step_size=Decimal("0.001"),
    min_quantity=Decimal("0.001"), max_quantity=Decimal(100), min_notional=Decimal(5),
)  # fmt: skip


def portfolio(side: float, *, own: float) -> tuple[Exposures, Benchmark]:
    """30,000 in one asset that moves 1.5 times as bitcoin does, and by itself."""
    random = np.random.default_rng(1)
    bitcoin = random.standard_t(4, 400) * 0.02
    asset = 1.5 * bitcoin + random.normal(0, own, 400)
    returns = Returns(("AUSDT",), asset[:, np.newaxis])
    held = Exposures((), np.array([side * 30_000.0]), returns.table, returns)
    return held, Benchmark(BTC, bitcoin, Decimal(60_000))


def _held(*amounts: tuple[str, MarketKind, str]) -> Exposures:
    """Positions at a price of 100; AUSDT and BUSDT move by themselves, and much."""
    random = np.random.default_rng(3)
    returns = Returns(("AUSDT", "BUSDT"), random.standard_t(4, (400, 2)) * 0.03)
    book = Book(cash=Decimal(10**6), contributions=Decimal(10**6))
    for symbol, market, quantity in amounts:
        book.bring_in(symbol, market, Decimal(quantity), Decimal(100), Decimal(1), datetime(2026, 1, 1, tzinfo=UTC))
    priced = value(book, {"AUSDT": Decimal(100), "BUSDT": Decimal(100)}).priced
    held, missing = exposures(priced, returns)
    assert not missing
    return held


COARSE = {
    name: replace(RULES, symbol=name, step_size=Decimal(7), max_quantity=Decimal(9000)) for name in ("AUSDT", "BUSDT")
}


def test_a_reduction_in_the_exchanges_steps_brings_var_to_the_target_and_not_just_near_it() -> None:
    held = _held(("AUSDT", "spot", "300"), ("BUSDT", "spot", "100"))
    found = cut_to(held, Decimal(40_000), COARSE, 3.0)
    assert found is not None
    assert found.trade is not None
    assert found.trade.quantity % 7 == 0
    i = [each.position.symbol for each in held.positions].index(found.trade.symbol)
    amounts = held.amounts.copy()
    amounts[i] -= float(found.trade.quantity) * 100
    assert held.var_with(amounts) <= 1200 < held.var_with(held.amounts)


def test_a_symbol_that_is_held_on_both_markets_has_two_weights() -> None:
    held = _held(("AUSDT", "spot", "300"), ("AUSDT", "perpetual", "-100"), ("BUSDT", "spot", "100"))
    found = rebalanced(held, "equal_risk", COARSE)
    assert found is not None
    assert set(found.weights_percent) == {"AUSDT spot", "AUSDT perpetual", "BUSDT"}
    assert sum(found.weights_percent.values()) == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize(("side", "trade"), [(1.0, "sell"), (-1.0, "buy")])
def test_a_hedge_takes_beta_off_and_says_what_it_leaves(side: float, trade: str) -> None:
    held, bitcoin = portfolio(side, own=0.003)
    found = hedge(held, Decimal(40_000), bitcoin, {BTC: RULES})
    assert found is not None
    assert found.trade is not None
    assert (found.trade.side, found.trade.market) == (trade, "perpetual")
    assert float(found.trade.quantity) * 60_000 == pytest.approx(45_000, rel=0.05)
    assert found.trade.quantity % RULES.step_size == 0
    assert f"Beta to bitcoin is {side * 1.1:.1f}" in found.message
    before, after = (float(words.split()[-1]) for words in found.message.split("% of")[0].split(" to ")[-2:])
    assert after < before / 3


def test_no_hedge_where_beta_is_small_or_nothing_is_won_by_it() -> None:
    held, bitcoin = portfolio(1.0, own=0.003)
    assert hedge(held, Decimal(400_000), bitcoin, {}) is None
    flat = Benchmark(BTC, np.zeros(400), Decimal(60_000))
    assert hedge(held, Decimal(40_000), flat, {}) is None
    dust = Benchmark(BTC, bitcoin.returns, Decimal(10**9))
    assert hedge(held, Decimal(40_000), dust, {BTC: RULES}) is None
