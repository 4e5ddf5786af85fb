"""`alert_manager` over REST, with a real worker, MongoDB, Redis and a sandbox exchange."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pymongo import AsyncMongoClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crypto_mcp.settings import Settings

    Ask = Callable[..., Awaitable[dict[str, Any]]]

KIND = "alert_manager"


async def test_an_alert_lives_from_a_shortcut_to_its_end(ask: Ask, stores: Settings) -> None:
    """Created, shown back in words, read, changed, paused, resumed, deleted; the document has the specified shape."""
    made = await ask(KIND, action="create", condition="BTC > 450k", message="{symbol} at {price}", repeat=True)
    alert = made["alert"]
    assert (alert["condition"], alert["status"], alert["type"]) == ("price > 450000", "active", "price")
    assert alert["reads"] == "The price of BTCUSDT rises above 450000."
    assert made["test"]["true_now"] is False
    assert made["test"]["days"] > 29

    async with AsyncMongoClient[dict[str, Any]](stores.mongo.url.get_secret_value()) as client:
        kept = await client[stores.mongo.database]["alerts"].find_one({"alert_id": alert["alert_id"]})
    assert kept is not None
    named = {"alert_id", "user_id", "symbol", "type", "condition", "status", "whatsapp_number", "created_at"}
    assert named <= set(kept)
    assert kept["level"]["beyond"] == 450000.0
    assert kept["armed_number"] >= kept["number"]

    one = {"alert_id": alert["alert_id"]}
    changed = await ask(KIND, action="update", condition="< 100", cooldown_minutes=5, **one)
    assert (changed["alert"]["condition"], changed["alert"]["symbol"]) == ("price < 100", "BTCUSDT")
    assert changed["alert"]["message"] == "{symbol} at {price}"
    assert (await ask(KIND, action="pause", **one))["alert"]["status"] == "paused"
    assert (await ask(KIND, action="list", status="paused"))["total"] == 1
    assert (await ask(KIND, action="resume", **one))["alert"]["status"] == "active"
    assert (await ask(KIND, action="get", **one))["alert"]["cooldown_minutes"] == 5
    assert (await ask(KIND, action="delete", **one))["note"] == "deleted"
    assert (await ask(KIND, action="get", **one))["code"] == "unknown_alert"


async def test_an_alert_on_liquidation_is_urgent_unless_its_owner_says_otherwise(ask: Ask) -> None:
    await ask("portfolio_monitor", action="create", portfolio_id="levered")
    made = [
        await ask(KIND, action="create", condition=condition, portfolio_id="levered", **more)
        for condition, more in (
            ("liquidation_distance < 10%", {}),
            ("liquidation_distance < 10%", {"priority": "high"}),
            ("drawdown > 10%", {}),
        )
    ]
    assert [each["alert"]["priority"] for each in made] == ["critical", "high", "normal"]


async def test_a_dry_run_says_when_it_would_have_fired(ask: Ask) -> None:
    """On the recorded prices, without making an alert."""
    before = (await ask(KIND, action="list"))["total"]
    found = await ask(KIND, action="test", condition="eth rsi 1h < 30")
    assert found["test"]["would_have_fired"] > 0
    assert len(found["test"]["newest"]) > 0
    assert "rsi < 30, on bars of 1h" in found["note"]
    price = await ask(KIND, action="test", condition="BTC +1%")
    assert price["test"]["true_now"] is False
    assert (await ask(KIND, action="list"))["total"] == before


async def test_what_is_always_true_is_said_at_creation(ask: Ask) -> None:
    always = await ask(KIND, action="create", condition="close > 0", symbol="ETHUSDT", timeframe="1h")
    assert any("nearly always true" in warning for warning in always["warnings"])
    beyond = await ask(KIND, action="create", condition="BTC > 1")
    assert any("It is true now" in warning for warning in beyond["warnings"])
    await asyncio.gather(*(ask(KIND, action="delete", alert_id=made["alert"]["alert_id"]) for made in (always, beyond)))


async def test_bad_input_is_an_error_that_says_what_to_do(ask: Ask) -> None:
    for params, code, said in (
        ({"condition": "BTC rsx(14) < 30"}, "bad_condition", "column 5"),
        ({"condition": "NOSUCHCOIN > 5"}, "unknown_symbol", "NOSUCHCOIN"),
        ({"condition": "> 5"}, "no_symbol", "symbol"),
        ({"condition": "drawdown > 10%", "portfolio_id": "not-mine"}, "unknown_portfolio", "not-mine"),
        ({"condition": "BTC > 5", "message": "{price.__class__}"}, "bad_template", "column 1"),
        (
            {"condition": "BTC > 5", "time_zone": "Mars/Olympus", "quiet_hours": "22:00-07:00"},
            "invalid_request",
            "zone",
        ),
        ({"condition": "BTC > 5", "quiet_hours": "25:00-07:00"}, "invalid_request", "quiet_hours"),
        ({"condition": "BTC > 5", "expires_at": "2020-01-01T00:00:00Z"}, "invalid_request", "past"),
        ({}, "invalid_request", "condition"),
    ):
        refused = await ask(KIND, action="create", **params)
        assert refused.get("code") == code, refused
        assert said in f"{refused['detail']} {refused.get('hint', '')}", refused
