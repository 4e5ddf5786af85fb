"""From a notification to a message that a provider has taken, exactly once as far as that can be known.

Whoever dispatches first has the lane of the channel (`pacing`), so that one worker at a time sends to one person: order
is kept, and a message that the ledger has as `sending` while the lane is ours was cut off by a crash. It is sent again,
which may be a duplicate and is counted as such: at most one a crash. States from the provider's webhooks settle it
before that where they carry our id.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.notify.entries import (
    delivery_of,
    document_of,
    key_of,
    message_document,
    notification_of,
    present_moment,
)
from crypto_mcp.notify.pacing import Wait
from crypto_mcp.notify.sending import Meaning, SendFailed
from crypto_mcp.notify.writing import write

if TYPE_CHECKING:
    from crypto_mcp.models.notifications import Delivery, DeliveryState, Notification
    from crypto_mcp.notify.channel import Channel
    from crypto_mcp.notify.channels import ChannelBook
    from crypto_mcp.notify.counts import Counts
    from crypto_mcp.notify.linking import Linking
    from crypto_mcp.notify.pacing import Pacing, Turn
    from crypto_mcp.notify.senders import Senders
    from crypto_mcp.notify.sending import Message, Sender
    from crypto_mcp.settings import NotifySettings
    from crypto_mcp.stores.notification_documents import NotificationDocuments

log = structlog.get_logger(__name__)

_MOST_STEPS = 8
_READ_AT_ONCE = _MOST_IN_A_DIGEST = 500
_MOST_SENDS = 6
_QUIET = 0.25
_UNANSWERED = 3.0
"""Seconds after the longest that a request may take, in which the provider's webhook may tell that it was taken."""
_OPERATOR_PAUSE, _ACCOUNT_PAUSE = 300.0, 300.0
_LONGEST_BACKOFF = 60.0


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Delivers notifications. Every method raises `StoreUnavailable` when MongoDB or Redis does not answer."""

    ledger: NotificationDocuments
    channels: ChannelBook
    senders: Senders
    pacing: Pacing
    counts: Counts
    settings: NotifySettings
    linking: Linking

    async def deliver(self, notification: Notification) -> Delivery | Wait:
        """Brings a notification as far as it comes now: what became of it, or how long it has to wait.

        Called again it goes on where it was, whoever called before, and however that ended.
        """
        key = key_of(notification.owner, notification.notification_id)
        channel = await self.channels.find(notification.owner, notification.channel)
        entry = await self.ledger.accept(key, document_of(notification, channel))
        if entry["attempts"] == 0 and notification.priority != "critical":
            age = (datetime.now(UTC) - entry["accepted_at"]).total_seconds()
            await asyncio.sleep(max(0.0, self.settings.gather_for - age))
        for _ in range(_MOST_STEPS):
            if not entry.get("open"):
                return delivery_of(entry)
            wait = await self._step(entry, channel)
            if wait is not None:
                return wait
            if not entry.get("open"):
                continue
            channel = None  # it may have changed
            found = await self.ledger.notification(key)
            if found is None:  # erased meanwhile
                return delivery_of(entry | {"state": "suppressed", "reason": "erased"})
            entry = found
        return Wait(0.05, "others")

    async def _step(self, entry: dict[str, Any], known: Channel | None) -> Wait | None:
        """One step of an open notification: a new channel, a message, an end. `Wait` if nothing can be done now.

        `known` is a channel as it is now; where the notification is sent, its `entry` says so afterwards.
        """
        waits = entry["state"] == "queued"
        if waits and (datetime.now(UTC) - entry["accepted_at"]).total_seconds() > self.settings.expire_after:
            await self._end(entry, "failed", entry.get("reason") or "expired")
            return None
        on_known = known is not None and known.id == entry.get("channel_id")
        channel = known if on_known else await self._channel(entry)
        if channel is None:
            return None
        sender = self.senders.of(channel)
        if sender is None or (waits and channel.state != "active"):
            if not waits:
                await self.ledger.give_back(entry["message_id"], "not_set_up", failed=True)
            await self._without(entry, channel, "not_set_up" if sender is None else channel.state)
            return None
        critical = waits and entry["priority"] == "critical"
        turn = await self.pacing.take(channel.id, _limits_of(sender, channel), channel.person, critical=critical)
        if isinstance(turn, Wait):
            return await self._turned_away(entry, channel, turn)
        try:
            return await self._in_turn(turn, channel, sender, entry)
        finally:
            with contextlib.suppress(StoreUnavailable):  # a lane that is not left ends by itself
                await self.pacing.leave(turn)

    async def _turned_away(self, entry: dict[str, Any], channel: Channel, wait: Wait) -> Wait | None:
        """A sender that an operator has to see to is not waited for where there is another way."""
        stopped, _, code = wait.said.partition(" ")
        if wait.why == "stopped" and stopped == "operator" and channel.fallback and entry["state"] == "queued":
            await self._without(entry, channel, code)
            return None
        return wait

    async def _channel(self, entry: dict[str, Any]) -> Channel | None:
        """The channel it is on, or is now put on. None: it is not open any more, or is to be read again."""
        if "channel_id" in entry:
            channel = await self.channels.by_id(entry["channel_id"])
            if channel is None:
                await self._lost_channel(entry)
            return channel
        told = notification_of(entry)
        channel = await self.channels.find(told.owner, told.channel)
        if channel is None:
            await self._end(entry, "failed", "unknown_channel" if told.channel else "no_channel")
            return None
        await self.ledger.route(told.owner, told.channel, channel.id, channel.name)
        entry |= {"channel_id": channel.id, "channel": channel.name}
        return channel

    async def _lost_channel(self, entry: dict[str, Any]) -> None:
        """Its owner has removed the channel: it goes by the default one, unless that is where it comes from."""
        if entry["state"] != "queued":
            await self.ledger.give_back(entry["message_id"], "unknown_channel", failed=True)
        other = await self.channels.find(entry["user_id"], None)
        known = None if other is None or other.id in entry["tried"] else other
        await self.ledger.fall_back(entry["_id"], entry["channel_id"], to=_place(known), reason="unknown_channel")

    async def _in_turn(self, turn: Turn, channel: Channel, sender: Sender, entry: dict[str, Any]) -> Wait | None:
        """Sends the next message of the lane, which is ours; it may or may not be the one that carries `entry`."""
        waiting = await self.ledger.open_on(channel.id, _READ_AT_ONCE)
        cut_off = next((each["message_id"] for each in waiting if each["state"] == "sending"), None)
        if cut_off is not None:
            return await self._resume(turn, channel, sender, cut_off)
        batch = _batch(waiting, digests=turn.pace.digest_after > 0)
        if not batch:
            return None
        wait = self._until_quiet(batch) or await self.pacing.charge(turn)
        if wait is not None:
            return wait
        message_id = f"m{secrets.token_hex(12)}"
        claimed = await self.ledger.claim([each["_id"] for each in batch], channel.id, message_id)
        if not claimed:
            return None
        await self.ledger.begin(message_document(message_id, channel, sender, claimed))
        outcome = await self._send(turn, channel, sender, await self._written(message_id, claimed))
        if isinstance(outcome, Wait) or outcome is None:
            return outcome
        if any(each["_id"] == entry["_id"] for each in claimed):
            entry.pop("open")
            entry |= {"state": outcome, "state_at": present_moment(), "message_id": message_id}
        return None

    def _until_quiet(self, batch: list[dict[str, Any]]) -> Wait | None:
        """Where several have come at about the same time, more are likely to."""
        if len(batch) == 1:
            return None
        now = datetime.now(UTC)
        oldest, newest = ((now - each["accepted_at"]).total_seconds() for each in _ends(batch))
        quiet = newest >= _QUIET or oldest >= self.settings.gather_most
        return None if quiet else Wait(_QUIET - newest, "gather")

    async def _resume(self, turn: Turn, channel: Channel, sender: Sender, message_id: str) -> Wait | None:
        """Clears up after whoever had the lane before and did not get to the end."""
        message = await self.ledger.message(message_id)
        if message is None or message["state"] != "sending":
            await self._settle(message_id, message)
            return None
        # Not sooner, whatever became of the lane: a request that is still under way must not be taken for cut off.
        left = self.settings.timeout + _UNANSWERED - (datetime.now(UTC) - message["state_at"]).total_seconds()
        if left > 0:
            return Wait(left, "unanswered")
        if message["sends"] >= _MOST_SENDS:
            await self._fails(message_id, channel, "no_answer")
            return None
        wait = await self.pacing.charge(turn)
        if wait is None and await self.ledger.again(message_id, message["sends"]):
            log.warning("message sent again: it may be a duplicate", message_id=message_id, sender=sender.name)
            await self.counts.add(sender.name, "possible_duplicate")
            carried = await self.ledger.carried(message_id)
            carried.sort(key=lambda each: message["notifications"].index(each["_id"]))
            outcome = await self._send(turn, channel, sender, await self._written(message_id, carried))
            return outcome if isinstance(outcome, Wait) else None
        return wait

    async def _settle(self, message_id: str, message: dict[str, Any] | None) -> None:
        """Whoever wrote down what became of a message was cut off before what it carries was told."""
        if message is None:
            await self.ledger.give_back(message_id, "worker_crashed", failed=False)
        elif message["state"] in ("sent", "delivered", "read"):
            await self.ledger.spread(message_id, message["state"], message["state_at"])
        else:
            await self.ledger.give_back(message_id, message.get("reason", "returned"), failed=True)

    async def _written(self, message_id: str, entries: list[dict[str, Any]]) -> Message:
        return write(message_id, [await self.linking.linked(notification_of(each)) for each in entries])

    async def _send(
        self, turn: Turn, channel: Channel, sender: Sender, message: Message
    ) -> Wait | DeliveryState | None:
        """Hands a message over: how far it came; `Wait` or None where it was refused."""
        try:
            sent = await sender.send(channel.target(self.channels.seal), message)
        except SendFailed as failed:
            log.info(
                "message refused", sender=sender.name, message_id=message.message_id, code=failed.code,
                meaning=failed.meaning,
            )  # fmt: skip
            await self.counts.add(sender.name, f"refused_{failed.meaning}")
            return await self._refused(turn, channel, message.message_id, failed)
        now = present_moment()
        state: DeliveryState = "delivered" if sent.delivered else "sent"
        await self.ledger.reached(message.message_id, state, sent.provider_id, now)
        await self.counts.add(sender.name, "sent")
        log.info("message sent", sender=sender.name, message_id=message.message_id, channel_id=channel.id)
        if turn.refused:
            await self.pacing.went(turn)
        if sent.called:
            await self.channels.known_as(channel, sent.called)
        return state

    async def _refused(self, turn: Turn, channel: Channel, message_id: str, failed: SendFailed) -> Wait | None:
        """What a refusal means for the message, the person and the sender."""
        match failed.meaning:
            case Meaning.UNKNOWN:
                return Wait(_UNANSWERED, "unanswered")
            case Meaning.FINAL:
                await self._fails(message_id, channel, failed.code)
                return None
            case Meaning.OPT_OUT:
                await self.channels.stop(channel)
            case Meaning.TEMPLATE:
                await self.channels.close_window(channel)
        attempts = [each["attempts"] for each in await self.ledger.carried(message_id)]
        await self.ledger.give_back(message_id, failed.code, failed=False)
        return await self._slow_down(turn, failed, max(attempts, default=0))

    async def _slow_down(self, turn: Turn, failed: SendFailed, attempts: int) -> Wait | None:
        """Has the person, or all who use the sender, wait as long as a refusal asks for."""
        if failed.meaning in (Meaning.OPT_OUT, Meaning.TEMPLATE):
            return None
        if failed.meaning is Meaning.PAIR:
            await self.pacing.refused(turn)
            return Wait(0.5, "pair")
        ceiling = min(_LONGEST_BACKOFF, 0.5 * 2.0**attempts)
        backoff = ceiling / 2 + random.uniform(0, ceiling / 2)  # noqa: S311 - no secret # nosec B311
        seconds, why = {
            Meaning.SLOW: (max(1.0, failed.retry_after or 0.0), "slow"),
            Meaning.PAUSE: (failed.retry_after or _ACCOUNT_PAUSE, "pause"),
            Meaning.OPERATOR: (_OPERATOR_PAUSE, "operator"),
        }.get(failed.meaning, (max(backoff, failed.retry_after or 0.0), "retry"))
        if failed.meaning is Meaning.OPERATOR:
            log.error("sender stopped: an operator is needed", code=failed.code, reason=failed.message)
        await self.pacing.stop(turn, seconds, f"{why} {failed.code}")
        # An operator's stop is looked at again at once: a channel with a fallback leaves it.
        return None if failed.meaning is Meaning.OPERATOR else Wait(seconds, why)

    async def _fails(self, message_id: str, channel: Channel, reason: str) -> None:
        """A message will never arrive: all it carries goes on to the fallback channel, or has failed."""
        carried = await self.ledger.carried(message_id)
        await self.ledger.give_back(message_id, reason, failed=True)
        for entry in carried:
            await self._without(entry | {"state": "queued"}, channel, reason)

    async def failed_later(self, message: dict[str, Any], failed: SendFailed) -> None:
        """The provider says of a message it took that it did not arrive: what it carries is open again, or failed."""
        channel = await self.channels.by_id(message["channel_id"])
        carried = await self.ledger.carried(message["_id"])
        if message["state"] not in ("sending", "sent") or channel is None:
            return
        if failed.meaning is Meaning.TEMPLATE:
            await self.channels.close_window(channel)
        elif failed.meaning is Meaning.OPT_OUT:
            await self.channels.stop(channel)
        again = failed.meaning in (Meaning.TEMPLATE, Meaning.OPT_OUT, Meaning.RETRY, Meaning.PAIR, Meaning.SLOW)
        if again and message["sends"] + max((each["attempts"] for each in carried), default=0) < _MOST_SENDS:
            await self.ledger.give_back(message["_id"], failed.code, failed=True)
        else:
            await self._fails(message["_id"], channel, failed.code)

    async def _without(self, entry: dict[str, Any], channel: Channel, reason: str) -> None:
        """A channel is of no use for a notification: on to its fallback, if it has one that was not tried."""
        if reason == "stopped":
            await self._end(entry, "suppressed", reason)
            return
        other = await self.channels.find(channel.owner, channel.fallback) if channel.fallback else None
        if other is not None and other.id in [*entry["tried"], channel.id]:
            other = None
        await self.ledger.fall_back(entry["_id"], channel.id, to=_place(other), reason=reason)
        await self.counts.add(channel.kind, "failed" if other is None else "fell_back")

    async def _end(self, entry: dict[str, Any], state: str, reason: str) -> None:
        await self.ledger.end(entry["_id"], state, reason)
        await self.counts.add("notification", state)


def _place(channel: Channel | None) -> tuple[str, str] | None:
    return None if channel is None else (channel.id, channel.name)


def _limits_of(sender: Sender, channel: Channel) -> str:
    """Whose limits and stops apply: a provider's for all who use it, a webhook's for itself."""
    return f"webhook:{channel.id}" if channel.kind == "webhook" else sender.name


def _batch(waiting: list[dict[str, Any]], *, digests: bool) -> list[dict[str, Any]]:
    """What the next message carries: the most urgent alone, others together where the channel is a person's."""
    if not waiting:
        return []
    if waiting[0]["priority"] == "critical" or not digests:
        return waiting[:1]
    together = waiting[:_MOST_IN_A_DIGEST]
    return sorted(together, key=lambda each: (each["at"], each["_id"]))


def _ends(batch: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What came first and last."""
    by_arrival = sorted(batch, key=lambda each: each["accepted_at"])
    return by_arrival[0], by_arrival[-1]
