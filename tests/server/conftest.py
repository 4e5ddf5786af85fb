"""One front end and one worker for all tests of a module."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import httpx2
import pytest
from redis.asyncio import Redis

from crypto_mcp.access.directory import Directory
from crypto_mcp.settings import (
    AccessSettings,
    MongoSettings,
    PostgresSettings,
    RedisSettings,
    ServerSettings,
    Settings,
)
from crypto_mcp.stores.postgres import PostgresStore
from tests.server.doors import PEPPER
from tests.server.running import front_end, worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.local.mongo_server import MongoServer
    from crypto_mcp.local.postgres_server import PostgresServer
    from crypto_mcp.local.redis_server import RedisServer


@pytest.fixture(scope="module")
async def stores(running_redis: RedisServer, mongo_server: MongoServer) -> Settings:
    """Settings that point at an empty Redis and a new MongoDB database."""
    running_redis.resume()
    if running_redis.pid is None:
        await running_redis.start()
    if mongo_server.pid is None:
        await mongo_server.start()
    async with Redis.from_url(running_redis.url(0)) as client:
        await client.flushall()
    urls = {f"{use}_url": running_redis.url(db) for db, use in enumerate(("cache", "session", "queue"))}
    return Settings(
        _env_file=None,
        redis=RedisSettings.model_validate(urls),
        mongo=MongoSettings.model_validate(
            {"url": mongo_server.admin_url, "database": f"test_{secrets.token_hex(6)}", "timeout": 1}
        ),
        server=ServerSettings(workers=1),
    )


@pytest.fixture(scope="module")
async def address(stores: Settings) -> AsyncIterator[str]:
    """Address of a front end with a worker behind it."""
    async with worker(stores), front_end(stores) as url:
        yield url


@pytest.fixture
async def http(address: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of that front end."""
    async with httpx2.AsyncClient(base_url=address, timeout=30) as client:
        yield client


@pytest.fixture
def text() -> str:
    """A text that no other test uses, so that no cached answer of another is met."""
    return secrets.token_hex(6)


@pytest.fixture(scope="module")
async def closed(stores: Settings, postgres_server: PostgresServer) -> Settings:
    """Settings of a front end that lets nobody in without a key."""
    access = AccessSettings.model_validate(
        {"pepper": PEPPER, "local_without_key": False, "trusted_proxies": ["127.0.0.1/32"], "client_limit": 40}
    )
    postgres = PostgresSettings.model_validate({"url": postgres_server.url})
    return stores.model_copy(update={"access": access, "postgres": postgres})


@pytest.fixture(scope="module")
async def directory(closed: Settings) -> AsyncIterator[Directory]:
    """Clients and keys in an empty database."""
    store = PostgresStore(closed.postgres)
    async with store.connection() as connection:
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await store.migrate()
    yield Directory(store, PEPPER)
    await store.close()


@pytest.fixture(scope="module")
async def door(closed: Settings, directory: Directory) -> AsyncIterator[str]:
    """Address of that front end, a worker behind it."""
    async with worker(closed), front_end(closed) as url:
        yield url
