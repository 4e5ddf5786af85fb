"""A feed that runs against a sandbox, and what it left in Redis."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from crypto_mcp.market.live import BARS, ClosedBar
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.settings import Settings
from scheduler.feed.role import FeedRole
from tests.sandbox_server import SandboxServer

MINUTE = 60_000
M1 = Timeframe.M1
WITHIN = 30.0


def fed_by(settings: Settings, sandbox: SandboxServer, **market: Any) -> Settings:
    """Settings whose exchange is the sandbox."""
    ours = {"binance_url": sandbox.url, "binance_stream_url": sandbox.streams, "stream_stale_after": 2.0} | market
    return settings.model_copy(update={"market": settings.market.model_copy(update=ours)})


@asynccontextmanager
async def feeding(settings: Settings) -> AsyncIterator[FeedRole]:
    """A scheduler's feed in this process until the block ends."""
    role, stop = FeedRole(settings), asyncio.Event()
    task = asyncio.create_task(role.run(stop))
    try:
        yield role
    finally:
        stop.set()
        await task


async def told(queue: Redis) -> list[ClosedBar]:
    """Every bar in the stream, in order."""
    return [ClosedBar.decoded(fields[b"bar"]) for _, fields in await queue.xrange(BARS)]


async def until(condition: Callable[[], Any], within: float = WITHIN) -> Any:
    """The first true value of a condition, which may be a coroutine function."""
    async with asyncio.timeout(within):
        while True:
            value = condition()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.02)


def at_exchange(sandbox: SandboxServer, symbol: str, first: int, last: int) -> list[ClosedBar]:
    """The minutes from `first` to `last` (open times) as REST has them."""
    rows = sandbox.get("/api/v3/klines", symbol=symbol, interval="1m", startTime=first, endTime=last, limit=1000).json()
    return [ClosedBar._make((symbol, M1, row[0], *map(float, row[1:6]), "sandbox")) for row in rows]


async def assert_each_once(queue: Redis, sandbox: SandboxServer, symbols: list[str], last: int) -> int:
    """All minutes up to the one at `last` were told once, in order, with the exchange's figures. How many."""
    bars = await until(lambda: _complete(queue, symbols, last))
    assert max(Counter((bar.symbol, bar.open_time) for bar in bars).values()) == 1
    for symbol in symbols:
        ours = [bar for bar in bars if bar.symbol == symbol]
        assert ours == at_exchange(sandbox, symbol, ours[0].open_time, last)
    return len(bars)


async def _complete(queue: Redis, symbols: list[str], last: int) -> list[ClosedBar]:
    bars = await told(queue)
    newest = {bar.symbol: bar.open_time for bar in bars}
    return bars if all(newest.get(symbol, 0) >= last for symbol in symbols) else []
