"""Answers kept for a while: L1 in this process, L2 in Redis db 0, behind one read.

Values are results as JSON bytes; they are not parsed here. Workers write L2 when they finish a job.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import structlog
from cachetools import TLRUCache
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio import Redis

log = structlog.get_logger(__name__)

Level = Literal["memory", "redis", "mongodb"]

_OVERHEAD = 650
"""Bytes an item takes beside the characters of its key and value, measured with tracemalloc on CPython 3.11: 380, and
as much as 200 for the remains of another, of which the cache keeps up to one for each item."""


class Outage:
    """Remembers that a store is away, so that the next callers do not wait for it too; said in the log once."""

    def __init__(self, store: str, pause: float = 1.0) -> None:
        self._store = store
        self._pause = pause
        self._until = 0.0

    @property
    def lasts(self) -> bool:
        """Whether the store is better not asked yet."""
        return time.monotonic() < self._until

    def begin(self, error: Exception) -> None:
        """The store did not answer."""
        if not self._until:
            log.warning("going on without a store", store=self._store, error=str(error) or type(error).__name__)
        self._until = time.monotonic() + self._pause

    def end(self) -> None:
        """The store answered."""
        if self._until:
            log.info("a store is back", store=self._store)
            self._until = 0.0


class _Item(NamedTuple):
    body: bytes
    until: float
    size: int


class MemoryCache:
    """The least recently used make room; each item has its own end. Bounded by measured bytes.

    `timer` gives seconds; the ends of items are given on its scale.
    """

    def __init__(self, most_bytes: int, timer: Callable[[], float] = time.monotonic) -> None:
        self.timer = timer
        self._items: TLRUCache[str, _Item] = TLRUCache(
            most_bytes, ttu=lambda _key, item, _now: item.until, timer=timer, getsizeof=lambda item: item.size
        )

    @property
    def size(self) -> int:
        """Bytes held."""
        return int(self._items.currsize)

    def get(self, key: str) -> bytes | None:
        """The value, unless there is none or its time is over."""
        item = self._items.get(key)
        return None if item is None else item.body

    def put(self, key: str, body: bytes, until: float) -> None:
        """Keeps a value until then, unless it alone is larger than the bound."""
        item = _Item(body, until, len(key) + len(body) + _OVERHEAD)
        if item.size <= self._items.maxsize:
            self._items[key] = item


@dataclass(frozen=True, slots=True)
class Found:
    """A cached result and where it was."""

    body: bytes
    level: Level


class ResultCache:
    """L1 over L2. A Redis that is away is a miss, never an error to the caller."""

    def __init__(self, redis: Redis, memory: MemoryCache) -> None:
        self._redis = redis
        self._memory = memory
        self._outage = Outage("cache")
        self._found = {"memory": 0, "redis": 0, "none": 0}

    def report(self) -> dict[str, float]:
        """Bytes in memory, and where the answers asked for since the start were; `hit_rate` is their share of all."""
        asked = sum(self._found.values())
        rate = 1 - self._found["none"] / asked if asked else 0.0
        return {"memory_bytes": self._memory.size, **self._found, "hit_rate": round(rate, 4)}

    async def get(self, key: str, *, in_memory: bool = True) -> Found | None:
        """The result under a key. What was found in Redis is in memory from then on, and no longer than in Redis.

        What a change may end before its time is not kept `in_memory`, where nobody could take it away.
        """
        found = await self._get(key, in_memory=in_memory)
        self._found["none" if found is None else found.level] += 1
        return found

    async def _get(self, key: str, *, in_memory: bool) -> Found | None:
        body = self._memory.get(key) if in_memory else None
        if body is not None:
            return Found(body, "memory")
        if self._outage.lasts:
            return None
        asked_at = self._memory.timer()
        try:
            pipe = self._redis.pipeline(transaction=True)
            pipe.get(key)
            pipe.pttl(key)
            body, left_ms = await pipe.execute()
        except (RedisError, OSError) as error:
            self._outage.begin(error)
            return None
        self._outage.end()
        if body is None:
            return None
        if in_memory:
            self._memory.put(key, body, asked_at + left_ms / 1000)
        return Found(body, "redis")

    async def put(self, key: str, body: bytes, seconds: float) -> None:
        """Keeps a result for so long in both; one that a worker wrote to Redis meanwhile is newer and stays alone."""
        until = self._memory.timer() + seconds
        ms = int(seconds * 1000)
        if ms < 1:
            return
        newest = True
        if not self._outage.lasts:
            try:
                newest = bool(await self._redis.set(key, body, px=ms, nx=True))
            except (RedisError, OSError) as error:
                self._outage.begin(error)
        if newest:
            self._memory.put(key, body, until)
