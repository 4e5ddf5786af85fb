"""L1 in memory over L2 in Redis over L3 in MongoDB: each is seen to answer, and none outlives the one below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from crypto_mcp.stores.cache import MemoryCache, ResultCache
from tests.clock import Clock
from tests.server import kinds
from tests.server.running import front_end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.settings import Settings


@pytest.fixture
async def redis(stores: Settings) -> AsyncIterator[Redis]:
    """The cache's database."""
    async with Redis.from_url(stores.redis.cache_url.get_secret_value()) as client:
        yield client


async def asked(http: httpx2.AsyncClient, kind: str, text: str) -> dict[str, Any]:
    answered = await http.post(f"/v1/jobs/{kind}", json={"text": text}, params={"wait": 20})
    assert answered.status_code == 200
    body: dict[str, Any] = answered.json()
    assert body["result"]["text"] == text
    assert body["cached"] is ("cached_in" in body)
    return body


async def test_a_finished_job_answers_from_redis_and_then_from_memory(
    http: httpx2.AsyncClient, redis: Redis, text: str
) -> None:
    assert "job_id" in await asked(http, "echo", text)
    assert 0 < await redis.ttl(f"echo:{text}:1") <= 60
    second = await asked(http, "echo", text)
    assert second["cached_in"] == "redis"
    assert "job_id" not in second
    await redis.delete(f"echo:{text}:1")
    assert (await asked(http, "echo", text))["cached_in"] == "memory"
    assert kinds.ran[text] == 1


async def test_a_stored_result_answers_and_fills_the_caches_above(
    http: httpx2.AsyncClient, stores: Settings, redis: Redis, text: str
) -> None:
    await asked(http, "kept", text)
    await redis.delete(f"kept:{text}:1")
    assert (await asked(http, "kept", text))["cached_in"] == "mongodb"
    assert 0 < await redis.ttl(f"kept:{text}:1") <= 60
    assert (await asked(http, "kept", text))["cached_in"] == "memory"
    async with front_end(stores) as other, httpx2.AsyncClient(base_url=other) as elsewhere:
        assert (await asked(elsewhere, "kept", text))["cached_in"] == "redis"
    assert kinds.ran[text] == 1


async def test_a_result_that_redis_has_no_longer_is_fetched_from_mongodb(
    http: httpx2.AsyncClient, stores: Settings, text: str
) -> None:
    """First without its answer, then without its record."""
    job_id = (await asked(http, "kept", text))["job_id"]
    async with Redis.from_url(stores.redis.queue_url.get_secret_value()) as queue:
        for key in (f"answer:{job_id}", f"job:{job_id}"):
            assert await queue.delete(key) == 1
            fetched = await http.get(f"/v1/jobs/{job_id}/result")
            assert (fetched.status_code, fetched.json()["result"]["text"]) == (200, text)


async def test_a_result_that_nobody_has_any_more_is_410(http: httpx2.AsyncClient, stores: Settings, text: str) -> None:
    job_id = (await asked(http, "uncached", text))["job_id"]
    async with Redis.from_url(stores.redis.queue_url.get_secret_value()) as queue:
        await queue.delete(f"answer:{job_id}")
    fetched = await http.get(f"/v1/jobs/{job_id}/result")
    assert (fetched.status_code, fetched.json()["code"]) == (410, "result_expired")


async def test_memory_never_outlives_redis(redis: Redis, text: str) -> None:
    clock = Clock()
    cache = ResultCache(redis, MemoryCache(10**6, clock))
    await redis.set(text, b"{}", px=5000)
    assert (found := await cache.get(text)) is not None
    assert found.level == "redis"
    await redis.delete(text)
    clock.now += 4.0
    assert (found := await cache.get(text)) is not None
    assert found.level == "memory"
    clock.now += 1.0
    assert await cache.get(text) is None


async def test_what_a_worker_wrote_meanwhile_is_not_overwritten(redis: Redis, text: str) -> None:
    cache = ResultCache(redis, MemoryCache(10**6))
    await redis.set(text, b'"newer"', px=50_000)
    await cache.put(text, b'"older"', 50)
    found = await cache.get(text)
    assert found is not None
    assert found.body == b'"newer"'


async def test_a_result_with_no_time_left_is_not_kept(redis: Redis, text: str) -> None:
    cache = ResultCache(redis, MemoryCache(10**6))
    await cache.put(text, b"{}", 0)
    assert await cache.get(text) is None


async def test_a_redis_that_is_away_is_a_miss_and_is_said_once(text: str) -> None:
    nobody = Redis.from_url("redis://127.0.0.1:1/0")
    cache = ResultCache(nobody, MemoryCache(10**6))
    with capture_logs() as logs:
        for _ in range(5):
            assert await cache.get(text) is None
        await cache.put(text, b"{}", 5)
    assert [entry["event"] for entry in logs] == ["going on without a store"]
    found = await cache.get(text)
    assert found is not None
    assert found.level == "memory"
