"""Connections to Redis: what has to hold of them under cancelling and silence."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import ByteSize, SecretStr
from redis.asyncio import Connection
from redis.exceptions import DataError, RedisError

from crypto_mcp.jobs.connection import connect
from crypto_mcp.models.answers import JobState
from crypto_mcp.settings import Settings


@pytest.mark.parametrize("fresh", [True, False], ids=["connecting", "connected"])
async def test_a_cancelled_command_is_always_cancelled(settings: Settings, fresh: bool) -> None:
    """At whatever step of it the cancellation comes; redis-py's own sending loses some on Python 3.11."""
    ended = 0
    for steps in range(60):
        client = connect(settings.redis.queue_url, settings.redis)
        if not fresh:
            await client.ping()
        command = asyncio.create_task(client.lrange("nothing", 0, -1))  # type: ignore[arg-type]
        for _ in range(steps):
            await asyncio.sleep(0)
        ended += command.done()
        if command.cancel():
            with pytest.raises(asyncio.CancelledError):
                await command
        await client.aclose()
    assert ended < 60


async def test_a_redis_that_takes_nothing_is_given_up(settings: Settings) -> None:
    """A peer that accepts connections and reads nothing: the time for an answer bounds the sending too."""
    server = await asyncio.start_server(lambda _, __: asyncio.sleep(60), "127.0.0.1", 0)
    url = SecretStr(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/2")
    client = connect(url, settings.redis, answer_within=0.3)
    async with asyncio.timeout(20):
        with pytest.raises(RedisError):
            await client.set("key", b"x" * 50_000_000)
    await client.aclose()
    server.close()


@pytest.mark.parametrize(
    "command",
    [
        ("CONFIG GET", "maxmemory-policy"),
        ("EVALSHA", "ab12", 2, "key", b"\x00\xff", -3, 10**30, 0.1 + 0.2, 1e-7, JobState.DONE, ByteSize(5), "", "€"),
        ("SET", "key", memoryview(b"value")),
    ],
    ids=["two words", "every kind of argument", "a view"],
)
def test_commands_are_packed_as_redis_py_packs_them(settings: Settings, command: tuple[Any, ...]) -> None:
    ours = connect(settings.redis.queue_url, settings.redis).connection_pool.make_connection()
    expected = b"".join(Connection().pack_command(*command))
    assert b"".join(ours.pack_command(*command)) == expected
    assert b"".join(ours.pack_commands([command, command])) == 2 * expected


def test_what_redis_cannot_take_is_refused_as_by_redis_py(settings: Settings) -> None:
    ours = connect(settings.redis.queue_url, settings.redis).connection_pool.make_connection()
    with pytest.raises(DataError):
        ours.pack_command("SET", "key", None)
