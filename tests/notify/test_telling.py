"""From a job to a phone and back: what people get, what they can stop, and what happens when a provider refuses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from crypto_mcp.models.answers import LOCAL
from crypto_mcp.models.notifications import Delivery, Notification
from crypto_mcp.notify.entries import document_of, key_of, notification_of
from tests.notify.conftest import Person, Telling, until
from tests.notify.test_webhook import receiver
from workers.notifications import resubmit_forgotten, submit_all


async def test_an_alert_comes_as_a_template_and_its_way_is_known(telling: Telling) -> None:
    """Nobody wrote within 24 hours, so only a template may go; `delivered` comes back by a signed webhook."""
    who = await telling.person()
    await telling.tell(who, text="Price 60,012.40.\nRSI 63 · ATR 410")
    await telling.reached(who, "delivered")
    (message,) = telling.alerts(who)
    assert message["template"] == "crypto_alert"
    assert "BTCUSDT crossed above 60,000" in message["text"]
    assert "Price 60,012.40. RSI 63 · ATR 410\n" in message["text"]
    telling.sandbox.get("/sandbox/phone/state", number=who.number, seen=1)
    (entry,) = await telling.reached(who, "read")
    assert entry["channel"] == "whatsapp"


async def test_whoever_wrote_within_a_day_gets_plain_text(telling: Telling) -> None:
    who = await telling.person(opened=True)
    await telling.tell(who, text="First line.\nSecond line.")
    await telling.reached(who, "delivered")
    (message,) = telling.alerts(who)
    assert message["template"] is None
    assert message["text"] == "*BTCUSDT crossed above 60,000*\nFirst line.\nSecond line."


async def test_the_same_notification_twice_is_told_once(telling: Telling) -> None:
    """Also when the second comes as a job of its own: the ledger knows it."""
    who = await telling.person()
    note = Notification(notification_id="again.1", owner=who.owner, title="Once", at=datetime.now(UTC))
    assert await telling.submit(note) == await telling.submit(note)
    await telling.reached(who, "delivered")
    delivery = await telling.services.dispatcher.deliver(note)
    assert delivery.state in ("delivered", "read")  # type: ignore[union-attr]
    assert len(telling.alerts(who)) == 1


async def test_many_alerts_at_once_become_one_message_in_their_order(telling: Telling) -> None:
    who = await telling.person(opened=True)
    titles = [f"Alert number {i}" for i in range(20)]
    await telling.tell_at_once(who, titles)
    entries = await telling.reached(who, "delivered", 20)
    (message,) = telling.alerts(who)
    assert message["text"].startswith("*20 alerts: BTCUSDT*")
    lines = message["text"].splitlines()[1:]
    assert [line.split(" ", 2)[2] for line in lines] == titles
    assert len({entry["message_id"] for entry in entries}) == 1


async def test_what_is_critical_goes_alone_and_first(telling: Telling) -> None:
    """A liquidation does not wait for a digest: not behind those that wait, and not inside one."""
    who = await telling.person(opened=True)
    for i in range(telling.services.settings.notify.digest_after):
        await telling.tell(who, f"Before {i}")
        await telling.reached(who, "delivered", i + 1)
    await telling.tell_at_once(who, ["Waits 1", "Waits 2"])
    await telling.tell(who, "Liquidation is near", priority="critical")
    entries = await telling.reached(who, "delivered", 4)
    waiting = [each for each in entries if each["state"] == "queued"]
    assert len(waiting) == 2
    await telling.services.limits.delete(f"notify:pair:{(await telling.channel(who))['marks'][0]}")  # the window ends

    async def told() -> bool:
        return isinstance(await telling.services.dispatcher.deliver(notification_of(waiting[0])), Delivery)

    await until(told)
    await telling.reached(who, "delivered", 6)
    texts = [each["text"] for each in telling.alerts(who)]
    assert texts[3].startswith("*Urgent: Liquidation is near*")
    assert "2 alerts" in texts[4]
    assert len(texts) == 5


async def test_stop_is_honoured_until_start(telling: Telling) -> None:
    who = await telling.person()
    await telling.writes(who, "  Stop. ")
    await until(lambda: _state(telling, who, "stopped"))
    await telling.tell(who, "Nobody wants this")
    (entry,) = await telling.reached(who, "suppressed")
    assert entry["reason"] == "stopped"
    telling.steer(who, text="START")
    await until(lambda: _state(telling, who, "active"))
    await telling.tell(who, "Wanted again")
    await telling.reached(who, "delivered")
    texts = [each["text"] for each in telling.alerts(who)]
    assert [text.splitlines()[0] for text in texts] == [
        "*You get no more alerts*", "*You get alerts again*", "*Wanted again*",
    ]  # fmt: skip


async def test_stop_is_understood_from_a_number_that_whatsapp_calls_otherwise(telling: Telling) -> None:
    """Brazilian mobiles are known to WhatsApp without a 9: what they write comes from another number than ours."""
    owner, number, called = "brazil", "+5561912345678", "556112345678"
    await telling.services.channels.add(owner, "whatsapp", number=number)
    (message,) = await telling.arrived(called, 1)
    await telling.services.channels.verify(owner, "whatsapp", message["text"].split("*")[1])
    telling.steer(Person(owner, called), text="STOP")
    await until(lambda: _state(telling, Person(owner, called), "stopped"))


async def _state(telling: Telling, who: object, state: str) -> bool:
    return bool((await telling.channel(who))["state"] == state)  # type: ignore[arg-type]


async def test_a_number_without_whatsapp_falls_back_to_the_next_channel(telling: Telling) -> None:
    """Meta takes the message and tells by webhook that it cannot be delivered (131026)."""
    who = await telling.person(fallback="screen")
    telling.steer(who, on_whatsapp=False)
    await telling.tell(who)
    (entry,) = await telling.reached(who, "delivered")
    assert entry["channel"] == "screen"
    assert entry["tried"] == [(await telling.channel(who))["_id"]]


async def test_without_another_channel_it_has_failed_and_says_why(telling: Telling) -> None:
    who = await telling.person()
    telling.steer(who, on_whatsapp=False)
    await telling.tell(who)
    (entry,) = await telling.reached(who, "failed")
    assert entry["reason"] == "meta_131026"


async def test_a_window_that_closed_meanwhile_makes_it_a_template(telling: Telling) -> None:
    """We believe that text is allowed, Meta says by webhook that it is not (131047): it comes as a template."""
    who = await telling.person()
    channel = await telling.channel(who)
    until_then = datetime.now(UTC) + timedelta(hours=1)
    await telling.services.mongo.channels.change(channel["_id"], {"$set": {"window_until": until_then}})
    await telling.tell(who)
    await telling.reached(who, "delivered")
    (message,) = telling.alerts(who)
    assert message["template"] == "crypto_alert"


@pytest.mark.parametrize("code", [131000, 131056, 130429, 131057])
async def test_refusals_in_passing_are_waited_out(telling: Telling, code: int) -> None:
    who = await telling.person()
    telling.refuse(code)
    await telling.tell(who)
    await telling.reached(who, "delivered")
    assert len(telling.alerts(who)) == 1


async def test_a_broken_token_stops_the_sender_and_other_channels_go_on(telling: Telling) -> None:
    """Who has another channel is told by it at once; the others' notifications wait for the operator."""
    lucky, waiting = await telling.person(fallback="screen"), await telling.person()
    telling.refuse(190, 1000)
    await telling.tell(lucky)
    (entry,) = await telling.reached(lucky, "delivered")
    assert entry["channel"] == "screen"
    (job_id,) = await telling.tell(waiting)

    async def rests() -> bool:
        found = await telling.services.mongo.notifications.newest(waiting.owner, 1)
        return bool(found) and found[0]["state"] == "queued" and (await telling.services.jobs.get(job_id)).attempts > 0

    await until(rests)
    telling.refuse(190, 0)
    await telling.services.limits.delete("notify:sender:meta")
    assert telling.sandbox.requests("/graph/messages") > 0
    note = await telling.services.mongo.notifications.newest(waiting.owner, 1)
    await telling.services.dispatcher.deliver(notification_of(note[0]))
    await telling.reached(waiting, "delivered")


