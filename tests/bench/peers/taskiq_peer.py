"""taskiq with its Redis list broker and result backend."""

from __future__ import annotations

import asyncio
import logging
import os

from taskiq.api import run_receiver_task
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

from tests.bench.peers.counting import count, ready

_URL = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:1") + "/5"

broker = ListQueueBroker(_URL).with_result_backend(RedisAsyncResultBackend(_URL))


@broker.task(task_name="noop")
async def noop(n: int) -> int:
    """Nothing."""
    count()
    return n


class Client:
    """`kiq`, then `wait_result` with a short poll."""

    async def start(self) -> None:
        await broker.startup()

    async def call(self, n: int) -> None:
        task = await noop.kiq(n)
        await task.wait_result(check_interval=0.0005, timeout=10)

    async def enqueue(self, n: int) -> None:
        await noop.kiq(n)

    async def stop(self) -> None:
        await broker.shutdown()


async def _work() -> None:
    broker.is_worker_process = True
    await broker.startup()
    ready()
    await run_receiver_task(broker)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_work())
