"""Runs the Lua scripts, many in one round trip.

Calls made while an earlier round trip is under way travel together in the next: one call alone waits for nobody, and
under load hundreds share a packet. Redis runs each script as a whole.
"""

from __future__ import annotations

import asyncio
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from redis.exceptions import NoScriptError, RedisError

from crypto_mcp.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from redis.asyncio import Redis

log = structlog.get_logger(__name__)

T = TypeVar("T")
Argument = str | bytes | int | float

_MOST_IN_ONE_TRIP = 200
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0


@cache
def _source(name: str) -> tuple[str, str]:
    """Text and SHA-1 of a script, the prelude in front."""
    folder = files("crypto_mcp.jobs.scripts")
    text = folder.joinpath("_prelude.lua").read_text() + folder.joinpath(f"{name}.lua").read_text()
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Scripts:
    """The queue's scripts over one Redis client."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[tuple[asyncio.Future[Any], str, tuple[Argument, ...]]] = []
        self._sender: asyncio.Task[None] | None = None

    async def run(self, name: str, keys: Sequence[str] = (), args: Sequence[Argument] = ()) -> Any:
        """The script's reply; `StoreUnavailable` if Redis does not answer.

        After `StoreUnavailable` the script may have run or not: every script is written so that repeating it is safe.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((future, name, (len(keys), *keys, *args)))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        return await future

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MOST_IN_ONE_TRIP], self._waiting[_MOST_IN_ONE_TRIP:]
                try:
                    replies = await self._round_trip([(name, args) for _, name, args in batch])
                except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody may wait for ever
                    replies = [error] * len(batch)
                for (future, _, _), reply in zip(batch, replies, strict=True):
                    _settle(future, reply)
        finally:
            self._sender = None

    async def _round_trip(self, calls: list[tuple[str, tuple[Argument, ...]]]) -> list[Any]:
        if len(calls) == 1:
            name, args = calls[0]
            return [await self._single(name, args)]
        pipe = self._redis.pipeline(transaction=False)
        for name, args in calls:
            pipe.execute_command("EVALSHA", _source(name)[1], *args)
        replies: list[Any] = await pipe.execute(raise_on_error=False)
        for i, reply in enumerate(replies):
            if isinstance(reply, NoScriptError):
                replies[i] = await self._single(*calls[i])
        return replies

    async def _single(self, name: str, args: tuple[Argument, ...]) -> Any:
        text, sha = _source(name)
        try:
            return await self._redis.evalsha(sha, *args)  # type: ignore[misc,arg-type]
        except NoScriptError:  # Redis is new or was restarted; EVAL also makes it known again
            return await self._redis.eval(text, *args)  # type: ignore[misc,arg-type]


def _settle(future: asyncio.Future[Any], reply: Any) -> None:
    if future.done():
        return
    if isinstance(reply, (RedisError, OSError)):
        future.set_exception(unavailable(reply))
    elif isinstance(reply, Exception):
        future.set_exception(reply)
    else:
        future.set_result(reply)


def unavailable(error: Exception) -> StoreUnavailable:
    """A Redis error as ours. What Redis said is kept for the log; it names no secret."""
    return StoreUnavailable(
        f"the queue's Redis does not answer ({type(error).__name__}: {error})",
        hint="Nothing accepted is lost. Repeat the call in a moment.",
        retry_after=2,
    )


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Repeats a call until Redis answers: what must not be given up while Redis is away."""
    wait = _FIRST_PAUSE
    while True:
        try:
            return await call()
        except StoreUnavailable as error:
            log.warning("waiting for Redis", error=error.message)
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_PAUSE)
