"""One leader among schedulers."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.jobs.connection import connect
from crypto_mcp.jobs.scripting import Scripts
from scheduler.leader import Leadership

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.local.redis_server import RedisServer
    from crypto_mcp.settings import Settings


@pytest.fixture
async def scripts(settings: Settings) -> AsyncIterator[Scripts]:
    redis = connect(settings.redis.queue_url, settings.redis)
    yield Scripts(redis)
    await redis.aclose()


async def test_one_of_two_leads(scripts: Scripts) -> None:
    first, second = Leadership(scripts), Leadership(scripts)
    assert await first.claim()
    assert not await second.claim()
    assert await first.claim()
    assert first.leading
    assert not second.leading


async def test_the_token_rises_with_every_change_of_leader_and_only_then(scripts: Scripts) -> None:
    first, second = Leadership(scripts), Leadership(scripts)
    await first.claim()
    token = first.token
    await first.claim()
    assert token is not None
    assert first.token == token
    await first.resign()
    assert await second.claim()
    assert second.token == token + 1


async def test_a_leader_that_fell_silent_is_replaced_and_knows_it(scripts: Scripts) -> None:
    first, second = Leadership(scripts, ttl=0.2), Leadership(scripts, ttl=5)
    await first.claim()
    async with asyncio.timeout(5):
        while not await second.claim():
            await asyncio.sleep(0.02)
    assert not first.leading
    assert not await first.claim()
    await first.resign()
    assert await second.claim()


async def test_without_redis_nobody_leads(scripts: Scripts, redis_server: RedisServer) -> None:
    leader = Leadership(scripts, ttl=0.2)
    await leader.claim()
    await redis_server.kill()
    async with asyncio.timeout(5):
        while leader.leading:
            await asyncio.sleep(0.02)
    with pytest.raises(StoreUnavailable):
        await leader.claim()


async def test_the_process_leads_and_hands_over_on_sigterm(settings: Settings, scripts: Scripts) -> None:
    program = (
        "import sys; from pydantic import SecretStr; from crypto_mcp.settings import RedisSettings, Settings\n"
        "from scheduler.main import run\n"
        "run(Settings(_env_file=None, redis=RedisSettings(queue_url=SecretStr(sys.argv[1]))))"
    )
    url = settings.redis.queue_url.get_secret_value()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, url, cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while b"leads" not in await process.stdout.readline():
            pass
        standby = Leadership(scripts)
        assert not await standby.claim()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert await standby.claim()
