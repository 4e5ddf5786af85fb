"""One worker under pressure: asks for candles without a pause until it is told to end."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import sys
import time
from collections import Counter

import uvloop

from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.jobs.connection import connect
from crypto_mcp.market.allowance.asking import Priority, asking_as
from crypto_mcp.market.binance import BinanceSpot
from crypto_mcp.market.sharing import Sharing
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.settings import get_settings

ASKERS = {Priority.INTERACTIVE: 1, Priority.SCAN: 40, Priority.ARCHIVE: 20}
"""Tasks of a worker by priority. The interactive one waits a second between two calls, the others do not wait."""


class Worker:
    """Counts what came of its calls, and how long the interactive ones took."""

    def __init__(self, source: BinanceSpot, symbols: list[str]) -> None:
        self.source = source
        self.symbols = symbols
        self.counts: Counter[str] = Counter()
        self.waits: list[float] = []
        self.number = itertools.count()

    async def ask(self, priority: Priority) -> None:
        chance = random.Random(f"{os.getpid()}-{priority}-{next(self.number)}")
        with asking_as(priority):
            while True:
                began = time.monotonic()
                try:
                    await self.source.candles(chance.choice(self.symbols), Timeframe.H1, chance.randint(2, 60))
                    self.counts[f"{priority} answered"] += 1
                except CryptoMcpError as error:
                    self.counts[f"{priority} {error.code}"] += 1
                    await asyncio.sleep(min(error.retry_after or 1.0, 5.0))
                if priority is Priority.INTERACTIVE:
                    self.waits.append(time.monotonic() - began)
                    await asyncio.sleep(1.0)


async def run() -> None:
    settings = get_settings()
    redis = settings.redis
    limits, cache = connect(redis.session_url, redis), connect(redis.cache_url, redis)
    source = BinanceSpot(settings.market, Sharing.through(limits, cache, settings.market))
    worker = Worker(source, await source.symbols())
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    tasks = [asyncio.create_task(worker.ask(kind)) for kind, count in ASKERS.items() for _ in range(count)]
    await ended.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps({"counts": worker.counts, "waits": worker.waits}))
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(run())
