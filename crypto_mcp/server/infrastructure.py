"""`/health/infrastructure`: how one front-end process stands, in detail. For operators."""

from __future__ import annotations

import os
import resource
import time
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import crypto_mcp
from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.job_kind import LISTS
from crypto_mcp.jobs.leases import known_workers
from crypto_mcp.jobs.operations import standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from crypto_mcp.server.front import Front
    from crypto_mcp.settings import Settings

_KEPT = 1000
_KEPT_OF_A_MINUTE = 20_000


class Performance:
    """How long the newest requests took."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.requests = 0
        self.errors = 0
        self._seconds: deque[float] = deque(maxlen=_KEPT)
        self._newest: deque[tuple[float, int, float]] = deque(maxlen=_KEPT_OF_A_MINUTE)

    def note(self, status: int, seconds: float) -> None:
        """A request was answered."""
        self.requests += 1
        self.errors += status >= 500
        self._seconds.append(seconds)
        self._newest.append((time.monotonic(), status, seconds))

    def of_a_minute(self) -> dict[str, Any]:
        """Calls of the last minute: how many, how many failed by our fault or were refused, their 95th percentile."""
        since = time.monotonic() - 60
        rows = [(status, seconds) for at, status, seconds in self._newest if at >= since]
        return {
            "calls": len(rows),
            "errors": sum(status >= 500 for status, _ in rows),
            "refused": sum(status in (401, 403, 429) for status, _ in rows),
            "p95_ms": _percentile(sorted(seconds for _, seconds in rows), 95),
        }

    def report(self) -> dict[str, Any]:
        """Requests since the start, and percentiles of the newest 1,000 in milliseconds."""
        ordered = sorted(self._seconds)
        return {
            "uptime_seconds": round(time.monotonic() - self.began, 1),
            "requests": self.requests,
            "server_errors": self.errors,
            **{f"p{share}_ms": _percentile(ordered, share) for share in (50, 95, 99)},
        }


async def infrastructure(front: Front, settings: Settings) -> dict[str, Any]:
    """Settings in force, connections, caches, queues, workers and speed of the process that answers."""
    server = settings.server
    return {
        "version": crypto_mcp.__version__,
        "process": {
            "pid": os.getpid(),
            "memory_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        },
        "settings": {
            "port": server.port,
            "workers": server.workers,
            "request_timeout": server.request_timeout,
            "default_wait": server.default_wait,
            "memory_cache_bytes": int(server.memory_cache),
        },
        "pools": {name: _pool(redis) for name, redis in front.connections.items()},
        "cache": front.cache.report(),
        "tool_log": None if front.tool_log is None else front.tool_log.report(),
        "performance": front.performance.report(),
        **await _queues(front),
        "health": await front.health.report(),
    }


async def _queues(front: Front) -> dict[str, Any]:
    try:
        depths, ages, dead = await front.jobs.depths(*LISTS), await front.jobs.ages(*LISTS), await front.dead.counts()
        known, held = await known_workers(front.connections["queue"]), await front.jobs.held(*LISTS)
    except StoreUnavailable as error:
        return {"queues": {"status": "away", "reason": error.message}, "workers": None}
    queues = {
        name: {
            "depth": depths[name],
            "held_back": held[name],
            "oldest_seconds": ages[name],
            "dead": dead.get(name, 0),
        }
        for name in LISTS
    }
    return {"queues": queues, "workers": known, "operations": asdict(await standing(front.connections["queue"]))}


def _pool(redis: Redis) -> dict[str, int]:
    """Open connections of a client, and how many of them are in use."""
    pool = redis.connection_pool
    free, used = len(pool._available_connections), len(pool._in_use_connections)  # noqa: SLF001 - nothing public says it
    return {"open": free + used, "in_use": used}


def _percentile(ordered: Sequence[float], share: int) -> float | None:
    if not ordered:
        return None
    return round(1000 * ordered[min(len(ordered) - 1, len(ordered) * share // 100)], 2)
