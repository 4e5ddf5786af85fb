"""arq, with the poll it ships with or the one in BENCH_ARQ_POLL (seconds)."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker

from tests.bench.peers.counting import count


async def noop(ctx: dict[str, Any], n: int) -> int:
    """Nothing."""
    count()
    return n


class Client:
    """`enqueue_job`, then `result` with a short poll."""

    async def start(self) -> None:
        self._pool = await create_pool(RedisSettings.from_dsn(os.environ["BENCH_REDIS"] + "/3"))

    async def call(self, n: int) -> None:
        job = await self._pool.enqueue_job("noop", n)
        assert job is not None
        await job.result(poll_delay=0.001)

    async def enqueue(self, n: int) -> None:
        await self._pool.enqueue_job("noop", n)

    async def stop(self) -> None:
        await self._pool.aclose()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.set_event_loop(uvloop.new_event_loop())
    Worker(
        [noop],
        redis_settings=RedisSettings.from_dsn(os.environ["BENCH_REDIS"] + "/3"),
        poll_delay=float(os.environ.get("BENCH_ARQ_POLL", "0.5")),
    ).run()
