"""Counts of what was sent and what became of it, in Redis db 1, where `/metrics` reads them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from redis.asyncio import Redis

_KEY = "notify:counts"


class Counts:
    """A count that cannot be written is not worth failing for."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def add(self, sender: str, outcome: str) -> None:
        """One more."""
        with contextlib.suppress(RedisError, OSError):
            await self._redis.hincrby(_KEY, f"{sender} {outcome}", 1)  # type: ignore[misc]

    async def all(self) -> dict[tuple[str, str], int]:
        """All counts, by sender and outcome."""
        found: dict[bytes, bytes] = await self._redis.hgetall(_KEY)  # type: ignore[misc]
        named = [(name.decode().partition(" "), int(count)) for name, count in found.items()]
        return {(sender, outcome): count for (sender, _, outcome), count in named}
