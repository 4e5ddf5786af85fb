"""Whatever the queue's Redis has of one user: jobs, answers, what stands for them, and what died of theirs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import orjson
from redis.exceptions import RedisError

from crypto_mcp.errors import UnknownJob
from crypto_mcp.job_kind import LISTS
from crypto_mcp.jobs import keys
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.jobs.records import FIELDS, from_hash
from crypto_mcp.jobs.scripting import unavailable
from crypto_mcp.models.answers import LOCAL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

    from crypto_mcp.settings import QueueSettings

_AT_ONCE = 500


class PersonalJobs:
    """Reads and removes them. Every method raises `StoreUnavailable` when Redis does not answer."""

    name = "queue"

    def __init__(self, redis: Redis, settings: QueueSettings) -> None:
        self._redis = redis
        self._jobs = JobClient(redis, settings)

    async def read(self, user: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Records of the user's jobs, with their answers."""
        try:
            async for job_id, _ in self._of(user):
                record, answer = await self._jobs.get_with_answer(job_id)
                told = record.model_dump(mode="json", exclude_none=True)
                yield "jobs", told | ({} if answer is None else {"result": orjson.loads(answer)})
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def erase(self, user: str) -> int:
        """Stops and removes them; how many keys and entries. A job that others joined stays theirs."""
        try:
            erased = 0
            async for job_id, readers in self._of(user):
                erased += await self._drop(job_id, user, readers)
            for name in LISTS:
                for entry in await self._redis.lrange(keys.dead(name), 0, -1):  # type: ignore[misc]
                    if _of_user(entry, user):
                        erased += await self._redis.lrem(keys.dead(name), 0, entry)  # type: ignore[misc]
            for pattern in (f"idempotency:{user}:*", f"share:*:{user}", f"held:*:{user}"):
                async for key in self._redis.scan_iter(match=pattern, count=_AT_ONCE):
                    erased += await self._redis.delete(key)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return erased

    async def _of(self, user: str) -> AsyncIterator[tuple[str, list[str]]]:
        """Ids of the user's jobs, each with the clients that joined it."""
        async for key in self._redis.scan_iter(match="job:*", count=_AT_ONCE, _type="HASH"):
            client, readers = await self._redis.hmget(key, ["client", "readers"])  # type: ignore[misc]
            joined = (readers or b"").decode().split()
            if ((client or b"").decode() or LOCAL) == user or user in joined:
                yield key.decode().removeprefix("job:"), joined

    async def _drop(self, job_id: str, user: str, joined: list[str]) -> int:
        key = keys.job(job_id)
        fields = dict(zip(FIELDS, await self._redis.hmget(key, FIELDS), strict=True))  # type: ignore[misc]
        record = from_hash(job_id, fields)
        if record is None:
            return 0
        others = [name for name in dict.fromkeys([record.client or LOCAL, *joined]) if name != user]
        if others:
            await self._redis.hset(key, mapping={"client": others[0], "readers": " ".join(others[1:])})  # type: ignore[misc]
            return 1
        if not record.state.finished:
            with contextlib.suppress(UnknownJob):
                await self._jobs.cancel(job_id)
        await self._redis.zrem(keys.RECENT, job_id)
        return int(await self._redis.delete(key, keys.answer(job_id)))


def _of_user(entry: bytes, user: str) -> bool:
    try:
        pushed = orjson.loads(orjson.loads(entry).get("envelope") or "{}")
    except orjson.JSONDecodeError:
        return False
    return isinstance(pushed, dict) and (pushed.get("client") or LOCAL) == user
