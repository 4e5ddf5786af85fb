"""From a price at the exchange to a notification: feed, watcher, worker, MongoDB and Redis, all real."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from crypto_mcp.jobs.client import JobClient
from crypto_mcp.jobs.connection import connect
from crypto_mcp.stores.mongo import MongoStore
from scheduler.alerts.role import WatcherRole
from tests.scheduler.feeding import MINUTE, feeding, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from crypto_mcp.settings import Settings
    from tests.sandbox_server import SandboxServer

    Ask = Callable[..., Awaitable[dict[str, Any]]]

KIND = "alert_manager"


@asynccontextmanager
async def watching(settings: Settings) -> AsyncIterator[WatcherRole]:
    """A scheduler's watcher in this process until the block ends."""
    role, stop = WatcherRole(settings), asyncio.Event()
    task = asyncio.create_task(role.run(stop))
    try:
        await asyncio.wait_for(role.watcher.ready.wait(), 30)
        yield role
    finally:
        stop.set()
        await task


@pytest.fixture
def live(stores: Settings, sandbox: SandboxServer) -> Settings:
    """Settings whose streams are the sandbox's too."""
    more = {"binance_stream_url": sandbox.streams, "stream_stale_after": 5.0}
    return stores.model_copy(update={"market": stores.market.model_copy(update=more)})


@pytest.fixture
async def jobs(stores: Settings) -> AsyncIterator[JobClient]:
    async with connect(stores.redis.queue_url, stores.redis) as redis:
        yield JobClient(redis, stores.queue)


async def _told(jobs: JobClient, alert_id: str, number: int = 1) -> bool:
    record = (await jobs.several([f"notify.{alert_id}.{number}"]))[0]
    return record is not None and record.state == "done"


async def _either_way(ask: Ask, sandbox: SandboxServer, symbol: str) -> list[str]:
    """Two alerts close around the price: before long one of them fires."""
    price = float(sandbox.get("/api/v3/ticker/price", symbol=symbol).json()["price"])
    made = [
        await ask(KIND, action="create", condition=f"{symbol} {sign} {price * part:.4f}")
        for sign, part in ((">", 1.0002), ("<", 0.9998))
    ]
    return [each["alert"]["alert_id"] for each in made]


async def test_a_price_that_crosses_becomes_one_notification(
    ask: Ask, live: Settings, sandbox: SandboxServer, jobs: JobClient
) -> None:
    """The alert is triggered once, and its history and notification say so."""
    async with watching(live), feeding(live):
        ids = await _either_way(ask, sandbox, "ETHUSDT")

        async def fired() -> str | None:
            sandbox.clock.ahead += MINUTE // 4
            await asyncio.sleep(0.2)
            for alert_id in ids:
                if await _told(jobs, alert_id):
                    return alert_id
            return None

        alert_id = await until(fired)
        seen = await ask(KIND, action="get", alert_id=alert_id)
        assert (seen["alert"]["status"], seen["alert"]["firings"]) == ("triggered", 1)
        assert [entry["told"] for entry in seen["history"]] == [True]


async def test_what_happened_while_nobody_watched_is_told_late(
    ask: Ask, live: Settings, sandbox: SandboxServer, jobs: JobClient
) -> None:
    """Price and bars: the watcher is away for a quarter of an hour, and finds both when it is back."""
    async with watching(live), feeding(live):
        prices = await _either_way(ask, sandbox, "SOLUSDT")
        bars = await ask(KIND, action="create", condition="close > close[1] or close <= close[1]", symbol="SOLUSDT",
                         timeframe="1m", repeat=True)  # fmt: skip
        flips = await ask(KIND, action="create", condition="close > close[1]", symbol="SOLUSDT", timeframe="1m")
        store = MongoStore(live.mongo)

        async def watched() -> bool:
            return bool(await _seen(live, "SOLUSDT:1m"))

        await until(watched)
    sandbox.clock.ahead += 15 * MINUTE
    async with feeding(live), watching(live):

        async def all_told() -> bool:
            fired = [await _told(jobs, alert_id) for alert_id in prices]
            return any(fired) and await _told(jobs, flips["alert"]["alert_id"])

        await until(all_told)
    late = (await ask(KIND, action="history"))["history"]
    assert any(entry.get("late_by_s", 0) > 60 for entry in late)
    assert (await ask(KIND, action="get", alert_id=bars["alert"]["alert_id"]))["alert"].get("firings", 0) == 0
    await store.close()


async def _seen(settings: Settings, series: str) -> bytes | None:
    async with connect(settings.redis.queue_url, settings.redis) as redis:
        found: bytes | None = await redis.hget("alerts:seen", series)
        return found
