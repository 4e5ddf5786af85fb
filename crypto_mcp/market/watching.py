"""The watch set: who wants which symbols watched live, and on which timeframes.

Each owner (`alerts`, `portfolio:{id}`, `scan:momentum`) says all it wants in one field of one hash of Redis db 2;
saying it again replaces it. The feed watches the union, and hears of changes by a channel.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import orjson

from crypto_mcp.jobs.keys import WATCH
from crypto_mcp.market.live import WANTED_CHANNEL
from crypto_mcp.models.timeframes import Timeframe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from redis.asyncio import Redis

WatchSet = dict[str, frozenset[Timeframe]]
"""Timeframes whose closed bars are wanted, by symbol. A symbol with none has its price watched all the same."""


async def want(
    queue: Redis, owner: str, symbols: Mapping[str, Iterable[Timeframe]], *, seconds: float | None = None
) -> None:
    """Says all that `owner` wants watched from now on, for so long (None: until it says otherwise).

    `queue` is a client of db 2; symbols are in the exchange's spelling. Raises `redis.RedisError`.
    """
    if not symbols:
        return await forget(queue, owner)
    until = None if seconds is None else time.time() + seconds
    said = {"until": until, "symbols": {name: sorted(set(frames)) for name, frames in symbols.items()}}
    await queue.hset(WATCH, owner, orjson.dumps(said).decode())  # type: ignore[misc]
    await queue.publish(WANTED_CHANNEL, owner)
    return None


async def forget(queue: Redis, owner: str) -> None:
    """`owner` wants nothing any more."""
    if await queue.hdel(WATCH, owner):  # type: ignore[misc]
        await queue.publish(WANTED_CHANNEL, owner)


async def watched(queue: Redis) -> WatchSet:
    """What all owners together want now. What had an end that is over is removed."""
    union: dict[str, set[Timeframe]] = {}
    for owner, value in (await queue.hgetall(WATCH)).items():  # type: ignore[misc]
        said = orjson.loads(value)
        if said["until"] is not None and said["until"] < time.time():
            await queue.hdel(WATCH, owner)  # type: ignore[misc]
            continue
        for name, frames in said["symbols"].items():
            union.setdefault(name, set()).update(map(Timeframe, frames))
    return {name: frozenset(frames) for name, frames in union.items()}
