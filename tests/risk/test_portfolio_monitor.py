"""`portfolio_monitor` through the queue: what is stored, what is answered, and what is refused."""

from __future__ import annotations

import asyncio
import secrets
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from crypto_mcp.cli import main
from crypto_mcp.risk.ledger import rebuilt
from crypto_mcp.risk.valuation import value
from tests.canaries import AMOUNT, QUANTITY
from workers.portfolio_figures import sample_all
from workers.services import Services

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2

    from crypto_mcp.settings import Settings
    from tests.risk.conftest import Ask


@pytest.fixture
async def book(ask: Ask) -> str:
    """A portfolio with 100,000 USDT and two positions."""
    name = f"p{secrets.token_hex(4)}"
    for change in (
        {"action": "create", "name": "Test"},
        {"action": "deposit", "amount": "100000"},
        {"action": "record_trade", "symbol": "BTC", "side": "buy", "quantity": "0.5", "price": "60000", "fee": "30"},
        {"action": "add_position", "symbol": "ETH", "quantity": "4", "price": "3000", "sector": "smart contracts"},
    ):
        answer = await ask("portfolio_monitor", portfolio_id=name, **change)
        assert "code" not in answer, answer
    return name


async def test_a_portfolio_is_valued_with_its_risk(ask: Ask, book: str) -> None:
    found = await ask("portfolio_monitor", portfolio_id=book)
    assert found["version"] == 4
    assert found["cash"] == "69970"
    assert {position["symbol"] for position in found["positions"]} == {"BTCUSDT", "ETHUSDT"}
    value = sum(Decimal(position["value"]) for position in found["positions"])
    assert abs(Decimal(found["equity"]) - Decimal(found["cash"]) - value) < Decimal("0.03")
    gained = Decimal(found["equity"]) - Decimal(found["contributions"])
    assert abs(gained - Decimal(found["pnl"]["total"])) < Decimal("0.03")
    risk = found["risk"]
    assert 0 < Decimal(risk["var_95"]) < Decimal(risk["es_95"]) < Decimal(risk["es_99"])
    assert sum(position["var_percent"] for position in found["positions"]) == pytest.approx(100, abs=0.2)
    assert found["data"]["source"] == "sandbox"
    assert found["performance"]["basis"] == "current_holdings"


async def test_a_portfolio_without_bitcoin_is_measured_against_it(ask: Ask) -> None:
    """Of which no last price is asked for then."""
    name = f"p{secrets.token_hex(4)}"
    await ask("portfolio_monitor", portfolio_id=name, action="create")
    await ask("portfolio_monitor", portfolio_id=name, action="add_position", symbol="ETH", quantity="4", price="3000")
    found = await ask("portfolio_monitor", portfolio_id=name)
    assert [position["symbol"] for position in found["positions"]] == ["ETHUSDT"]
    assert found["risk"]["beta_btc"] is not None


async def test_mongodb_keeps_the_specified_document(ask: Ask, book: str, stores: Settings) -> None:
    """Positions with size, entry, price and gain; risk metrics; amounts as decimal strings. Soon after the answer."""
    valued = {"portfolio_id": book, "valued_at": {"$exists": True}}
    await ask("portfolio_monitor", portfolio_id=book)
    async with AsyncMongoClient[dict[str, Any]](stores.mongo.url.get_secret_value(), tz_aware=True) as client:
        database = client[stores.mongo.database]
        async with asyncio.timeout(20):
            while (kept := await database["portfolios"].find_one(valued)) is None:
                await asyncio.sleep(0.02)
        assert (kept["user_id"], kept["version"]) == ("local", 4)
        first = kept["positions"][0]
        assert (first["symbol"], first["size"], first["entry_price"]) == ("BTCUSDT", "0.5", "60000")
        assert Decimal(first["current_price"]) > 0
        assert isinstance(first["pnl_percent"], float)
        assert kept["risk_metrics"].keys() == {"portfolio_var_95", "max_drawdown", "sharpe_ratio"}
        assert all(isinstance(value, float) for value in kept["risk_metrics"].values())
        options = await database["portfolios"].options()
        assert "$jsonSchema" in options["validator"]
        for wrong in ({"positions": [{"symbol": "BTCUSDT"}]}, {"cash": 5.0}, {"version": 0}):
            with pytest.raises(Exception, match="validation"):
                await database["portfolios"].insert_one({**kept, **wrong, "_id": None, "portfolio_id": "other"})


