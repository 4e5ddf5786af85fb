"""saq."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

from saq import Queue, Worker

from tests.bench.peers.counting import count, ready


async def noop(ctx: dict[str, Any], *, n: int) -> int:
    """Nothing."""
    count()
    return n


class Client:
    """`apply`, which waits for the result."""

    async def start(self) -> None:
        self._queue = Queue.from_url(os.environ["BENCH_REDIS"] + "/4")
        await self._queue.connect()

    async def call(self, n: int) -> None:
        await self._queue.apply("noop", n=n)

    async def enqueue(self, n: int) -> None:
        await self._queue.enqueue("noop", n=n)

    async def stop(self) -> None:
        await self._queue.disconnect()


async def _work() -> None:
    queue = Queue.from_url(os.environ["BENCH_REDIS"] + "/4")
    worker = Worker(queue, functions=[noop], concurrency=10)
    ready()
    await worker.start()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_work())
