"""The same by a WAHA server: no templates, no ids of ours, and a session that may be away."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from crypto_mcp.notify.sending import Meaning, Message, SendFailed, Target
from crypto_mcp.notify.waha import Waha, bare_id
from crypto_mcp.settings import Settings
from tests.notify.conftest import SECRET, TOKEN, Telling, until
from tests.sandbox_server import SandboxServer

_AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
async def stores(stores: Settings, sandbox: SandboxServer) -> Settings:
    """WAHA in the place of Meta."""
    waha = {
        "meta_token": None,
        "waha_url": f"{sandbox.url}/waha",
        "waha_key": SecretStr(TOKEN),
        "waha_hmac_key": SecretStr(SECRET),
        "waha_seconds_between": 0.05,
    }
    return stores.model_copy(update={"notify": stores.notify.model_copy(update=waha)})


async def test_an_alert_goes_as_text_and_comes_back_as_read(telling: Telling) -> None:
    who = await telling.person()
    await telling.tell(who)
    await telling.reached(who, "delivered")
    (message,) = telling.alerts(who)
    assert message["provider"] == "waha"
    assert message["text"].startswith("*BTCUSDT crossed above 60,000*")
    telling.sandbox.get("/sandbox/phone/state", number=who.number, seen=1)
    await telling.reached(who, "read")


async def test_stop_is_honoured_here_too(telling: Telling) -> None:
    who = await telling.person()
    telling.steer(who, text="STOP")

    async def stopped() -> bool:
        return bool((await telling.channel(who))["state"] == "stopped")

    await until(stopped)
    await telling.tell(who)
    await telling.reached(who, "suppressed")


async def test_a_number_without_whatsapp_is_found_out_before_it_is_written_to(telling: Telling) -> None:
    who = await telling.person(fallback="screen")
    telling.services.senders.whatsapp._chats.clear()  # type: ignore[union-attr,attr-defined]
    telling.steer(who, on_whatsapp=False)
    await telling.tell(who)
    (entry,) = await telling.reached(who, "delivered")
    assert entry["channel"] == "screen"


@pytest.mark.parametrize(
    ("status", "meaning"),
    [("STARTING", Meaning.RETRY), ("SCAN_QR_CODE", Meaning.OPERATOR), ("FAILED", Meaning.OPERATOR)],
)
async def test_a_session_that_does_not_work_says_who_must_act(
    stores: Settings, sandbox: SandboxServer, status: str, meaning: Meaning
) -> None:
    waha, message = Waha(stores.notify), Message("m1", "Title", "", _AT)
    sandbox.http.post(f"{sandbox.url}/sandbox/waha/session", json={"status": status}).raise_for_status()
    with pytest.raises(SendFailed) as failed:
        await waha.send(Target("+12025550199"), message)
    sandbox.http.post(f"{sandbox.url}/sandbox/waha/session", json={"status": "WORKING"}).raise_for_status()
    await waha.close()
    assert failed.value.meaning is meaning


async def test_a_wrong_key_is_the_operators(stores: Settings) -> None:
    waha = Waha(stores.notify.model_copy(update={"waha_key": SecretStr("wrong")}))
    with pytest.raises(SendFailed) as failed:
        await waha.send(Target("+12025550199"), Message("m1", "Title", "", _AT))
    await waha.close()
    assert failed.value.meaning is Meaning.OPERATOR


@pytest.mark.parametrize(
    "told",
    [
        "true_12025550123@c.us_3EB0AB",
        {"_serialized": "true_12025550123@c.us_3EB0AB", "fromMe": True},
        "true_123456@g.us_3EB0AB_12025550123@c.us",
        "3EB0AB",
    ],
)
def test_ids_lose_the_number_in_them(told: object) -> None:
    assert bare_id(told) == "3EB0AB"