async def test_the_specified_key_answers_until_something_changes(ask: Ask, book: str, stores: Settings) -> None:
    await ask("portfolio_monitor", portfolio_id=book)
    async with Redis.from_url(stores.redis.cache_url.get_secret_value()) as cache:
        assert 0 < await cache.ttl(f"portfolio:{book}") <= 30
        before = await ask("portfolio_monitor", portfolio_id=book)
        await ask("portfolio_monitor", portfolio_id=book, action="deposit", amount="1")
        assert await cache.exists(f"portfolio:{book}") == 0
    after = await ask("portfolio_monitor", portfolio_id=book)
    assert Decimal(after["cash"]) == Decimal(before["cash"]) + 1


async def test_every_section_is_there_on_request(ask: Ask, book: str) -> None:
    sections = ["correlation", "stress", "monte_carlo", "rebalance", "methods"]
    found = await ask(
        "portfolio_monitor", portfolio_id=book, include=sections, shocks={"BTC": -50, "*": -10}, objective="hrp",
        target_var_percent=0.1, detail="full",
    )  # fmt: skip
    assert found["correlation"]["symbols"] == ["BTCUSDT", "ETHUSDT"]
    assert [each["name"] for each in found["stress"]][-1] == "custom"
    assert Decimal(found["stress"][0]["loss"]) > Decimal(found["stress"][-1]["loss"]) > 0
    assert found["monte_carlo"]["paths"] == 50_000
    assert sum(found["rebalance"]["weights_percent"].values()) == pytest.approx(100, abs=0.1)
    assert found["risk"]["methods"].keys() == {"historical", "filtered_ewma", "filtered_garch", "cornish_fisher"}
    assert found["suggestions"][0]["code"] in ("reduce", "reduce_all", "concentration")


async def test_positions_are_closed_at_the_last_price_and_gains_are_booked(ask: Ask, book: str) -> None:
    closed = await ask("portfolio_monitor", portfolio_id=book, action="close_position", symbol="ETH", price="3500")
    assert closed["realised"] == "2000"
    assert closed["positions_total"] == 1
    rest = await ask("portfolio_monitor", portfolio_id=book, action="close_position", symbol="BTC", quantity="0.2")
    assert rest["positions_total"] == 1
    found = await ask("portfolio_monitor", portfolio_id=book)
    assert found["positions"][0]["size"] == "0.3"
    assert Decimal(found["pnl"]["realised"]) == Decimal(closed["realised"]) + Decimal(rest["realised"])


async def test_a_perpetual_has_margin_funding_and_a_liquidation_price(ask: Ask, book: str) -> None:
    change = {"portfolio_id": book, "symbol": "SOL", "market": "perpetual"}
    opened = await ask(
        "portfolio_monitor", action="record_trade", side="sell", quantity="50", price="150", leverage=5, **change
    )
    assert opened["cash"] == "69970"
    paid = await ask("portfolio_monitor", action="record_funding", amount="-3.5", **change)
    assert paid["cash"] == "69966.5"
    found = await ask("portfolio_monitor", portfolio_id=book, detail="full")
    short = next(position for position in found["positions"] if position["symbol"] == "SOLUSDT")
    assert (short["side"], short["size"], short["funding"]) == ("short", "50", "-3.5")
    assert Decimal(short["liquidation_price"]) > 150
    assert found["exposure"]["short_percent"] > 0


