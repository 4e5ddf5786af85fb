"""What the leading scheduler says in Redis of its duties, for those who show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from redis.exceptions import RedisError

from crypto_mcp.jobs import keys
from crypto_mcp.jobs.scripting import unavailable

if TYPE_CHECKING:
    from redis.asyncio import Redis


@dataclass(frozen=True, slots=True)
class Standing:
    """Newest decisions of scaling by service, changes made, system alerts that are raised by rule, backups."""

    scaling: dict[str, dict[str, Any]]
    scaled: dict[str, int]
    raised: dict[str, int]
    backup: dict[str, Any]
    leader: str | None


async def standing(redis: Redis) -> Standing:
    """As it stands. Raises `StoreUnavailable`."""
    pipe = redis.pipeline(transaction=False)
    pipe.hgetall(keys.SCALING)
    pipe.hgetall(keys.SCALED)
    pipe.mget(keys.RAISED, keys.BACKUP, keys.leader("scheduler"))
    try:
        scaling, scaled, (raised, backup, leader) = await pipe.execute()
    except (RedisError, OSError) as error:
        raise unavailable(error) from error
    return Standing(
        {name.decode(): orjson.loads(row) for name, row in scaling.items()},
        {name.decode(): int(count) for name, count in scaled.items()},
        orjson.loads(raised) if raised else {},
        orjson.loads(backup) if backup else {},
        leader.decode().partition(" ")[0] if leader else None,
    )
