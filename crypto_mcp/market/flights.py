"""One request on behalf of all processes that want the same at the same time, and for a moment after.

Who comes first holds a lease in Redis (db 0), renewed while it asks; the others wait for what it leaves. A process that
dies while it asks loses its lease, and one of the others asks instead. Failures are shared too, briefly.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from redis.exceptions import RedisError

from crypto_mcp.errors import CryptoMcpError, SourceUnavailable
from crypto_mcp.market.allowance.asking import asking
from crypto_mcp.market.allowance.turns import SourceBusy
from crypto_mcp.stores.cache import Outage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from redis.asyncio import Redis

log = structlog.get_logger(__name__)

LEASE_MS = 3000
_RENEW_EVERY = 1.0
_FAILURE_KEPT_MS = 500
_FIRST_LOOK, _LAST_LOOK = 0.004, 0.05
_FOUND, _FAILED = b"+", b"-"

_TAKE = """
local value = redis.call('GET', KEYS[1])
if value then return value end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return 0
"""
_RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
_LAND = """
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 1
"""


@dataclass(frozen=True, slots=True)
class _Flight:
    """What is wanted, and under which keys its value and its lease are."""

    value: str
    lease: str
    token: str
    keep_ms: int

    @classmethod
    def of(cls, key: str, keep: float) -> _Flight:
        # A lease for each priority: nobody who is in a hurry waits behind one who is not.
        lease = f"{key}:asking:{asking().priority}"
        return cls(key, lease, secrets.token_hex(8), max(1, int(keep * 1000)))


class Flights:
    """Shared requests. `errors`: those that travel as themselves; others arrive as `SourceUnavailable`."""

    def __init__(self, redis: Redis, errors: tuple[type[CryptoMcpError], ...] = (SourceUnavailable,)) -> None:
        self._redis = redis
        self._errors: Mapping[str, type[CryptoMcpError]] = {kind.code: kind for kind in errors}
        self._outage = Outage("shared requests")
        self._running: dict[str, asyncio.Task[bytes]] = {}
        self._take, self._renew, self._land = (redis.register_script(text) for text in (_TAKE, _RENEW, _LAND))

    async def get(self, key: str, keep: float, fetch: Callable[[], Awaitable[bytes]]) -> bytes:
        """What `fetch` gives, here or in whichever process asks for it; kept for `keep` seconds.

        Raises:
            CryptoMcpError: what `fetch` raised, wherever it ran.
        """
        flight = _Flight.of(key, keep)
        running = self._running.get(flight.lease)
        if running is None:
            running = asyncio.create_task(self._fly(flight, fetch))
            self._running[flight.lease] = running
            running.add_done_callback(lambda task: self._landed(flight.lease, task))
        return await asyncio.shield(running)

    def _landed(self, lease: str, task: asyncio.Task[bytes]) -> None:
        self._running.pop(lease, None)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody else is to be told

    async def _fly(self, flight: _Flight, fetch: Callable[[], Awaitable[bytes]]) -> bytes:
        pause = _FIRST_LOOK
        deadline = time.monotonic() + asking().patience + LEASE_MS / 1000
        while True:
            found = await self._look(flight)
            if isinstance(found, bytes):
                return self._opened(found)
            if found:
                return await self._fetched(flight, fetch)
            if time.monotonic() > deadline:
                raise SourceBusy(
                    "another worker has been asking for the same for too long",
                    hint="Try again in a moment.", retry_after=LEASE_MS / 1000,
                )  # fmt: skip
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, _LAST_LOOK)

    async def _look(self, flight: _Flight) -> bytes | bool:
        """The value, or whether it is for us to ask. Without Redis everybody asks."""
        if self._outage.lasts:
            return True
        try:
            reply = await self._take(keys=[flight.value, flight.lease], args=[flight.token, LEASE_MS])
        except (RedisError, OSError) as error:
            self._outage.begin(error)
            return True
        self._outage.end()
        return reply if isinstance(reply, bytes) else bool(reply)

    async def _fetched(self, flight: _Flight, fetch: Callable[[], Awaitable[bytes]]) -> bytes:
        renewing = asyncio.create_task(self._renewed(flight))
        try:
            value = await fetch()
        except SourceBusy:
            await self._leave(flight, b"", 0)  # its patience ended; that of others may not have
            raise
        except CryptoMcpError as error:
            await self._leave(flight, _FAILED + _error_as_bytes(error), _FAILURE_KEPT_MS)
            raise
        except BaseException:
            await self._leave(flight, b"", 0)
            raise
        finally:
            renewing.cancel()
        await self._leave(flight, _FOUND + value, flight.keep_ms)
        return value

    async def _renewed(self, flight: _Flight) -> None:
        while True:
            await asyncio.sleep(_RENEW_EVERY)
            with contextlib.suppress(RedisError, OSError):
                await self._renew(keys=[flight.lease], args=[flight.token, LEASE_MS])

    async def _leave(self, flight: _Flight, value: bytes, keep_ms: int) -> None:
        if self._outage.lasts:
            return
        try:
            if keep_ms:
                await self._land(keys=[flight.value, flight.lease], args=[flight.token, value, keep_ms])
            else:
                await self._renew(keys=[flight.lease], args=[flight.token, 1])
        except (RedisError, OSError) as error:
            self._outage.begin(error)

    def _opened(self, value: bytes) -> bytes:
        if value[:1] == _FOUND:
            return value[1:]
        raise self._error_of(orjson.loads(value[1:]))

    def _error_of(self, said: dict[str, Any]) -> CryptoMcpError:
        kind = self._errors.get(said["code"], SourceUnavailable)
        error = kind(said["message"], hint=said["hint"], retry_after=said["retry_after"])
        for name, value in said["more"].items():
            setattr(error, name, value)
        return error


def _error_as_bytes(error: CryptoMcpError) -> bytes:
    own = dict(_own_attributes(error))
    return orjson.dumps(
        {
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "retry_after": error.retry_after,
            "more": own,
        }
    )


def _own_attributes(error: CryptoMcpError) -> Iterator[tuple[str, Any]]:
    """What a subclass carries beside the common fields, such as an exchange's error code."""
    for name, value in vars(error).items():
        if name not in ("message", "hint", "retry_after") and isinstance(value, (int, str)):
            yield name, value
