"""This product's queue."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import structlog
from pydantic import BaseModel

from crypto_mcp.job_kind import Catalogue, JobKind
from crypto_mcp.jobs import keys
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.jobs.connection import connect
from crypto_mcp.jobs.envelope import new_id
from crypto_mcp.jobs.leases import known_workers
from crypto_mcp.jobs.waiting import Watcher
from crypto_mcp.settings import Settings
from tests.bench.peers.counting import count
from workers.main import run

if TYPE_CHECKING:
    from workers.job import Job

LIST = "analysis:queue"


class Number(BaseModel):
    """A job's parameter and result."""

    n: int
    ms: int = 0


async def noop(job: Job, params: Number) -> Number:
    """Nothing."""
    count()
    return params


async def spin(job: Job, params: Number) -> Number:
    """Some milliseconds of processor time."""
    until = time.process_time() + params.ms / 1000
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

    async def enqueue_work(self, n: int, ms: int) -> None:
        """A job that computes."""
        await self._jobs.submit(SPIN, Number(n=n, ms=ms))

    async def unfinished(self) -> int:
        """Jobs not finished yet, wherever they are, at one instant."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.llen(LIST)
        for worker in await known_workers(self._redis):
            pipe.llen(keys.arriving(worker, LIST))
            pipe.zcard(keys.desk(worker))
        return sum(await pipe.execute())

    async def stop(self) -> None:
        await self._watcher.__aexit__(None, None, None)
        await self._redis.aclose()


if __name__ == "__main__":
    from crypto_mcp import logs

    config = settings()
    logs.configure(config.log)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))  # peers log little too
    run(config, [LIST], CATALOGUE)
