"""What is suggested does what it says."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from crypto_mcp.models.markets import SymbolRules
from crypto_mcp.risk.advice import Benchmark, hedge
from crypto_mcp.risk.exposures import Exposures, Returns

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
