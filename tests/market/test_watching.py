"""The watch set."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from crypto_mcp.jobs.connection import connect
from crypto_mcp.market.live import WANTED_CHANNEL
from crypto_mcp.market.watching import forget, want, watched
from crypto_mcp.models.timeframes import Timeframe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

    from crypto_mcp.settings import Settings

M1, H1 = Timeframe.M1, Timeframe.H1


@pytest.fixture
async def queue(settings: Settings) -> AsyncIterator[Redis]:
    redis = connect(settings.redis.queue_url, settings.redis)
    yield redis
    await redis.aclose()


async def test_what_is_watched_is_the_union_of_what_everybody_wants(queue: Redis) -> None:
    """Owners do not disturb each other; saying it again replaces it; forgetting leaves what others want."""
    await want(queue, "alerts", {"BTCUSDT": [M1], "ETHUSDT": []})
    await want(queue, "portfolio:1", {"BTCUSDT": [H1], "SOLUSDT": [H1]})
    assert await watched(queue) == {"BTCUSDT": {M1, H1}, "ETHUSDT": set(), "SOLUSDT": {H1}}
    await want(queue, "portfolio:1", {"SOLUSDT": [M1]})
    assert await watched(queue) == {"BTCUSDT": {M1}, "ETHUSDT": set(), "SOLUSDT": {M1}}
    await forget(queue, "alerts")
    assert await watched(queue) == {"SOLUSDT": {M1}}


async def test_a_want_with_an_end_ends(queue: Redis) -> None:
    """Its time over, it is watched no more and takes no room."""
    await want(queue, "scan", {"BTCUSDT": [M1]}, seconds=1)
    assert await watched(queue) == {"BTCUSDT": {M1}}
    async with asyncio.timeout(5):
        while await watched(queue):
            await asyncio.sleep(0.01)
    assert not await queue.exists("feed:watch")


async def test_the_feed_hears_of_a_change_at_once(queue: Redis) -> None:
    """Every change is told on the channel."""
    async with queue.pubsub() as channel, asyncio.timeout(5):
        await channel.subscribe(WANTED_CHANNEL)
        await want(queue, "alerts", {"BTCUSDT": [M1]})
        async for message in channel.listen():
            if message["type"] == "message":
                assert message["data"] == b"alerts"
                break
