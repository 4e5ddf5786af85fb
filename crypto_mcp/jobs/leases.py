"""Who lives and who holds what: heartbeats, the return of what dead workers held, leaving in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
from redis.exceptions import RedisError

from crypto_mcp.job_kind import LISTS
from crypto_mcp.jobs import keys
from crypto_mcp.jobs.scripting import Scripts, unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis.asyncio import Redis

    from crypto_mcp.settings import QueueSettings

_FORGET_AFTER_MS = 60_000


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat brought back.

    Attributes:
        kept: whether the last heartbeat was still valid; if not, others may have taken the jobs.
        desk: ids of the jobs Redis has on this worker's desk.
        cancels: ids of those to be cancelled.
    """

    kept: bool
    desk: frozenset[str]
    cancels: frozenset[str]


class Lease:
    """One worker's claim to be alive."""

    def __init__(self, redis: Redis, scripts: Scripts, worker: str, settings: QueueSettings) -> None:
        self._redis = redis
        self._scripts = scripts
        self._worker = worker
        self._settings = settings

    async def renew(self, info: Mapping[str, object]) -> bool:
        """Renews the heartbeat in one command; False if it had run out.

        Then nothing is written and `beat` is due: it makes a worker known again that others have forgotten meanwhile.
        """
        ttl = int(self._settings.heartbeat_ttl * 1000)
        try:
            renewed = await self._redis.set(keys.heartbeat(self._worker), orjson.dumps(info), px=ttl, xx=True)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return bool(renewed)

    async def beat(self, info: Mapping[str, object]) -> Beat:
        """Renews the heartbeat, makes the worker known, and compares its desk."""
        worker = self._worker
        kept, desk, cancels = await self._scripts.run(
            "beat",
            (keys.heartbeat(worker), keys.desk(worker), keys.cancels(worker)),
            (worker, int(self._settings.heartbeat_ttl * 1000), orjson.dumps(info)),
        )
        return Beat(bool(kept), *(frozenset(job_id.decode() for job_id in ids) for ids in (desk, cancels)))

    async def leave(self) -> int:
        """Gives everything back to the lists and signs off; how many jobs went back."""
        return int(
            await self._scripts.run(
                "leave", (keys.heartbeat(self._worker),), (self._worker, self._settings.record_ttl, *LISTS)
            )
        )


async def known_workers(redis: Redis) -> dict[str, dict[str, object] | None]:
    """Every worker that was seen lately and what it says of itself, None for those whose heartbeat is gone."""
    try:
        rows = await redis.sort(keys.WORKERS, by="nosort", get=["#", keys.heartbeat("*")])  # type: ignore[misc]
    except (RedisError, OSError) as error:
        raise unavailable(error) from error
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return {name.decode(): None if info is None else orjson.loads(info) for name, info in pairs}


async def return_orphans(redis: Redis, scripts: Scripts, settings: QueueSettings, *, but: str = "") -> dict[str, int]:
    """Returns what workers without a heartbeat held to its lists; how many jobs by worker.

    `but` is the worker that asks: it lives, even if its heartbeat ran out while Redis was out of reach.
    """
    dead = [name for name, info in (await known_workers(redis)).items() if info is None and name != but]
    if not dead:
        return {}
    rescued = await scripts.run(
        "rescue",
        (),
        (int(settings.restart_grace * 1000), _FORGET_AFTER_MS, settings.record_ttl, len(LISTS), *LISTS, *dead),
    )
    return {rescued[i].decode(): int(rescued[i + 1]) for i in range(0, len(rescued), 2)}
