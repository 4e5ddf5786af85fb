"""taskiq with its Redis list broker and result backend."""

from __future__ import annotations

import logging
import os

import uvloop
from taskiq.api import run_receiver_task
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

from tests.bench.peers.counting import count

_URL = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:1") + "/5"

broker = ListQueueBroker(_URL).with_result_backend(RedisAsyncResultBackend(_URL))


@broker.task(task_name="noop")
async def noop(n: int) -> int:
    """Nothing."""
    count()
    return n


class Client:
    """`kiq`, then `wait_result` with a short poll; without any pause if `check_interval` is 0."""

    def __init__(self, check_interval: float = 0.001) -> None:
        self._check_interval = check_interval

    async def start(self) -> None:
        await broker.startup()

    async def call(self, n: int) -> None:
        task = await noop.kiq(n)
        await task.wait_result(check_interval=self._check_interval, timeout=10)

    async def enqueue(self, n: int) -> None:
        await noop.kiq(n)

    async def stop(self) -> None:
        await broker.shutdown()


async def _work() -> None:
    broker.is_worker_process = True
    await broker.startup()
    await run_receiver_task(broker)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    uvloop.run(_work())
