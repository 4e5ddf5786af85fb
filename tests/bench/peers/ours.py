"""This product's queue."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import structlog
from pydantic import BaseModel

from crypto_mcp.catalogue import Catalogue, JobKind
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.jobs.connection import connect
from crypto_mcp.jobs.envelope import new_id
from crypto_mcp.jobs.waiting import Watcher
from crypto_mcp.settings import Settings
from tests.bench.peers.counting import count, ready
from workers.main import run

if TYPE_CHECKING:
    from workers.job import Job

LIST = "analysis:queue"


class Number(BaseModel):
    """A job's parameter and result."""

    n: int


async def noop(job: Job, params: Number) -> Number:
    """Nothing."""
    count()
    return params


async def spin(job: Job, params: Number) -> Number:
    """Four milliseconds of processor time, as an analysis of 500 bars takes."""
    until = time.process_time() + 0.004
    while time.process_time() < until:
        pass
    return params


def _kind(name: str) -> JobKind[Number, Number]:
    return JobKind(name, LIST, Number, Number, f"{__name__}:{name}", title=name, summary=name)  # type: ignore[arg-type]


NOOP, SPIN = _kind("noop"), _kind("spin")
CATALOGUE = Catalogue((NOOP, SPIN))


def settings() -> Settings:
    """The queue at the benchmark's Redis."""
    url = os.environ["BENCH_REDIS"]
    return Settings.model_validate(
        {"redis": {f"{use}_url": f"{url}/{db}" for db, use in enumerate(("cache", "session", "queue"))}}
    )


class Client:
    """Submits, waits and reads the result, as the front end does."""

    async def start(self) -> None:
        config = settings()
        self._redis = connect(config.redis.queue_url, config.redis)
        self._jobs = JobClient(self._redis, config.queue)
        self._watcher = Watcher(lambda: connect(config.redis.queue_url, config.redis))
        await self._watcher.__aenter__()

    async def call(self, n: int) -> None:
        job_id = new_id()
        async with self._watcher.watching(job_id) as watch:
            await self._jobs.submit(NOOP, Number(n=n), job_id=job_id, watcher=self._watcher.channel)
            while True:
                await watch.change(10)
                record, result = await self._jobs.get_with_answer(job_id)
                if record.state.finished:
                    if result is None:
                        raise RuntimeError(f"no result: {record}")
                    return

    async def enqueue(self, n: int) -> None:
        await self._jobs.submit(NOOP, Number(n=n))

    async def enqueue_work(self, n: int) -> None:
        await self._jobs.submit(SPIN, Number(n=n))

    async def waiting(self) -> int:
        """Jobs not finished yet."""
        desks = [key async for key in self._redis.scan_iter("desk:*")]
        return int(await self._redis.llen(LIST)) + sum([await self._redis.zcard(desk) for desk in desks])

    async def stop(self) -> None:
        await self._watcher.__aexit__(None, None, None)
        await self._redis.aclose()


if __name__ == "__main__":
    from crypto_mcp import logs

    config = settings()
    logs.configure(config.log)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))  # peers log little too
    ready()
    run(config, [LIST], CATALOGUE)
