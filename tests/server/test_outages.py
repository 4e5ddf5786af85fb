"""What a caller sees when a store is away, and that all comes back by itself."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx2
from pydantic import SecretStr

from tests.server import kinds
from tests.server.running import front_end, worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.local.redis_server import RedisServer
    from crypto_mcp.settings import Settings


@asynccontextmanager
async def client_of(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with front_end(settings) as url, httpx2.AsyncClient(base_url=url, timeout=30) as http:
        yield http


def without_mongodb(settings: Settings) -> Settings:
    mongo = settings.mongo.model_copy(update={"url": SecretStr("mongodb://127.0.0.1:1/"), "timeout": 0.2})
    return settings.model_copy(update={"mongo": mongo})


async def test_without_mongodb_calls_are_answered_by_jobs_and_health_is_degraded(settings: Settings, text: str) -> None:
    settings = without_mongodb(settings)
    async with worker(settings), client_of(settings) as http:
        answered = await http.post("/v1/jobs/uncached", json={"text": text}, params={"wait": 20})
        assert answered.json()["result"]["text"] == text
        accepted = await http.post("/v1/jobs/kept", json={"text": text})
        assert accepted.status_code == 202
        health = await http.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "degraded")
        assert health.json()["checks"]["mongodb"]["status"] == "away"
        assert health.json()["checks"]["queue"]["status"] == "ok"


async def test_without_the_cache_calls_are_answered_by_jobs(settings: Settings, text: str) -> None:
    nowhere = settings.redis.model_copy(update={"cache_url": SecretStr("redis://127.0.0.1:1/0")})
    front_settings = settings.model_copy(update={"redis": nowhere})
    async with worker(settings), client_of(front_settings) as http:
        for _ in range(2):
            answered = await http.post("/v1/jobs/echo", json={"text": text}, params={"wait": 20})
            assert answered.json()["cached"] is False
        assert (await http.get("/health")).json()["checks"]["cache"]["status"] == "away"


async def test_the_front_end_starts_without_redis_and_recovers(
    settings: Settings, redis_server: RedisServer, text: str
) -> None:
    settings = without_mongodb(settings)
    await redis_server.kill()
    async with client_of(settings) as http:
        health = await http.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "down")
        refused = await http.post("/v1/jobs/uncached", json={"text": text})
        assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["retry-after"]) >= 1
        await redis_server.start()
        async with worker(settings):
            answered = await http.post("/v1/jobs/uncached", json={"text": text}, params={"wait": 20})
            assert answered.json()["result"]["text"] == text
            while (await http.get("/health")).status_code != 200:
                pass


async def test_a_call_that_waits_outlives_a_restart_of_redis(
    settings: Settings, redis_server: RedisServer, text: str
) -> None:
    async with worker(settings), client_of(settings) as http:
        waiting = asyncio.create_task(http.post("/v1/jobs/gated", json={"text": text}, params={"wait": 25}))
        while not (await http.get("/v1/jobs", params={"state": "running"})).json()["jobs"]:
            pass
        await redis_server.restart()
        kinds.gates[text].set()
        assert (await waiting).json()["result"]["text"] == text
