"""A front end and a worker for notifications, before a sandbox that plays Meta; shared by the files here."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.models.notifications import Notification
from crypto_mcp.settings import MongoSettings, NotifySettings, RedisSettings, ServerSettings, Settings
from tests.sandbox_server import SandboxServer, running_sandbox
from tests.server.running import front_end, worker
from workers.services import Services

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from crypto_mcp.local.mongo_server import MongoServer
    from crypto_mcp.local.redis_server import RedisServer

TOKEN, SECRET = "token-of-tests", "secret-of-tests"
_NUMBERS = itertools.count(1000)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox(whatsapp_token=SecretStr(TOKEN), whatsapp_app_secret=SecretStr(SECRET)) as server:
        yield server


@pytest.fixture(scope="module")
async def stores(running_redis: RedisServer, mongo_server: MongoServer, sandbox: SandboxServer) -> Settings:
    """Settings that point at the test servers and the sandbox."""
    running_redis.resume()
    if running_redis.pid is None:
        await running_redis.start()
    if mongo_server.pid is None:
        await mongo_server.start()
    async with Services(Settings(_env_file=None)) if False else _nothing():
        pass
    urls = {f"{use}_url": running_redis.url(db) for db, use in enumerate(("cache", "session", "queue"))}
    return Settings(
        _env_file=None,
        redis=RedisSettings.model_validate(urls),
        mongo=MongoSettings.model_validate(
            {"url": mongo_server.admin_url, "database": f"test_{secrets.token_hex(6)}", "timeout": 5}
        ),
        server=ServerSettings(workers=1),
        notify=NotifySettings(
            encryption_key=SecretStr("k" * 40),
            meta_url=f"{sandbox.url}/graph",
            meta_phone_id="100000000000001",
            meta_token=SecretStr(TOKEN),
            meta_app_secret=SecretStr(SECRET),
            meta_verify_token=SecretStr("verify-of-tests"),
            digest_window=2.0,
            timeout=3.0,
            webhook_networks=[ip_network("127.0.0.0/8")],  # type: ignore[list-item]
        ),
    )
