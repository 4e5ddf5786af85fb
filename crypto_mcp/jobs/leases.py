"""Who lives and who holds what: heartbeats, the return of what dead workers held, leaving in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from crypto_mcp.catalogue import LISTS
from crypto_mcp.jobs import keys
from crypto_mcp.jobs.scripting import Scripts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis.asyncio import Redis

    from crypto_mcp.settings import QueueSettings

_FORGET_AFTER_MS = 24 * 3600 * 1000


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

    def __init__(self, scripts: Scripts, worker: str, settings: QueueSettings) -> None:
        self._scripts = scripts
        self._worker = worker
        self._settings = settings

    async def beat(self, info: Mapping[str, object]) -> Beat:
        """Renews the heartbeat."""
        worker = self._worker
        kept, desk, cancels = await self._scripts.run(
            "beat",
            (keys.heartbeat(worker), keys.desk(worker), keys.cancels(worker)),
            (worker, int(self._settings.heartbeat_ttl * 1000), orjson.dumps(info)),
        )
        return Beat(bool(kept), frozenset(i.decode() for i in desk), frozenset(i.decode() for i in cancels))

    async def leave(self) -> int:
        """Gives everything back to the lists and signs off; how many jobs went back."""
        return int(
            await self._scripts.run(
                "leave", (keys.heartbeat(self._worker),), (self._worker, self._settings.record_ttl, *LISTS)
            )
        )


async def return_orphans(scripts: Scripts, settings: QueueSettings) -> dict[str, int]:
    """Returns what workers without a heartbeat held to its lists; how many jobs by worker."""
    rescued = await scripts.run(
        "rescue", (), (int(settings.restart_grace * 1000), _FORGET_AFTER_MS, settings.record_ttl, *LISTS)
    )
    return {rescued[i].decode(): int(rescued[i + 1]) for i in range(0, len(rescued), 2)}


async def living_workers(redis: Redis) -> dict[str, dict[str, object]]:
    """The workers with a valid heartbeat, and what they say of themselves."""
    names = [name.decode() for name in await redis.zrange(keys.WORKERS, 0, -1)]
    if not names:
        return {}
    infos = await redis.mget([keys.heartbeat(name) for name in names])
    return {name: orjson.loads(info) for name, info in zip(names, infos, strict=True) if info is not None}