async def test_history_and_ledger_are_told(ask: Ask, book: str) -> None:
    history = await ask("portfolio_monitor", portfolio_id=book, action="history")
    assert len(history["history"]["points"]) >= 3
    assert history["history"]["flows"] == "112000"
    ledger = await ask("portfolio_monitor", portfolio_id=book, action="ledger")
    assert [entry["kind"] for entry in ledger["entries"]] == ["created", "cash_moved", "traded", "position_added"]
    assert [entry["seq"] for entry in ledger["entries"]] == [1, 2, 3, 4]
    listed = await ask("portfolio_monitor", action="list")
    assert book in {each["portfolio_id"] for each in listed["portfolios"]}


async def test_a_deleted_portfolio_is_gone_and_its_name_is_free(ask: Ask, book: str) -> None:
    await ask("portfolio_monitor", portfolio_id=book, action="delete")
    assert (await ask("portfolio_monitor", portfolio_id=book))["code"] == "unknown_portfolio"
    again = await ask("portfolio_monitor", portfolio_id=book, action="create")
    assert (again["version"], again["cash"]) == (6, "0")


async def test_an_import_is_previewed_then_taken_once(ask: Ask, book: str) -> None:
    text = (
        "time,symbol,side,quantity,price,fee,id\n"
        "2026-01-05T10:00:00Z,SOLUSDT,buy,10,100,1,a\n"
        "2026-01-06T10:00:00Z,SOLUSDT,sell,4,120,1,b\n"
        "2026-01-07T10:00:00Z,SOLUSDT,sell,40,120,1,c\n"
        "2026-01-08T10:00:00Z,NOSUCHUSDT,buy,1,1,0,d\n"
        "2026-01-09T10:00:00Z,SOLUSDT,buy,x,1,0,e\n"
    )
    seen = await ask("portfolio_monitor", portfolio_id=book, action="preview_import", csv=text)
    codes = [(error["line"], error["code"]) for error in seen["imported"]["errors"]]
    assert codes == [(4, "insufficient_position"), (5, "unknown_symbol"), (6, "bad_quantity")]
    assert (await ask("portfolio_monitor", portfolio_id=book))["version"] == 4
    taken = await ask("portfolio_monitor", portfolio_id=book, action="import_trades", csv=text)
    assert (taken["imported"]["trades"], taken["version"]) == (2, 5)
    again = await ask("portfolio_monitor", portfolio_id=book, action="import_trades", csv=text)
    assert again["code"] == "nothing_to_import"


async def test_gains_by_symbol_add_up_and_outlive_their_positions(ask: Ask, book: str) -> None:
    """A position that was closed is in no list any more; what it gained is."""
    for side, price in (("buy", "100"), ("sell", "120")):
        await ask(
            "portfolio_monitor", portfolio_id=book, action="record_trade", symbol="SOL", side=side, quantity="10",
            price=price, fee="1",
        )  # fmt: skip
    found = await ask("portfolio_monitor", portfolio_id=book, detail="full")
    assert "SOLUSDT" not in {each["symbol"] for each in found["positions"]}
    gained = {symbol: Decimal(amount) for symbol, amount in found["pnl"]["by_symbol"].items()}
    assert gained["SOLUSDT"] == 198
    assert sum(gained.values()) == pytest.approx(Decimal(found["pnl"]["total"]), abs=Decimal("0.02"))
    assert found["data"]["source"] == "sandbox"


