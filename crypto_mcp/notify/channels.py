"""The book of channels: an owner's ways to be told. Nobody sees another's; numbers and secrets are stored encrypted."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from crypto_mcp.errors import InvalidRequest, Unavailable
from crypto_mcp.models.answers import LOCAL
from crypto_mcp.notify import codes
from crypto_mcp.notify.channel import Channel
from crypto_mcp.notify.numbers import e164
from crypto_mcp.notify.sealing import NoEncryptionKey, Seal
from crypto_mcp.notify.sending import Message, SendFailed, Target
from crypto_mcp.notify.webhook import check_url, new_secret
from crypto_mcp.stores.channel_documents import ChannelExists

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from crypto_mcp.models.notifications import ChannelKind, ChannelView
    from crypto_mcp.notify.senders import Senders
    from crypto_mcp.settings import NotifySettings
    from crypto_mcp.stores.channel_documents import ChannelDocuments

log = structlog.get_logger(__name__)

MOST_CHANNELS = 20
_WINDOW = timedelta(hours=24)


class UnknownChannel(InvalidRequest):
    """The owner has no channel of that name."""

    code = "unknown_channel"
    http_status = 404


class ChannelBook:
    """Reads and changes channels. `limits` is Redis db 1."""

    def __init__(self, documents: ChannelDocuments, senders: Senders, limits: Redis, settings: NotifySettings) -> None:
        self._documents = documents
        self._senders = senders
        self._limits = limits
        self._settings = settings
        self.seal = Seal.of(settings) if settings.encryption_key is not None else None

    async def list(self, owner: str) -> list[ChannelView]:
        """The owner's channels, the oldest first. The local user without any has a default one."""
        found = [Channel.of(each) for each in await self._documents.of(owner)]
        if not found and (default := await self.find(owner, None)) is not None:
            found = [default]
        return [self._view(each) for each in found]

    async def add(
        self,
        owner: str,
        kind: ChannelKind,
        *,
        name: str | None = None,
        number: str | None = None,
        url: str | None = None,
        fallback: str | None = None,
    ) -> ChannelView:
        """A new channel; the first one becomes the default.

        A WhatsApp number gets six digits, and nothing else before they are given to `verify`: that is the consent to be
        written to. A webhook gets a secret, which is told this once.

        Raises:
            InvalidNumber, ForbiddenAddress, NoEncryptionKey: of what was given, or is not set up.
            ChannelExists, TooManyRequests: of what there is already.
            Unavailable: WhatsApp does not take the message with the code.
        """
        have = await self._documents.of(owner)
        if len(have) >= MOST_CHANNELS:
            raise InvalidRequest(f"you have {MOST_CHANNELS} channels already", hint="Remove one.")
        document = _document(owner, kind, name or kind, default=not have)
        if any(each["name"] == document["name"] for each in have):
            raise ChannelExists(f"you have a channel {document['name']!r}", hint="Remove it first, or give a name.")
        if fallback is not None:
            self._check_fallback(have, document["name"], fallback)
            document["fallback"] = fallback
        secret = await self._fill(document, kind, number, url)
        await self._documents.insert(document)
        if kind == "whatsapp":
            await self._send_code(Channel.of(document))
        return self._view(Channel.of(document), secret=secret)

    async def verify(self, owner: str, name: str, code: str | None = None) -> ChannelView:
        """Activates a WhatsApp channel with its code; without a code, sends a new one. `WrongCode` otherwise."""
        document = await self._named(owner, name)
        if document["kind"] != "whatsapp" or document["state"] != "unverified":
            return self._view(Channel.of(document))
        if code is None:
            await self._send_code(Channel.of(document))
            return self._view(Channel.of(document))
        await self._documents.change(document["_id"], {"$inc": {"code_tries": 1}})
        right = (
            document.get("code") in self._seal().marks(f"{document['_id']} {code.strip()}")
            and document["code_tries"] < codes.TRIES
            and document["code_until"] > datetime.now(UTC)
        )
        if not right:
            raise codes.WrongCode(
                "that is not the code, or it is older than ten minutes, or it was tried too often",
                hint="Verify without a code sends a new one.",
            )
        now = datetime.now(UTC)
        changed = await self._documents.change(
            document["_id"],
            {"$set": {"state": "active", "verified_at": now}, "$unset": {"code": 1, "code_until": 1, "code_tries": 1}},
        )
        return self._view(Channel.of(changed or document))

    async def remove(self, owner: str, name: str) -> None:
        """Forgets a channel. If it was the default, the oldest that is left becomes it."""
        document = await self._named(owner, name)
        await self._documents.remove(owner, name)
        left = await self._documents.of(owner)
        if document["default"] and left:
            await self._documents.change(left[0]["_id"], {"$set": {"default": True}})

    async def make_default(self, owner: str, name: str) -> ChannelView:
        """The channel that is used where none is named."""
        document = await self._named(owner, name)
        changed = await self._documents.change(document["_id"], {"$set": {"default": True}})
        await self._documents.undefault(owner, document["_id"])
        return self._view(Channel.of(changed or document))

    async def set_fallback(self, owner: str, name: str, fallback: str | None) -> ChannelView:
        """The channel that is used when this one fails for good; none, if None."""
        document = await self._named(owner, name)
        if fallback is not None:
            self._check_fallback(await self._documents.of(owner), name, fallback)
        changed = await self._documents.change(document["_id"], {"$set": {"fallback": fallback}})
        return self._view(Channel.of(changed or document))

    async def erase(self, owner: str) -> int:
        """Forgets all channels of an owner; how many there were."""
        return await self._documents.remove(owner)

    async def find(self, owner: str, name: str | None) -> Channel | None:
        """The channel of that name, or the default one. The local user always has one."""
        found = await (self._documents.default(owner) if name is None else self._documents.named(owner, name))
        if found is not None:
            return Channel.of(found)
        return await self._of_this_machine(name) if owner == LOCAL else None

    async def by_id(self, channel_id: str) -> Channel | None:
        """A channel that a notification is on."""
        if channel_id == _CONSOLE.id:
            return _CONSOLE
        found = await self._documents.by_id(channel_id)
        return None if found is None else Channel.of(found)

    async def known_as(self, channel: Channel, called: str) -> None:
        """WhatsApp calls the number otherwise: what comes from there finds the channel too."""
        await self._documents.change(channel.id, {"$addToSet": {"marks": self._seal().mark(f"+{called}")}})

    async def stop(self, channel: Channel) -> None:
        """The person does not want to hear."""
        await self._documents.change(channel.id, {"$set": {"state": "stopped", "stopped_at": datetime.now(UTC)}})

    async def close_window(self, channel: Channel) -> None:
        """The provider says that the 24 hours are over."""
        await self._documents.change(channel.id, {"$unset": {"window_until": 1}})

    async def heard(self, marks: Sequence[str], at: datetime, word: str) -> Sequence[Channel]:
        """Somebody wrote: opens their 24 hours, and does what STOP and START say; the channels that it concerned."""
        changed = []
        for document in await self._documents.marked(marks):
            change: dict[str, Any] = {"$max": {"window_until": at + _WINDOW}}
            if word == "stop" and document["state"] != "stopped":
                change["$set"] = {"state": "stopped", "stopped_at": at}
            elif word == "start" and document["state"] == "stopped":
                change["$set"] = {"state": "active" if document.get("verified_at") else "unverified"}
            now = await self._documents.change(document["_id"], change)
            changed.append(Channel.of(now or document))
        return changed

    async def moved(self, marks: Sequence[str], sealed: str, mark: str) -> int:
        """Somebody has another number now, says the provider; how many channels go with them."""
        found = await self._documents.marked(marks)
        for document in found:
            await self._documents.change(document["_id"], {"$set": {"sealed": sealed, "marks": [mark]}})
        return len(found)

    def _view(self, channel: Channel, secret: str | None = None) -> ChannelView:
        return channel.view(self.seal, self._senders.provider if channel.kind == "whatsapp" else None, secret)

    def _seal(self) -> Seal:
        return self.seal or Seal.of(self._settings)

    async def _named(self, owner: str, name: str) -> dict[str, Any]:
        found = await self._documents.named(owner, name)
        if found is None:
            names = [each["name"] for each in await self._documents.of(owner)]
            raise UnknownChannel(f"you have no channel {name[:40]!r}", hint=f"You have: {', '.join(names) or 'none'}.")
        return found

    async def _fill(
        self, document: dict[str, Any], kind: ChannelKind, number: str | None, url: str | None
    ) -> str | None:
        """Puts what the kind needs into a new channel; the secret of a webhook."""
        if kind == "console":
            return None
        seal = self._seal()
        if kind == "whatsapp":
            if number is None:
                raise InvalidRequest("number: is needed for WhatsApp", hint="Such as +12025550123.")
            if self._senders.whatsapp is None:
                raise InvalidRequest(
                    "WhatsApp is not set up here", hint="docs/notifications.md says how; or a webhook."
                )
            whole = e164(number)
            document |= {"sealed": seal.close(whole), "marks": [seal.mark(whole)], "state": "unverified"}
            return None
        if url is None:
            raise InvalidRequest("url: is needed for a webhook", hint="Such as https://example.com/hook.")
        await check_url(url, self._settings.webhook_networks)
        secret = new_secret(secrets.token_bytes(24))
        document |= {"sealed": seal.close(url), "secret": seal.close(secret)}
        return secret

    async def _send_code(self, channel: Channel) -> None:
        seal, sender = self._seal(), self._senders.whatsapp
        if sender is None:
            raise InvalidRequest("WhatsApp is not set up here", hint="docs/notifications.md says how.")
        await codes.count(self._limits, channel.owner, channel.person)
        code = codes.new_code()
        mark = seal.mark(f"{channel.id} {code}")
        await self._documents.change(
            channel.id, {"$set": {"code": mark, "code_until": codes.good_until(), "code_tries": 0}}
        )
        target = Target(seal.open(channel.sealed))
        message = Message(f"code-{secrets.token_hex(8)}", "Code", code, datetime.now(UTC), kind="code")
        try:
            sent = await sender.send(target, message)
        except SendFailed as failed:
            log.warning("a code could not be sent", sender=sender.name, code=failed.code, meaning=failed.meaning)
            raise Unavailable(
                f"WhatsApp did not take the message with the code: {failed.message} [{failed.code}]",
                hint=f"Action `verify` of channel {channel.name!r} without a code tries again.",
            ) from None
        if sent.called:
            await self.known_as(channel, sent.called)

    @staticmethod
    def _check_fallback(have: Sequence[dict[str, Any]], name: str, fallback: str) -> None:
        """It exists, and no way leads from it back here."""
        after = {each["name"]: each.get("fallback") for each in have}
        if fallback not in after:
            raise UnknownChannel(f"fallback: you have no channel {fallback[:40]!r}", hint="Add that one first.")
        seen = {name}
        step: str | None = fallback
        while step is not None:
            if step in seen:
                raise InvalidRequest(f"fallback: {fallback} leads back to {name}", hint="Take another one.")
            seen.add(step)
            step = after.get(step)

    async def _of_this_machine(self, name: str | None) -> Channel | None:
        """Without any set up: the phone that settings name, a sandbox's in `crypto-mcp run`, or the console."""
        settings = self._settings
        if name == _CONSOLE.name:
            return _CONSOLE
        if name is not None:
            return None
        if settings.local_number is None or self.seal is None or self._senders.whatsapp is None:
            return _CONSOLE
        number = e164(settings.local_number)
        document = _document(LOCAL, "whatsapp", "whatsapp", default=True) | {
            "sealed": self.seal.close(number),
            "marks": [self.seal.mark(number)],
            "verified_at": datetime.now(UTC),
        }
        try:
            await self._documents.insert(document)
        except ChannelExists:
            found = await self._documents.named(LOCAL, "whatsapp")
            return _CONSOLE if found is None else Channel.of(found)
        except NoEncryptionKey:
            return _CONSOLE
        return Channel.of(document)


_CONSOLE = Channel(
    id="console",
    owner=LOCAL,
    name="console",
    kind="console",
    state="active",
    default=True,
    person="console",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def _document(owner: str, kind: ChannelKind, name: str, *, default: bool) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "_id": f"ch_{secrets.token_hex(8)}",
        "user_id": owner,
        "name": name,
        "kind": kind,
        "state": "active",
        "default": default,
        "created_at": now.replace(microsecond=now.microsecond // 1000 * 1000),
    }
