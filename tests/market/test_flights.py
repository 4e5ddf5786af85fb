"""The same asked by many processes at once is one request, also when the one who asks dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from crypto_mcp.errors import SourceUnavailable
from crypto_mcp.local.redis_server import RedisServer
from crypto_mcp.market.allowance.asking import Priority, asking_as
from crypto_mcp.market.flights import Flights
from crypto_mcp.market.refusals import SourceRefuses


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url(0)) as client:
        yield client


class Source:
    """Counts how often it is asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked = 0
        self.go = asyncio.Event()
        self.error = error

    async def __call__(self) -> bytes:
        self.asked += 1
        await self.go.wait()
        if self.error:
            raise self.error
        return b"answer"


async def test_many_processes_make_one_request(redis: Redis) -> None:
    source = Source()
    processes = [Flights(redis) for _ in range(6)]
    asking = [asyncio.create_task(each.get("key", 5.0, source)) for each in processes for _ in range(5)]
    while not source.asked:
        await asyncio.sleep(0.001)
    source.go.set()
    assert set(await asyncio.gather(*asking)) == {b"answer"}
    assert await Flights(redis).get("key", 5.0, source) == b"answer"
    assert source.asked == 1


async def test_a_failure_is_shared_as_it_is(redis: Redis) -> None:
    source = Source(SourceRefuses("no such thing", hint="ask another", provider_code=-1121))
    processes = [Flights(redis, (SourceRefuses,)) for _ in range(4)]
    asking = [asyncio.create_task(each.get("key", 5.0, source)) for each in processes]
    while not source.asked:
        await asyncio.sleep(0.001)
    source.go.set()
    failures = await asyncio.gather(*asking, return_exceptions=True)
    assert source.asked == 1
    for failure in failures:
        assert isinstance(failure, SourceRefuses)
        assert (failure.message, failure.hint, failure.provider_code) == ("no such thing", "ask another", -1121)


async def test_when_the_one_who_asks_dies_another_asks(redis: Redis) -> None:
    """A process that was killed renews nothing; its lease ends by itself."""
    await redis.set("key:asking:interactive", "a process that is gone", px=300)
    source = Source()
    source.go.set()
    assert await Flights(redis).get("key", 5.0, source) == b"answer"
    assert source.asked == 1


async def test_a_lease_is_kept_while_the_request_takes(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crypto_mcp.market.flights.LEASE_MS", 200)
    monkeypatch.setattr("crypto_mcp.market.flights._RENEW_EVERY", 0.05)
    source = Source()
    slow = asyncio.create_task(Flights(redis).get("key", 5.0, source))
    while not source.asked:
        await asyncio.sleep(0.001)
    other = asyncio.create_task(Flights(redis).get("key", 5.0, source))
    for _ in range(4):
        await asyncio.sleep(0.1)
        assert await redis.pttl("key:asking:interactive") > 0
    source.go.set()
    assert await slow == await other == b"answer"
    assert source.asked == 1


async def test_nobody_in_a_hurry_waits_behind_the_archive(redis: Redis) -> None:
    archive, urgent = Source(), Source()
    urgent.go.set()
    with asking_as(Priority.ARCHIVE):
        slow = asyncio.create_task(Flights(redis).get("key", 5.0, archive))
    while not archive.asked:
        await asyncio.sleep(0.001)
    assert await Flights(redis).get("key", 5.0, urgent) == b"answer"
    assert urgent.asked == 1
    archive.go.set()
    await slow


async def test_a_caller_that_gives_up_leaves_the_request_to_the_others(redis: Redis) -> None:
    source, flights = Source(), Flights(redis)
    first, second = (asyncio.create_task(flights.get("key", 5.0, source)) for _ in range(2))
    while not source.asked:
        await asyncio.sleep(0.001)
    first.cancel()
    source.go.set()
    assert await second == b"answer"


async def test_without_redis_everybody_asks(redis: Redis, redis_server: RedisServer) -> None:
    await redis_server.kill()
    source = Source()
    source.go.set()
    flights = Flights(redis)
    assert await flights.get("key", 5.0, source) == b"answer"
    source.error = SourceUnavailable("away")
    with pytest.raises(SourceUnavailable, match="away"):
        await flights.get("key", 5.0, source)
