"""The places that keep something of a user, behind one shape."""

from __future__ import annotations

import asyncio
import fcntl
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from redis.exceptions import RedisError

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.jobs.connection import connect
from crypto_mcp.jobs.keys import WATCH
from crypto_mcp.jobs.personal_jobs import PersonalJobs
from crypto_mcp.models.answers import LOCAL
from crypto_mcp.notify.sealing import Seal, SealBroken
from crypto_mcp.stores.mongo import MongoStore
from crypto_mcp.stores.personal_rows import PersonalRows
from crypto_mcp.stores.postgres import PostgresStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from redis.asyncio import Redis

    from crypto_mcp.settings import Settings

_AT_ONCE = 500


class Holding(Protocol):
    """One place. Both methods raise `StoreUnavailable` when it does not answer."""

    @property
    def name(self) -> str:
        """As exports and receipts call it."""

    def read(self, user: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Everything it has of the user: where in it, and what."""

    async def erase(self, user: str) -> int:
        """Removes it, whatever was removed before; how many things."""


class CachedThings:
    """Answers, sessions, limits and watched symbols in Redis db 0 to 2, which end by themselves within a day."""

    name = "cache"

    def __init__(self, cache: Redis, sessions: Redis, queue: Redis) -> None:
        self._cache, self._sessions, self._queue = cache, sessions, queue

    async def read(self, user: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """The session; what else is here is a copy of what other places have."""
        try:
            kept = await self._sessions.hgetall(f"session:{user}")  # type: ignore[misc]
        except (RedisError, OSError) as error:
            raise _away(error) from error
        if kept:
            yield "session", {name.decode(): orjson.loads(value) for name, value in kept.items()}

    async def erase(self, user: str) -> int:
        """Removes them."""
        of_user = ["portfolio:*"] if user == LOCAL else [f"*:of:{user}"]
        sessions = [f"session:{user}", f"rate_limit:client:{user}", f"nonce:{user}:*", f"notify:codes:{user}"]
        try:
            erased = await _swept(self._cache, of_user, but=":of:" if user == LOCAL else "")
            erased += await _swept(self._sessions, sessions)
            async for field, _ in self._queue.hscan_iter(WATCH, match=f"*:{user}:*"):
                erased += await self._queue.hdel(WATCH, field)  # type: ignore[misc]
        except (RedisError, OSError) as error:
            raise _away(error) from error
        return erased


class SpooledCalls:
    """Tool calls that wait on this machine's disk for PostgreSQL."""

    name = "spool"

    def __init__(self, folder: Path) -> None:
        self._file = folder / "tool-log.jsonl"

    async def read(self, user: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Lines of the user."""
        for line in await asyncio.to_thread(self._lines):
            if (call := _call(line)) is not None and call.get("client_id") == user:
                yield "tool-log", call

    async def erase(self, user: str) -> int:
        """Removes them."""
        return await asyncio.to_thread(self._erase, user)

    def _lines(self) -> list[bytes]:
        return self._file.read_bytes().splitlines(keepends=True) if self._file.exists() else []

    def _erase(self, user: str) -> int:
        if not self._file.exists():
            return 0
        with self._file.open("r+b") as kept:
            fcntl.flock(kept, fcntl.LOCK_EX)
            lines = kept.readlines()
            others = [line for line in lines if (_call(line) or {}).get("client_id") != user]
            kept.seek(0)
            kept.truncate()
            kept.writelines(others)
        return len(lines) - len(others)


@asynccontextmanager
async def open_holdings(settings: Settings) -> AsyncIterator[tuple[Sequence[Holding], PostgresStore]]:
    """All places, in the order in which they are erased: jobs first, for they write to the others."""
    async with AsyncExitStack() as stack:
        cache, sessions, queue = (
            connect(url, settings.redis)
            for url in (settings.redis.cache_url, settings.redis.session_url, settings.redis.queue_url)
        )
        mongo, postgres = MongoStore(settings.mongo), PostgresStore(settings.postgres)
        for close in (cache.aclose, sessions.aclose, queue.aclose, mongo.close, postgres.close):
            stack.push_async_callback(close)
        opened = Seal.of(settings.notify).open if settings.notify.encryption_key is not None else None
        yield (
            [
                PersonalJobs(queue, settings.queue),
                mongo.personal(None if opened is None else _readable(opened)),
                CachedThings(cache, sessions, queue),
                SpooledCalls(settings.server.spool),
                PersonalRows(postgres),
            ],
            postgres,
        )


def _readable(opened: Any) -> Any:
    def read(sealed: str) -> str:
        try:
            return str(opened(sealed))
        except SealBroken:
            return sealed

    return read


async def _swept(redis: Redis, patterns: Sequence[str], but: str = "") -> int:
    erased = 0
    for pattern in patterns:
        async for key in redis.scan_iter(match=pattern, count=_AT_ONCE):
            if not but or but.encode() not in key:
                erased += await redis.delete(key)
    return erased


def _call(line: bytes) -> dict[str, Any] | None:
    try:
        call = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return call if isinstance(call, dict) else None


def _away(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"Redis does not answer ({type(error).__name__})", hint="Repeat it: it goes on where it was.", retry_after=2
    )
