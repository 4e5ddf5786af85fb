"""The allowance that all processes share: never more than it, most of it under pressure, and those first who wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from crypto_mcp.local.redis_server import RedisServer
from crypto_mcp.market.allowance.asking import Priority, asking, asking_as
from crypto_mcp.market.allowance.limiter import Go, ProcessLimiter, Said, SharedLimiter, Stopped, Wait
from crypto_mcp.market.allowance.pool import Pool
from crypto_mcp.market.allowance.turns import Halted, SourceBusy, Turns

HOUR = Pool("hour", 100, seconds=3600, guard=0)
"""A window that no test sees the end of, unless it runs in the last second of an hour."""


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url(1)) as client:
        yield client


@pytest.fixture
async def limiter(redis: Redis) -> SharedLimiter:
    if time.time() % 3600 > 3590:
        await asyncio.sleep(10.5)
    return SharedLimiter(redis, 1.0)


async def test_what_one_process_takes_is_taken_for_all(redis: Redis, limiter: SharedLimiter) -> None:
    other = SharedLimiter(redis, 1.0)
    assert isinstance(await limiter.reserve(HOUR, 60, Priority.INTERACTIVE), Go)
    assert isinstance(await other.reserve(HOUR, 40, Priority.INTERACTIVE), Go)
    refused = await limiter.reserve(HOUR, 1, Priority.INTERACTIVE)
    assert isinstance(refused, Wait)
    assert (refused.used, refused.limit) == (100, 100)
    assert 0 < refused.seconds <= 3600.5


async def test_never_more_is_taken_than_allowed_however_many_ask(redis: Redis, limiter: SharedLimiter) -> None:
    limiters = [limiter, *(SharedLimiter(redis, 1.0) for _ in range(5))]
    asked = [each.reserve(HOUR, 3, Priority.INTERACTIVE) for each in limiters for _ in range(20)]
    leaves = await asyncio.gather(*asked)
    assert sum(isinstance(leave, Go) for leave in leaves) == 33


async def test_those_who_wait_for_an_answer_find_room_when_the_others_took_theirs(limiter: SharedLimiter) -> None:
    pool = Pool("priorities", 1000, seconds=86_400 * 365 * 400, guard=0)  # one window from 1970 on, hardly begun
    taken = dict.fromkeys(Priority, 0)
    for priority in (Priority.ARCHIVE, Priority.SCAN, Priority.INTERACTIVE):
        while isinstance(await limiter.reserve(pool, 10, priority), Go):
            taken[priority] += 10
    assert taken[Priority.INTERACTIVE] >= 100
    assert taken[Priority.SCAN] >= 100
    assert sum(taken.values()) == 1000


async def test_what_others_on_the_same_address_use_is_learned_from_the_providers_count(limiter: SharedLimiter) -> None:
    leave = await limiter.reserve(HOUR, 10, Priority.INTERACTIVE)
    assert isinstance(leave, Go)
    await limiter.learn(HOUR, leave.window, Said(used=85))
    assert isinstance(await limiter.reserve(HOUR, 16, Priority.INTERACTIVE), Wait)
    assert isinstance(await limiter.reserve(HOUR, 15, Priority.INTERACTIVE), Go)


async def test_a_count_of_another_window_says_nothing_of_this_one(limiter: SharedLimiter) -> None:
    leave = await limiter.reserve(HOUR, 10, Priority.INTERACTIVE)
    assert isinstance(leave, Go)
    await limiter.learn(HOUR, leave.window - 1, Said(used=85))
    assert isinstance(await limiter.reserve(HOUR, 90, Priority.INTERACTIVE), Go)


async def test_the_limit_a_provider_told_replaces_the_published_one(redis: Redis, limiter: SharedLimiter) -> None:
    assert not await limiter.knows_limit(HOUR)
    await limiter.learn(HOUR, -1, Said(limit=50))
    other = SharedLimiter(redis, 1.0)
    assert await other.knows_limit(HOUR)
    assert isinstance(await other.reserve(HOUR, 50, Priority.INTERACTIVE), Go)
    assert isinstance(await other.reserve(HOUR, 1, Priority.INTERACTIVE), Wait)


async def test_windows_turn_with_the_providers_clock(limiter: SharedLimiter) -> None:
    """A provider whose clock is ahead begins its minute earlier; ours begins with it."""
    pool = Pool("skewed", 100, seconds=60, guard=0)
    ahead = 60 - time.time() % 60 + 0.5
    first = await limiter.reserve(pool, 10, Priority.INTERACTIVE)
    await limiter.learn(pool, -1, Said(time=(time.time() + ahead) * 1000))
    then = await limiter.reserve(pool, 10, Priority.INTERACTIVE)
    assert isinstance(first, Go)
    assert isinstance(then, Go)
    assert then.window - first.window in (1, 2)  # 2 if a minute began in between


async def test_around_the_turn_of_a_window_a_request_counts_for_both(limiter: SharedLimiter) -> None:
    """It may arrive on either side: a full minute is not followed by another at once."""
    pool = Pool("turning", 100, seconds=60, guard=1000)
    await limiter.learn(pool, -1, Said(time=59_200))  # 0.8 s before the turn
    assert isinstance(await limiter.reserve(pool, 100, Priority.INTERACTIVE), Go)
    await limiter.learn(pool, -1, Said(time=60_300))
    assert isinstance(await limiter.reserve(pool, 1, Priority.INTERACTIVE), Wait)
    await limiter.learn(pool, -1, Said(time=125_000))
    assert isinstance(await limiter.reserve(pool, 100, Priority.INTERACTIVE), Go)
    await limiter.learn(pool, -1, Said(time=180_300))
    wait = await limiter.reserve(pool, 1, Priority.INTERACTIVE)
    assert isinstance(wait, Wait)
    assert wait.seconds < 1


async def test_a_stop_is_kept_by_everybody_also_by_those_who_start_later(
    redis: Redis, limiter: SharedLimiter, redis_server: RedisServer
) -> None:
    await limiter.stop(HOUR, 100, {"message": "banned"})
    await limiter.stop(HOUR, 1, {"message": "slow down"})
    await redis_server.restart()
    later = await SharedLimiter(Redis.from_url(redis_server.url(1)), 1.0).reserve(HOUR, 1, Priority.INTERACTIVE)
    assert isinstance(later, Stopped)
    assert later.why == {"message": "banned"}
    assert 90 < later.seconds <= 100


async def test_without_redis_a_process_goes_on_with_a_small_part(redis: Redis, redis_server: RedisServer) -> None:
    limiter = SharedLimiter(redis, 1.0)
    await redis_server.kill()
    pool = Pool("alone", 160, seconds=86_400, guard=0)
    leaves = [await limiter.reserve(pool, 1, Priority.INTERACTIVE) for _ in range(20)]
    assert sum(isinstance(leave, Go) for leave in leaves) == 10


async def test_half_of_an_allowance_whose_windows_are_not_known(limiter: SharedLimiter) -> None:
    pool = Pool("halved", 100, seconds=3600, guard=0, halved=True)
    assert isinstance(await limiter.reserve(pool, 50, Priority.INTERACTIVE), Go)
    assert isinstance(await limiter.reserve(pool, 1, Priority.INTERACTIVE), Wait)


async def test_who_would_wait_longer_than_their_patience_are_told_at_once_when_to_come_back() -> None:
    turns = Turns(ProcessLimiter(1.0), "exchange")
    with asking_as(Priority.SCAN, patience=0.5):
        assert asking().patience == 0.5
        async with turns.turn({HOUR: 80}):
            pass
        began = time.monotonic()
        with pytest.raises(SourceBusy, match="80 of 100 are taken") as caught:
            async with turns.turn({HOUR: 30}):
                pass
    assert time.monotonic() - began < 0.4
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 3601


async def test_who_waits_gets_the_next_window() -> None:
    turns = Turns(ProcessLimiter(1.0), "exchange")
    second = Pool("second", 10, seconds=1, guard=0)
    windows = []
    for _ in range(3):
        async with turns.turn({second: 8}) as leaves:
            windows.append(leaves[second].window)
    assert len(set(windows)) == 3


async def test_nobody_gets_a_turn_while_the_provider_said_to_keep_away() -> None:
    limiter = ProcessLimiter(1.0)
    await limiter.stop(HOUR, 30, {"message": "banned"})
    with pytest.raises(Halted):
        async with Turns(limiter, "exchange").turn({HOUR: 1}):
            pass