async def test_a_webhook_channel_gets_each_notification_signed(telling: Telling) -> None:
    with receiver() as (url, got):
        owner = f"hook-{id(got)}"
        view = await telling.services.channels.add(owner, "webhook", url=url)
        assert view.secret is not None
        assert view.address == "localhost"
        again = await telling.services.channels.list(owner)
        assert again[0].secret is None
        who = Person(owner, "")
        await telling.tell(who, "One", "Two", fields={"rsi": "63.2", "atr": "410"})
        await telling.reached(who, "delivered", 2)
    bodies = [body for _, body in got]
    assert len(bodies) == 2
    assert b'"title":"One"' in bodies[0]
    assert b'"fields":{"rsi":"63.2","atr":"410"}' in bodies[0]


async def test_an_owner_without_a_channel_is_told_so_in_the_ledger(telling: Telling) -> None:
    who = Person("nobody-reachable", "")
    await telling.tell(who)
    (entry,) = await telling.reached(who, "failed")
    assert entry["reason"] == "no_channel"


async def test_webhooks_of_strangers_are_refused(telling: Telling) -> None:
    """Without the signature of exactly this body nothing is noted; the verify token guards the set-up."""
    async with httpx2.AsyncClient(base_url=f"{telling.front_end}/v1/webhooks") as http:
        for headers in ({}, {"X-Hub-Signature-256": "sha256=" + "0" * 64}, {"X-Hub-Signature-256": "nonsense ü"}):
            given = {name: value.encode() for name, value in headers.items()}
            refused = await http.post("/whatsapp", content=b'{"entry":[]}', headers=given)
            assert refused.status_code == 403
            assert refused.json()["code"] == "bad_signature"
        asked = {"hub.mode": "subscribe", "hub.challenge": "1158201444"}
        right = await http.get("/whatsapp", params=asked | {"hub.verify_token": "verify-of-tests"})
        wrong = await http.get("/whatsapp", params=asked | {"hub.verify_token": "guess"})
    assert (right.status_code, right.text) == (200, "1158201444")
    assert wrong.status_code == 403