async def test_a_file_whose_trades_have_no_ids_is_taken_once_too(ask: Ask, book: str) -> None:
    text = (
        '"Date(UTC)","Pair","Side","Price","Executed","Amount","Fee"\n'
        '"2026-01-05 10:00:00","BTCUSDT","BUY","40000","0.001BTC","40USDT","0USDT"\n'
        '"2026-01-05 10:00:00","BTCUSDT","BUY","40000","0.001BTC","40USDT","0USDT"\n'
    )
    taken = await ask("portfolio_monitor", portfolio_id=book, action="import_trades", csv=text)
    assert taken["imported"]["trades"] == 2
    more = text + '"2026-01-06 10:00:00","BTCUSDT","BUY","40000","0.001BTC","40USDT","0USDT"\n'
    again = await ask("portfolio_monitor", portfolio_id=book, action="import_trades", csv=more)
    assert (again["imported"]["trades"], again["imported"]["rejected"]) == (1, 2)
    await ask("portfolio_monitor", portfolio_id=book, action="delete")
    await ask("portfolio_monitor", portfolio_id=book, action="create")
    anew = await ask("portfolio_monitor", portfolio_id=book, action="import_trades", csv=more)
    assert anew["imported"]["trades"] == 3


async def test_a_portfolio_counts_in_one_currency(ask: Ask) -> None:
    name = f"p{secrets.token_hex(4)}"
    await ask("portfolio_monitor", portfolio_id=name, action="create", currency="EUR")
    refused = await ask(
        "portfolio_monitor", portfolio_id=name, action="add_position", symbol="BTC", quantity="1", price="1"
    )
    assert (refused["status"], refused["code"]) == (422, "other_currency")


BAD: list[tuple[dict[str, Any], int, str]] = [
    (
        {"action": "record_trade", "symbol": "BTC", "side": "buy", "quantity": "1", "price": "-1"},
        422,
        "invalid_request",
    ),
    ({"action": "record_trade", "symbol": "BTC", "side": "buy", "quantity": "0", "price": "1"}, 422, "invalid_request"),
    (
        {"action": "record_trade", "symbol": "BTC", "side": "buy", "quantity": "NaN", "price": "1"},
        422,
        "invalid_request",
    ),
    (
        {"action": "record_trade", "symbol": "BTC", "side": "buy", "quantity": "1", "price": 1e308},
        422,
        "invalid_request",
    ),
    (
        {"action": "record_trade", "symbol": "BTC", "side": "buy", "quantity": "99", "price": "60000"},
        422,
        "insufficient_cash",
    ),
    (
        {"action": "record_trade", "symbol": "BTC", "side": "sell", "quantity": AMOUNT, "price": "1"},
        422,
        "insufficient_position",
    ),
    (
        {"action": "record_trade", "symbol": "NOSUCH", "side": "buy", "quantity": QUANTITY, "price": "1"},
        422,
        "unknown_symbol",
    ),
    ({"action": "record_trade", "symbol": "BTC", "quantity": "1", "price": "1"}, 422, "invalid_request"),
    ({"action": "withdraw", "amount": AMOUNT}, 422, "insufficient_cash"),
    ({"action": "deposit", "amount": "-5"}, 422, "invalid_request"),
    ({"action": "deposit", "amount": "5", "at": "2999-01-01T00:00:00Z"}, 422, "invalid_request"),
    ({"action": "create"}, 409, "portfolio_exists"),
    ({"action": "deposit", "amount": "5", "version": 2}, 409, "version_conflict"),
    ({"action": "close_position", "symbol": "SOL", "price": "100"}, 404, "unknown_position"),
    ({"action": "close_position", "symbol": "ETH", "price": "100", "quantity": "5"}, 422, "invalid_request"),
    ({"action": "edit_position", "symbol": "ETH"}, 422, "invalid_request"),
    (
        {"action": "add_position", "symbol": "ETH", "side": "short", "quantity": "1", "price": "1"},
        422,
        "invalid_request",
    ),
    ({"action": "import_trades", "csv": "hello"}, 422, "unreadable_trades"),
    ({"action": "get", "portfolio_id": "nobodys"}, 404, "unknown_portfolio"),
    ({"action": "get", "portfolio_id": "../x"}, 422, "invalid_request"),
]


async def test_bad_input_is_told_what_is_wrong_and_changes_nothing(ask: Ask, book: str) -> None:
    for wrong, status, code in BAD:
        refused = await ask("portfolio_monitor", **{"portfolio_id": book, **wrong})
        assert (refused.get("status"), refused.get("code")) == (status, code), (wrong, refused)
        assert refused["hint"]
    assert (await ask("portfolio_monitor", portfolio_id=book))["version"] == 4


