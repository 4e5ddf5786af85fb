"""Fixtures for every room: real servers, started when the first test asks for them."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from hypothesis import settings as hypothesis_settings
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from crypto_mcp.settings import MongoSettings, PostgresSettings, RedisSettings, Settings
from tests.logscan import FOLDER
from tests.servers import Servers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pymongo.asynchronous.database import AsyncDatabase

    from crypto_mcp.local.mongo_server import MongoServer
    from crypto_mcp.local.postgres_server import PostgresServer
    from crypto_mcp.local.redis_server import RedisServer

pytest_plugins = ("tests.logscan",)

_OURS = "CRYPTO_MCP_"
_FOR_TESTS = {"CRYPTO_MCP_CANDLES", FOLDER}

_LONG_ROOMS = ("local", "workers", "chaos", "bench", "jobs")

hypothesis_settings.register_profile("unhurried", deadline=None)  # how long an example takes is the machine's business
hypothesis_settings.load_profile("unhurried")

for _name in [name for name in os.environ if name.startswith(_OURS) and name not in _FOR_TESTS]:
    del os.environ[_name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, so that processes side by side end at about the same time."""
    tests = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(tests).parts[0] not in _LONG_ROOMS)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Servers:
    """Addresses and passwords of the servers; `redis_server` and its like start them."""
    return Servers.under(tmp_path_factory.mktemp("servers"))


@pytest.fixture(scope="session")
async def running_redis(servers: Servers) -> AsyncIterator[RedisServer]:
    """Redis, started once."""
    await servers.redis.start()
    yield servers.redis
    await servers.redis.kill()


@pytest.fixture(scope="session")
async def mongo_server(servers: Servers) -> AsyncIterator[MongoServer]:
    """MongoDB, started once."""
    await servers.mongo.start()
    yield servers.mongo
    await servers.mongo.kill()


@pytest.fixture(scope="session")
async def postgres_server(servers: Servers) -> AsyncIterator[PostgresServer]:
    """PostgreSQL, started once."""
    await servers.postgres.start()
    yield servers.postgres
    await servers.postgres.stop()


@pytest.fixture
async def redis_server(running_redis: RedisServer) -> RedisServer:
    """Redis with databases 0 to 2 empty, running whatever the test before did to it.

    A test may `pause()`, `resume()`, and await `kill()`, `start()`, `restart()`.
    """
    running_redis.resume()
    if running_redis.pid is None:
        await running_redis.start()
    async with Redis.from_url(running_redis.url(0)) as client:
        await client.flushall()
    return running_redis


@pytest.fixture
def settings(servers: Servers, redis_server: RedisServer) -> Settings:
    """Settings that point at the test servers: Redis runs and is empty, the MongoDB database is new.

    A test that needs MongoDB asks for `mongo_database` as well, one that needs PostgreSQL for `postgres_database`.
    """
    return Settings(
        _env_file=None,
        redis=RedisSettings.model_validate(
            {f"{use}_url": redis_server.url(db) for db, use in enumerate(("cache", "session", "queue"))}
        ),
        mongo=MongoSettings.model_validate(
            {"url": servers.mongo.admin_url, "database": f"test_{secrets.token_hex(6)}"}
        ),
        postgres=PostgresSettings.model_validate({"url": servers.postgres.url}),
    )


@pytest.fixture
async def mongo_database(mongo_server: MongoServer, settings: Settings) -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
    """The database that `settings` names, on a running MongoDB; dropped afterwards."""
    if mongo_server.pid is None:
        await mongo_server.start()
    async with AsyncMongoClient[dict[str, Any]](mongo_server.admin_url, tz_aware=True) as client:
        yield client[settings.mongo.database]
        await client.drop_database(settings.mongo.database)


@pytest.fixture
async def postgres_database(postgres_server: PostgresServer) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the database that `settings` names, on a running PostgreSQL; empty at first."""
    if postgres_server.pid is None:
        await postgres_server.start()
    connection = await asyncpg.connect(postgres_server.url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    yield connection
    await connection.close()
