"""`risk_assessment` through the queue: sizes that keep to the exchange's steps, and clear errors."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.market.binance import BinanceSpot
from crypto_mcp.risk import assessment
from crypto_mcp.settings import MarketSettings

if TYPE_CHECKING:
    import httpx2

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


async def test_a_leverage_that_is_liquidated_before_the_stop_is_told_the_one_that_is_not(ask: Ask) -> None:
    """Asked for with that leverage it is warned of no more; with one more it is."""
    trade = {"symbol": "SOL", "entry": "140", "stop": "150", "account_size": "10000"}

    async def warned(leverage: float) -> dict[str, str]:
        found = await ask("risk_assessment", leverage=leverage, **trade)
        return {each["code"]: each["message"] for each in found["warnings"]}

    message = (await warned(40))["liquidation_before_stop"]
    safe = int(message.split("at ")[1].split("x")[0])
    near = {"liquidation_before_stop", "near_liquidation"}
    assert not near & set(await warned(safe))
    assert near & set(await warned(safe + 1))


async def test_a_loss_may_be_given_as_an_amount(ask: Ask) -> None:
    found = await ask(
        "risk_assessment", symbol="ETH", entry="3000", stop="2900", account_size="10000", max_loss="55", risk_percent=9
    )
    assert Decimal(54) < Decimal(found["size"]["loss"]) <= 55


async def test_an_assessment_that_takes_long_keeps_the_worker_from_nothing(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its kernels are compiled one takes seconds; a worker without heartbeats would lose the job, and again."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        begun.set()
        assert go_on.wait(10)

    monkeypatch.setattr(assessment, "projection_of", slow)
    asked = asyncio.create_task(
        ask("risk_assessment", symbol="ETH", entry="3000", stop="2900", account_size="10000", win_rate=0.5, payoff=2)
    )
    while not begun.is_set():
        await asyncio.sleep(0.01)
    go_on.set()
    assert (await asked)["kelly"]["full_percent"] == 25


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


async def test_a_trade_is_held_against_the_portfolio_it_is_for(ask: Ask) -> None:
    """More of what is held raises VaR and is called correlated; its opposite lowers it."""
    for change in (
        {"action": "create"},
        {"action": "deposit", "amount": "10000"},
        {"action": "record_trade", "symbol": "BTC", "side": "buy", "quantity": "0.1", "price": "60000"},
    ):
        await ask("portfolio_monitor", portfolio_id="for-risk", **change)
    trade = {"symbol": "BTC", "entry": "60000", "account_size": "10000", "portfolio_id": "for-risk", "leverage": 2}
    more = await ask("risk_assessment", **trade, stop="57000", risk_percent=3)
    less = await ask("risk_assessment", **trade, stop="63000", risk_percent=3)
    assert Decimal(more["portfolio"]["var_95_after"]) > Decimal(more["portfolio"]["var_95_before"]) > 0
    assert Decimal(less["portfolio"]["var_95_after"]) < Decimal(less["portfolio"]["var_95_before"])
    assert more["portfolio"]["correlation"] == pytest.approx(1.0)
    assert less["portfolio"]["correlation"] == pytest.approx(-1.0)
    assert "correlated_add" in {warning["code"] for warning in more["warnings"]}
    assert less["portfolio"]["exposure_percent_after"] < less["portfolio"]["exposure_percent_before"]
    nobodys = await ask("risk_assessment", **{**trade, "portfolio_id": "nobodys"}, stop="57000")
    assert (nobodys["status"], nobodys["code"]) == (404, "unknown_portfolio")


async def test_an_edge_is_counted_in_the_ledger(ask: Ask) -> None:
    """Thirty closed trades, every third a loss of half a win."""
    rows = []
    for i in range(30):
        day, win = f"2026-01-{1 + i // 2:02}T{10 + i % 2 * 5:02}", i % 3 != 0
        rows += [f"{day}:00:00Z,BTCUSDT,buy,1,100", f"{day}:30:00Z,BTCUSDT,sell,1,{110 if win else 95}"]
    await ask("portfolio_monitor", portfolio_id="traded", action="create")
    text = "\n".join(["time,symbol,side,quantity,price", *rows])
    taken = await ask("portfolio_monitor", portfolio_id="traded", action="import_trades", csv=text)
    assert taken["imported"]["trades"] == 60
    found = await ask(
        "risk_assessment", symbol="BTC", entry="60000", stop="58500", account_size="10000", portfolio_id="traded"
    )
    kelly = found["kelly"]
    assert (kelly["trades"], kelly["win_rate"], kelly["payoff"]) == (30, pytest.approx(2 / 3, abs=1e-4), 2.0)
    assert "portfolio traded" in kelly["source"]
    assert found["projection"]["trades"] == 100


async def test_an_edge_is_taken_from_a_backtest(http: httpx2.AsyncClient, ask: Ask) -> None:
    submitted = await http.post(
        "/v1/jobs/historical_backtest",
        json=dict(CATALOGUE["historical_backtest"].example),
        params={"wait": 25},
        headers={"Idempotency-Key": "for the edge"},
    )
    answer = submitted.json()
    statistics = answer["result"]["statistics"]
    trade = {"symbol": "BTC", "entry": "60000", "stop": "58500", "account_size": "10000"}
    found = await ask("risk_assessment", **trade, backtest_job_id=answer["job_id"])
    assert found["kelly"]["trades"] == statistics["trades"]
    assert found["kelly"]["win_rate"] == pytest.approx(statistics["win_rate"], abs=1e-4)
    nobodys = await ask("risk_assessment", **trade, backtest_job_id="no-such-job")
    assert (nobodys["status"], nobodys["code"]) == (404, "unknown_job")
