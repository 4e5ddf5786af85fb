"""`risk_assessment` through the queue: sizes that keep to the exchange's steps, and clear errors."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from crypto_mcp.market.binance import BinanceSpot
from crypto_mcp.settings import MarketSettings

if TYPE_CHECKING:
    from tests.risk.conftest import Ask
    from tests.sandbox_server import SandboxServer


async def test_four_fields_are_enough(ask: Ask, sandbox: SandboxServer) -> None:
    """One percent is lost at the stop, costs included, and never a step more."""
    found = await ask("risk_assessment", symbol="BTC", entry="60000", stop="58500", account_size="10000")
    market = BinanceSpot(MarketSettings(binance_url=sandbox.url))
    rules = await market.listing.of("BTCUSDT")
    await market.close()
    quantity = Decimal(found["size"]["quantity"])
    per_unit = 1500 + (60000 + Decimal(58500)) * Decimal("0.0015")
    assert quantity % rules.step_size == 0
    assert quantity * per_unit <= 100 < (quantity + rules.step_size) * per_unit
    assert Decimal(found["size"]["loss"]) == quantity * per_unit
    assert found["side"] == "long"
    assert found["margin"]["market"] == "spot"
    assert "liquidation_price" not in found["margin"] or found["margin"]["liquidation_price"] is None
    assert found["data"]["source"] == "sandbox"
    assert [target["r"] for target in found["targets"]] == pytest.approx([1, 2, 3], abs=0.01)
    assert 0 < Decimal(found["tail"]["var_95"]) <= Decimal(found["tail"]["es_95"]) <= Decimal(found["tail"]["es_99"])


async def test_a_leveraged_short_says_where_it_is_liquidated(ask: Ask) -> None:
    found = await ask(
        "risk_assessment", symbol="BTC", entry="60000", stop="61000", account_size="10000", leverage=20, risk_percent=4
    )
    assert found["side"] == "short"
    assert found["margin"]["market"] == "perpetual"
    assert Decimal(60000) < Decimal(found["margin"]["liquidation_price"]) < Decimal(63000)


async def test_kelly_and_drawdowns_need_an_edge_and_say_so(ask: Ask) -> None:
    base = {"symbol": "ETH", "entry": "3000", "stop": "2900", "account_size": "10000"}
    without = await ask("risk_assessment", **base)
    assert without.get("kelly") is None
    assert without.get("projection") is None
    refused = await ask("risk_assessment", **base, method="kelly")
    assert (refused["status"], refused["code"]) == (422, "no_edge")
    edge = {"win_rate": 0.55, "payoff": 1.5, "trades_seen": 80}
    found = await ask("risk_assessment", **base, method="kelly", detail="full", **edge)
    assert found["kelly"]["full_percent"] == pytest.approx(25.0)
    assert 0 < found["kelly"]["stake_percent"] < found["kelly"]["shrunk_percent"] < 25
    assert found["projection"]["drawdown_median"] <= found["projection"]["drawdown_p95"]
    assert {size["method"] for size in found["other_sizes"]} == {"risk", "volatility"}
    assert await ask("risk_assessment", **base, method="kelly", detail="full", **edge) | {
        "timestamp": 0,
        "data": 0,
    } == found | {"timestamp": 0, "data": 0}


BAD: list[tuple[dict[str, Any], int, str, str]] = [
    ({"entry": "0"}, 422, "invalid_request", "entry"),
    ({"entry": -5}, 422, "invalid_request", "entry"),
    ({"entry": "NaN"}, 422, "invalid_request", "entry"),
    ({"entry": "1e308"}, 422, "invalid_request", "entry"),
    ({"stop": "60000"}, 422, "invalid_request", "differ"),
    ({"side": "short"}, 422, "invalid_request", "wrong side"),
    ({"target": "50000"}, 422, "invalid_request", "target"),
    ({"market": "spot", "leverage": 3}, 422, "invalid_request", "perpetual"),
    ({"symbol": "NOSUCHCOIN"}, 422, "unknown_symbol", "NOSUCHCOIN"),
    ({"quantity": "5"}, 422, "size_beyond_balance", "cannot pay"),
    ({"win_rate": 0.5}, 422, "no_edge", "payoff"),
    ({"account_size": True}, 422, "invalid_request", "account_size"),
    ({"account": "1"}, 422, "invalid_request", "account"),
]


@pytest.mark.parametrize(("wrong", "status", "code", "said"), BAD, ids=[str(row[0]) for row in BAD])
async def test_bad_input_is_told_what_is_wrong(
    ask: Ask, wrong: dict[str, Any], status: int, code: str, said: str
) -> None:
    good = {"symbol": "BTCUSDT", "entry": "60000", "stop": "58500", "account_size": "10000"}
    refused = await ask("risk_assessment", **{**good, **wrong})
    assert (refused["status"], refused["code"]) == (status, code)
    assert said in refused["detail"]
    assert refused["hint"]
