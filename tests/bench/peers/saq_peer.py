"""saq."""

from __future__ import annotations

import logging
import os
from typing import Any

import uvloop
from saq import Queue, Worker

from tests.bench.peers.counting import count


async def noop(ctx: dict[str, Any], *, n: int) -> int:
    """Nothing."""
    count()
    return n


class Client:
    """`apply`, with a short poll for the result instead of the half second it ships with."""

    async def start(self) -> None:
        self._queue = Queue.from_url(os.environ["BENCH_REDIS"] + "/4")
        await self._queue.connect()

    async def call(self, n: int) -> None:
        await self._queue.apply("noop", poll_interval=0.001, n=n)

    async def enqueue(self, n: int) -> None:
        await self._queue.enqueue("noop", n=n)

    async def stop(self) -> None:
        await self._queue.disconnect()


async def _work() -> None:
    queue = Queue.from_url(os.environ["BENCH_REDIS"] + "/4")
    await queue.connect()
    await queue.sweep()  # holds off the sweep of the worker that starts: it aborts jobs that were just taken
    worker = Worker(queue, functions=[noop], concurrency=10)
    await worker.start()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    uvloop.run(_work())
