"""Which watcher watches which symbols: each symbol has one among those that live (highest random weight hashing).

Source: Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", IEEE/ACM Transactions on Networking 6
(1998). When a watcher comes or goes only its own symbols move.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

_WATCHERS = "alerts:watchers"
_MISSED = 4

_BEAT = """
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZADD', KEYS[1], ms, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ms - ARGV[2])
return redis.call('ZRANGE', KEYS[1], 0, -1)
"""


class Membership:
    """One watcher among others."""

    def __init__(self, queue: Redis, beat_every: float) -> None:
        self.name = secrets.token_hex(6)
        self.living: tuple[str, ...] = ()
        self._queue = queue
        self._beat = queue.register_script(_BEAT)
        self._silent_ms = int(_MISSED * beat_every * 1000)

    async def beat(self) -> bool:
        """Says that this one lives, and sees who else does; whether that has changed. Raises `redis.RedisError`."""
        found = await self._beat(keys=[_WATCHERS], args=[self.name, self._silent_ms])
        living = tuple(sorted(name.decode() for name in found))
        changed, self.living = living != self.living, living
        return changed

    async def leave(self) -> None:
        """The others take over at once."""
        await self._queue.zrem(_WATCHERS, self.name)

    def has(self, symbol: str) -> bool:
        """Whether a symbol is this watcher's."""
        return owner_of(symbol, self.living) == self.name


def owner_of(symbol: str, watchers: Sequence[str]) -> str:
    """The watcher of a symbol; empty if there is none."""
    return max(
        watchers, key=lambda name: hashlib.blake2b(f"{name} {symbol}".encode(), digest_size=8).digest(), default=""
    )
