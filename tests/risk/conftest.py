"""The product's own catalogue behind a front end and a worker, on a sandbox market; shared by the files here."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.settings import MarketSettings, MongoSettings, RedisSettings, ServerSettings, Settings
from tests.sandbox_server import SandboxServer, running_sandbox
from tests.server.running import front_end, worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from crypto_mcp.local.mongo_server import MongoServer
    from crypto_mcp.local.redis_server import RedisServer

    Ask = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.fixture(scope="module")
async def stores(running_redis: RedisServer, mongo_server: MongoServer, sandbox: SandboxServer) -> Settings:
    """Settings that point at the test servers and the sandbox."""
    running_redis.resume()
    if running_redis.pid is None:
        await running_redis.start()
    if mongo_server.pid is None:
        await mongo_server.start()
    urls = {f"{use}_url": running_redis.url(db) for db, use in enumerate(("cache", "session", "queue"))}
    return Settings(
        _env_file=None,
        redis=RedisSettings.model_validate(urls),
        mongo=MongoSettings.model_validate(
            {"url": mongo_server.admin_url, "database": f"test_{secrets.token_hex(6)}", "timeout": 5}
        ),
        server=ServerSettings(workers=1),
        market=MarketSettings(binance_url=sandbox.url),
    )


@pytest.fixture(scope="module")
async def address(stores: Settings) -> AsyncIterator[str]:
    """A front end with a worker behind it, both knowing the product's kinds."""
    async with worker(stores, CATALOGUE), front_end(stores, CATALOGUE) as url:
        yield url


@pytest.fixture
async def http(address: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=address, timeout=60) as client:
        yield client


@pytest.fixture
def ask(http: httpx2.AsyncClient) -> Ask:
    """Calls a kind over REST and waits for its answer: the result, or the problem with its `status`."""

    async def call(kind: str, **params: Any) -> dict[str, Any]:
        answered = await http.post(f"/v1/jobs/{kind}", json=params, params={"wait": 25})
        while answered.status_code == 202:
            answered = await http.get(f"{answered.headers['location']}/result", params={"wait": 25})
        body: dict[str, Any] = answered.json()
        return body["result"] if answered.status_code == 200 else body

    return call
