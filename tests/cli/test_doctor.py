"""`crypto-mcp doctor` on real servers, well and ill."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis

from crypto_mcp.cli.check_channels import channels
from crypto_mcp.cli.checks import examine
from crypto_mcp.cli.findings import Level
from crypto_mcp.jobs.leases import known_workers
from crypto_mcp.settings import MarketSettings, NotifySettings, ServerSettings
from tests.server.running import front_end, worker
from tests.servers import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg
    from pymongo.asynchronous.database import AsyncDatabase

    from crypto_mcp.cli.findings import Finding
    from crypto_mcp.local.redis_server import RedisServer
    from crypto_mcp.settings import Settings


@pytest.fixture
def reachable(
    settings: Settings, mongo_database: AsyncDatabase[dict[str, Any]], postgres_database: asyncpg.Connection
) -> Settings:
    """Databases run; nobody listens where the exchange and the front end should."""
    exchange, front = free_ports(2)
    return settings.model_copy(
        update={
            "market": MarketSettings(binance_url=f"http://127.0.0.1:{exchange}"),
            "server": ServerSettings(port=front),
        }
    )


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url(2)) as client:
        yield client


def wrong(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings if finding.level is Level.WRONG}


async def test_what_runs_is_fine_and_what_does_not_is_wrong_with_a_hint(reachable: Settings) -> None:
    findings = await examine(reachable)
    assert wrong(findings).keys() == {"Exchange", "Front end"}
    assert all(finding.hint for finding in wrong(findings).values())
    fine = {finding.subject for finding in findings if finding.level is Level.FINE}
    assert {"Python", "Redis (cache)", "Redis (sessions)", "Redis (queues)", "MongoDB", "PostgreSQL"} <= fine


async def test_ways_to_tell_people_are_looked_at() -> None:
    """Without a key no number is kept; without the app's secret nothing is known of what was sent; WAHA may be away."""
    (first, second) = await channels(NotifySettings())
    assert (first.level, second.level) == (Level.WARNING, Level.FINE)
    half = {"meta_token": "t", "meta_phone_id": "1", "encryption_key": "k" * 32}
    (finding,) = await channels(NotifySettings.model_validate(half))
    assert (finding.level, "META_APP_SECRET" in finding.hint) == (Level.WARNING, True)
    away = {"waha_url": f"http://127.0.0.1:{free_ports(1)[0]}", "encryption_key": "k" * 32}
    (finding,) = await channels(NotifySettings.model_validate(away))
    assert (finding.level, finding.detail) == (Level.WRONG, "WhatsApp by WAHA: ConnectError")


async def test_a_front_end_that_misses_something_says_what(reachable: Settings, redis: Redis) -> None:
    async with worker(reachable), front_end(reachable) as url:
        ready = reachable.model_copy(update={"server": ServerSettings(port=int(url.rpartition(":")[2]))})
        async with asyncio.timeout(10):
            while not await known_workers(redis):
                await asyncio.sleep(0.02)
        findings = await examine(ready)
        assert wrong(findings).keys() == {"Exchange"}
        assert [(f.level, "degraded" in f.detail) for f in findings if f.subject == "Front end"] == [
            (Level.WARNING, True)
        ]
        assert [f.detail for f in findings if f.subject == "Workers"] == ["1 alive"]


async def test_a_list_that_nobody_works_on_is_named(reachable: Settings) -> None:
    said = [f for f in await examine(reachable) if f.subject == "Workers"]
    assert {f.level for f in said} == {Level.WARNING}
    assert any("nobody works on analysis:queue" in f.detail and "crypto-mcp worker" in f.hint for f in said)


@pytest.mark.parametrize(
    ("option", "bad", "good", "word"),
    [("maxmemory-policy", "allkeys-lru", "noeviction", "evicted"), ("appendonly", "no", "yes", "append-only")],
)
async def test_a_redis_that_may_lose_jobs_is_wrong(
    reachable: Settings, redis: Redis, option: str, bad: str, good: str, word: str
) -> None:
    await redis.config_set(option, bad)
    try:
        assert word in wrong(await examine(reachable))["Redis (queues)"].detail
    finally:
        await redis.config_set(option, good)


async def test_a_dead_redis_is_wrong_three_times_and_no_password_is_shown(
    reachable: Settings, redis_server: RedisServer
) -> None:
    await redis_server.kill()
    findings = await examine(reachable)
    assert {"Redis (cache)", "Redis (sessions)", "Redis (queues)"} <= wrong(findings).keys()
    password = redis_server.url(0).split(":")[2].split("@")[0]
    assert password not in repr(findings)
