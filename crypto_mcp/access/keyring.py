"""Keys as a front end knows them: looked up in PostgreSQL, remembered for so short a time that a revocation is felt
within two seconds everywhere."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from cachetools import LRUCache

from crypto_mcp.access.identity import Identity
from crypto_mcp.errors import Forbidden, StoreUnavailable, Unauthorized

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from crypto_mcp.access.directory import Directory, KeyRecord
    from crypto_mcp.access.keys import ApiKey

log = structlog.get_logger(__name__)

REMEMBERED = 1.5
"""Seconds a look-up is good for."""

OUTAGE_GRACE = 300.0
"""Seconds for which a key that was good stays good while PostgreSQL is away: nobody can revoke it there either."""

_MOST = 10_000
_USE_NOTED_EVERY = 60.0
_WRONG = "Send a key as `Authorization: Bearer ...` or `X-API-Key: ...`; `crypto-mcp keys create` makes one."


@dataclass(slots=True)
class _Known:
    record: KeyRecord | None
    at: float


class Keyring:
    """Recognises clients by their keys."""

    def __init__(self, directory: Directory, pepper: str) -> None:
        self._directory = directory
        self._pepper = pepper
        self._known: LRUCache[str, _Known] = LRUCache(_MOST)
        self._asking: dict[str, asyncio.Task[KeyRecord | None]] = {}
        self._used: set[str] = set()
        self._noted_at = time.monotonic()

    async def identify(self, key: ApiKey, address: IPv4Address | IPv6Address | None) -> Identity:
        """The client whose key this is.

        Raises:
            Unauthorized: the key is unknown, revoked or expired. Which of these, only a holder of the real key is told.
            Forbidden: its client may not come from this address.
            StoreUnavailable: PostgreSQL is away, and the key was not seen lately.
        """
        record = await self._record(key.key_id)
        if record is None or not key.matches(record.digest, self._pepper):
            raise Unauthorized("the key is not known", hint=_WRONG)
        state = record.state(datetime.now(UTC))
        if state != "active":
            raise Unauthorized(f"the key is {state}", hint="`crypto-mcp keys rotate` or `create` makes a new one.")
        if record.allowed_ips and (address is None or not any(address in network for network in record.allowed_ips)):
            raise Forbidden("this client may not come from this address", hint="Its allow-list names the networks.")
        await self._note_use(record.key_id)
        return Identity(record.client_id, record.scopes, "key", record.key_id, record.expires_at, record.signing_key)

    async def _record(self, key_id: str) -> KeyRecord | None:
        known = self._known.get(key_id)
        if known is not None and time.monotonic() - known.at < REMEMBERED:
            return known.record
        try:
            record = await self._asked(key_id)
        except StoreUnavailable:
            if known is None or known.record is None or time.monotonic() - known.at > OUTAGE_GRACE:
                raise
            return known.record
        self._known[key_id] = _Known(record, time.monotonic())
        return record

    async def _asked(self, key_id: str) -> KeyRecord | None:
        """From PostgreSQL, once for all who ask at the same time."""
        asking = self._asking.get(key_id)
        if asking is None:
            asking = self._asking[key_id] = asyncio.ensure_future(self._directory.find(key_id))
            asking.add_done_callback(lambda _: self._asking.pop(key_id, None))
        return await asyncio.shield(asking)

    async def _note_use(self, key_id: str) -> None:
        """Writes down, once a minute, which keys were used."""
        self._used.add(key_id)
        if time.monotonic() - self._noted_at < _USE_NOTED_EVERY:
            return
        self._noted_at, used, self._used = time.monotonic(), self._used, set()
        try:
            await self._directory.used(used)
        except StoreUnavailable:
            self._used |= used