async def test_an_answer_fits_a_model(http: httpx2.AsyncClient, book: str) -> None:
    """The default answer stays under four kilobytes."""
    answered = await http.post("/v1/jobs/portfolio_monitor", json={"portfolio_id": book}, params={"wait": 25})
    assert len(answered.content) < 4096


async def test_sampled_equity_becomes_history(ask: Ask, book: str, stores: Settings) -> None:
    """A moment is sampled once; a month of samples is what performance is measured by."""
    services = Services(stores)
    now = datetime.now(UTC)
    for _ in range(2):
        kept, _ = await sample_all(services, now - timedelta(days=1))
        assert kept >= 1
    documents = services.mongo.portfolios
    for days in range(2, 41):
        equity = str(100_000 + 100 * (40 - days))
        await documents.keep_equity(
            "local", book, now - timedelta(days=days), {"equity": equity, "contributions": "112000"}
        )
    await services.close()
    found = await ask("portfolio_monitor", portfolio_id=book, action="history", limit=10)
    assert len(found["history"]["points"]) == 10
    assert found["performance"]["basis"] == "equity_history"
    assert found["performance"]["days"] == pytest.approx(40, abs=0.1)
    assert "sharpe_ratio" in found["performance"]


async def test_what_has_no_price_is_left_out_and_named(ask: Ask, book: str) -> None:
    """A position without a price, or with one that cannot be, is unpriced, not worthless."""
    ledger = await ask("portfolio_monitor", portfolio_id=book, action="ledger")
    valuation = value(rebuilt(ledger["entries"]), {"BTCUSDT": Decimal(50_000), "ETHUSDT": Decimal(0)})
    assert [position.symbol for position in valuation.unpriced] == ["ETHUSDT"]
    assert valuation.equity == 69_970 + 25_000


async def test_the_command_line_audits_and_imports(
    ask: Ask,
    book: str,
    stores: Settings,
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`crypto-mcp portfolio verify` says clean, and exits with 1 when a snapshot was forged."""
    monkeypatch.chdir(tmp_path)
    for variable, said in {
        "CRYPTO_MCP_MONGO__URL": stores.mongo.url.get_secret_value(),
        "CRYPTO_MCP_MONGO__DATABASE": stores.mongo.database,
        "CRYPTO_MCP_SERVER__PORT": address.rpartition(":")[2],
        "COLUMNS": "150",
    }.items():
        monkeypatch.setenv(variable, said)
    (tmp_path / "trades.csv").write_text("time,symbol,side,quantity,price\n2026-01-05,SOL/USDT,buy,1,100\n")

    async def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["crypto-mcp", "portfolio", *words])
        code = await asyncio.to_thread(exit_code)
        return code, capsys.readouterr().out

    code, said = await run("import", book, "trades.csv", "--take")
    assert (code, "SOLUSDT" in said) == (0, True), said
    code, said = await run("verify", book)
    assert (code, "clean" in said) == (0, True), said
    async with AsyncMongoClient[dict[str, Any]](stores.mongo.url.get_secret_value()) as client:
        await client[stores.mongo.database]["portfolios"].update_one({"portfolio_id": book}, {"$set": {"cash": "1"}})
    code, said = await run("verify", book)
    assert (code, "differs" in said) == (1, True), said


def exit_code() -> int:
    """Of the command that `sys.argv` names."""
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


async def test_a_portfolio_is_drawn(http: httpx2.AsyncClient, book: str) -> None:
    drawn = await http.get(f"/v1/portfolios/{book}/chart.png", params={"theme": "light", "wait": 25})
    assert (drawn.status_code, drawn.headers["content-type"]) == (200, "image/png")
    assert drawn.content.startswith(b"\x89PNG")
    assert (await http.get("/v1/portfolios/nobodys/chart.png")).status_code == 404
