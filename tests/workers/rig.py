"""A queue with real worker processes, for tests that hurt them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.job_kind import JobKind
from crypto_mcp.jobs import keys
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.jobs.connection import connect
from crypto_mcp.jobs.leases import known_workers
from crypto_mcp.models.answers import JobRecord, JobState
from crypto_mcp.settings import QueueSettings, Settings
from tests.forked import Forked
from tests.workers.kinds import LIST, Ask
from tests.workers.process import work_on

FAST = QueueSettings(
    heartbeat_ttl=1.5,
    heartbeat_every=0.3,
    look_every=0.2,
    restart_grace=2.0,
    block_for=1.0,
    shutdown_grace=4.0,
    max_jobs=4,
)


class WorkerProcess:
    """A worker in a process of its own."""

    def __init__(self, process: Forked) -> None:
        self.process = process
        self.name = ""

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    async def terminate(self) -> int:
        """SIGTERM; the exit status."""
        self.send(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, 30)


class Rig:
    """The queue of a test, and its workers."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings.model_copy(update={"queue": FAST})
        self.folder = folder
        self.redis: Redis = connect(settings.redis.queue_url, settings.redis)
        self.cache: Redis = connect(settings.redis.cache_url, settings.redis)
        self.jobs = JobClient(self.redis, self.settings.queue)
        self.workers: list[WorkerProcess] = []

    def spawn(self, *lists: str, redis_url: str = "", **queue: Any) -> WorkerProcess:
        """Starts a worker process."""
        redis = self.settings.redis
        environment = {
            **os.environ,
            "CRYPTO_MCP_REDIS__QUEUE_URL": redis_url or redis.queue_url.get_secret_value(),
            "CRYPTO_MCP_REDIS__CACHE_URL": redis.cache_url.get_secret_value(),
            **{
                f"CRYPTO_MCP_QUEUE__{k.upper()}": str(v)
                for k, v in {**FAST.model_dump(exclude_none=True), **queue}.items()
            },
        }
        log = self.folder / "workers.log"
        worker = WorkerProcess(Forked(work_on, *(lists or (LIST,)), env=environment, log=log))
        self.workers.append(worker)
        return worker

    async def worker(self, *lists: str, redis_url: str = "", **queue: Any) -> WorkerProcess:
        """Starts a worker and waits until its heart beats."""
        worker = self.spawn(*lists, redis_url=redis_url, **queue)
        mark = f"-{worker.process.pid}-"

        async def beats() -> bool:
            alive = [n for n, info in (await known_workers(self.redis)).items() if info and mark in n]
            worker.name = alive[0] if alive else ""
            return bool(alive)

        await until(beats)
        return worker

    async def submit(self, kind: JobKind[Any, Any], *, share: bool = False, **params: Any) -> str:
        return (await self.jobs.submit(kind, Ask(**params), share=share)).job_id

    async def push(self, raw: str | bytes | dict[str, Any], list_name: str = LIST) -> None:
        """As a stranger pushes: one LPUSH."""
        await self.redis.lpush(list_name, json.dumps(raw) if isinstance(raw, dict) else raw)  # type: ignore[misc]

    async def ended(self, job_id: str, state: JobState | None = None) -> JobRecord:
        """Waits for a job's end (in this state)."""
        record = await self.reached(job_id, *(s for s in JobState if s.finished))
        assert state is None or record.state is state, record
        return record

    async def reached(self, job_id: str, *states: JobState) -> JobRecord:
        """Waits until a job is in one of these states."""
        record: JobRecord | None = None

        async def there() -> bool:
            nonlocal record
            record = await self.jobs.get(job_id)
            return record.state in states

        await until(there)
        assert record is not None
        return record

    async def places(self, job_id: str) -> list[str]:
        """Everywhere the job is at this instant, read in one transaction."""
        async with self.redis.pipeline(transaction=True) as pipe:
            desks = [key.decode() async for key in self.redis.scan_iter("desk:*")]
            arrivals = [key.decode() async for key in self.redis.scan_iter("arriving:*")]
            lists = [LIST, keys.dead(LIST), *arrivals]
            for key in lists:
                pipe.lrange(key, 0, -1)
            for desk in desks:
                pipe.zscore(desk, job_id)
            replies = await pipe.execute()
        found = [key for key, rows in zip(lists, replies, strict=False) for row in rows if job_id.encode() in row]
        return found + [desk for desk, score in zip(desks, replies[len(lists) :], strict=True) if score is not None]

    async def close(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.send(signal.SIGCONT)
                worker.kill()
        await self.redis.aclose()
        await self.cache.aclose()


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 90.0) -> None:
    """Waits for a condition; Redis may be away meanwhile."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if await condition():
                return
        except (StoreUnavailable, RedisError, OSError):
            pass
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)


def lines(path: Path) -> list[str]:
    """What jobs noted."""
    return path.read_text().splitlines() if path.exists() else []


async def noted(path: Path) -> bool:
    """Whether a job has noted anything: its handler has begun."""
    return bool(lines(path))