async def test_a_notification_whose_job_was_lost_gets_another_one(telling: Telling) -> None:
    """The ledger has it too; once a minute somebody looks for what has no job."""
    who = await telling.person()
    note = Notification(notification_id="lost.1", owner=who.owner, title="Not lost", at=datetime.now(UTC))
    document = document_of(note, None) | {"_id": key_of(who.owner, "lost.1")}
    for _ in range(2):
        await telling.services.mongo.notifications.accept_all([document])
    assert await resubmit_forgotten(telling.services, datetime.now(UTC)) == 0
    assert await resubmit_forgotten(telling.services, datetime.now(UTC) + timedelta(minutes=2)) >= 1
    await telling.reached(who, "delivered")
    assert len(telling.alerts(who)) == 1


async def test_a_notification_that_is_sent_before_its_submitter_has_written_it_down_stays_sent(
    telling: Telling,
) -> None:
    """Job and ledger are written at the same time: either may come first."""
    who, ledger = await telling.person(), telling.services.mongo.notifications
    note = Notification(notification_id="early.1", owner=who.owner, title="Early", at=datetime.now(UTC))
    accept_all = ledger.accept_all

    async def late(documents: Sequence[dict[str, Any]]) -> None:
        await telling.reached(who, "delivered")
        await accept_all(documents)

    ledger.accept_all = late  # type: ignore[method-assign]
    try:
        await submit_all(telling.services, [note])
    finally:
        ledger.accept_all = accept_all  # type: ignore[method-assign]
    (entry,) = await ledger.newest(who.owner, 10)
    assert (entry["state"], "open" in entry, len(telling.alerts(who))) == ("delivered", False, 1)


async def test_what_became_of_notifications_is_listed_and_counted(telling: Telling) -> None:
    """The local user asks over REST; `/metrics` counts messages by who carried them."""
    note = Notification(notification_id="listed.1", owner=LOCAL, title="Listed", at=datetime.now(UTC))
    await telling.submit(note)
    await telling.reached(Person(LOCAL, ""), "delivered")
    async with httpx2.AsyncClient(base_url=telling.front_end) as http:
        listed = (await http.get("/v1/notifications")).json()["notifications"]
        counted = (await http.get("/metrics")).text
    assert [(each["notification_id"], each["state"], each["channel"]) for each in listed] == [
        ("listed.1", "delivered", "console")
    ]
    assert 'crypto_mcp_notifications_total{outcome="sent",sender="console"}' in counted


async def test_numbers_are_nowhere_in_the_stores(telling: Telling) -> None:
    """Neither MongoDB nor Redis holds the digits of a number once what was asked is done, nor the texts of codes."""
    who = await telling.person(opened=True)
    await telling.tell(who)
    await telling.reached(who, "delivered")
    digits = who.number.lstrip("+").encode()
    database = telling.services.mongo._database
    for name in await database.list_collection_names():
        async for document in database[name].find():
            assert digits not in str(document).encode()
            assert "wamid" not in str(document)  # Meta's ids have the number inside
    for redis in (telling.services.queue, telling.services.limits, telling.services.cache):
        async for key in redis.scan_iter():
            assert digits not in key
            assert digits not in (await redis.dump(key) or b"")
