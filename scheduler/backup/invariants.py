"""What must be true of restored data, whatever was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from crypto_mcp.job_kind import LISTS
from crypto_mcp.jobs import envelope, keys

if TYPE_CHECKING:
    from redis.asyncio import Redis

_UNFINISHED = {b"queued", b"running", b"retrying"}


async def broken_jobs(redis: Redis) -> list[str]:
    """Ids of unfinished jobs that are in none, or in several, of lists, arrivals, desks and clients' shares."""
    places: dict[str, int] = {}

    def put(job_id: str) -> None:
        places[job_id] = places.get(job_id, 0) + 1

    for name in LISTS:
        for raw in await redis.lrange(name, 0, -1):  # type: ignore[misc]
            put(envelope.named_id(raw))
    async for key in redis.scan_iter("arriving:*"):
        for raw in await redis.lrange(key, 0, -1):  # type: ignore[misc]
            put(envelope.named_id(raw))
    async for key in redis.scan_iter("desk:*"):
        for job_id in await redis.zrange(key, 0, -1):
            put(job_id.decode())
    broken = []
    async for key in redis.scan_iter("job:*"):
        state, held = await redis.hmget(key, ["state", "held"])  # type: ignore[misc]
        job_id = key.decode().removeprefix("job:")
        if state in _UNFINISHED and places.get(job_id, 0) + (held is not None) != 1:
            broken.append(job_id)
    return broken


async def status(redis: Redis) -> dict[str, object]:
    """What the leader last said of its backups; empty if it never made one."""
    text = await redis.get(keys.BACKUP)
    return {} if text is None else dict(orjson.loads(text))
