"""dramatiq with Redis, eight threads."""

from __future__ import annotations

import asyncio
import logging
import os
import threading

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from tests.bench.peers.counting import count

_URL = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:1") + "/6"

broker = RedisBroker(url=_URL)
broker.add_middleware(Results(backend=RedisBackend(url=_URL)))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True, actor_name="noop")
def noop(n: int) -> int:
    """Nothing."""
    count()
    return n


class Client:
    """`send`, then a blocking wait for the result; dramatiq is synchronous."""

    async def start(self) -> None:
        return

    async def call(self, n: int) -> None:
        await asyncio.to_thread(lambda: noop.send(n).get_result(block=True, timeout=10_000))

    async def enqueue(self, n: int) -> None:
        noop.send(n)

    async def stop(self) -> None:
        return


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    worker = dramatiq.Worker(broker, worker_threads=8)
    worker.start()
    threading.Event().wait()
