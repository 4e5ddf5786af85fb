"""The queue of these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from crypto_mcp.local.redis_server import RedisServer
from tests.jobs.hand_driven import QUEUE_DB, HandDriven


@pytest.fixture
async def queue(redis_server: RedisServer) -> AsyncIterator[HandDriven]:
    """An empty queue with one worker, known and alive."""
    async with Redis.from_url(redis_server.url(QUEUE_DB)) as redis:
        driven = HandDriven(redis)
        await driven.lease.beat({})
        yield driven
