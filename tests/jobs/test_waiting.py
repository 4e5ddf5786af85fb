"""Waiting for a job: whatever happens to the subscription, the waiter hears of the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from crypto_mcp.errors import SourceUnavailable
from crypto_mcp.jobs import keys, waiting
from crypto_mcp.jobs.connection import connect
from crypto_mcp.jobs.waiting import Watch, Watcher
from crypto_mcp.local.redis_server import RedisServer
from crypto_mcp.models.answers import JobState
from crypto_mcp.settings import Settings
from tests.jobs.hand_driven import LIST, QUEUE_DB, HandDriven

SOON = 20.0


@pytest.fixture
async def watcher(queue: HandDriven, settings: Settings) -> AsyncIterator[Watcher]:
    """A front end's subscription, up."""
    async with Watcher(lambda: connect(settings.redis.queue_url, settings.redis)) as watcher:
        await _subscribed(queue.redis, watcher)
        yield watcher


async def _subscribed(redis: Redis, watcher: Watcher) -> None:
    async with asyncio.timeout(SOON):
        while not (watcher.connected and dict(await redis.pubsub_numsub(watcher.channel))[watcher.channel.encode()]):
            await asyncio.sleep(0.01)


async def _finish(queue: HandDriven, job: str) -> None:
    _, start = await queue.accept()
    assert await queue.desk.finish(job, start.attempt, JobState.DONE, result=b'{"n":1}')


async def _done(queue: HandDriven, job: str, watch: Watch) -> None:
    """As a front end waits: reads the record, and again after each change."""
    while (await queue.jobs.get(job)).state is not JobState.DONE:
        assert await watch.change(SOON), "no word of the end"


async def test_a_waiter_hears_of_the_end(queue: HandDriven, watcher: Watcher) -> None:
    async with watcher.watching("one") as watch:
        await queue.submit(job_id="one", watcher=watcher.channel)
        waiter = asyncio.ensure_future(_done(queue, "one", watch))
        await _finish(queue, "one")
        await waiter


async def test_an_end_between_submission_and_waiting_is_not_missed(queue: HandDriven, watcher: Watcher) -> None:
    async with watcher.watching("one") as watch:
        await queue.submit(job_id="one", watcher=watcher.channel)
        await _finish(queue, "one")
        assert await watch.change(SOON)
        assert (await queue.jobs.get("one")).state is JobState.DONE


async def test_who_joins_a_job_hears_of_its_end_too(queue: HandDriven, watcher: Watcher) -> None:
    """The first submitter is another front end; each hears on its own channel."""
    job = await queue.submit(watcher="front:another")
    async with watcher.watching("mine") as watch:
        submitted = await queue.submit(job_id="mine", watcher=watcher.channel)
        assert submitted == job
        watch.follow(job)
        waiter = asyncio.ensure_future(_done(queue, job, watch))
        await _finish(queue, job)
        await waiter
    assert (await queue.field(job, "watchers") or b"").split() == [b"front:another", watcher.channel.encode()]


async def test_a_subscription_killed_while_its_waiter_waits_costs_no_answer(
    queue: HandDriven, watcher: Watcher
) -> None:
    """The message of the end is lost: it is sent while nobody is subscribed."""
    async with watcher.watching("one") as watch:
        await queue.submit(job_id="one", watcher=watcher.channel)
        assert await watch.change(SOON)
        waiter = asyncio.ensure_future(_done(queue, "one", watch))
        async with queue.redis.pipeline(transaction=True) as pipe:
            accepted, start = await queue.accept()
            pipe.client_kill_filter(_type="pubsub")
            pipe.pubsub_numsub(watcher.channel)
            killed, subscribers = await pipe.execute()
        assert killed == 1
        assert dict(subscribers)[watcher.channel.encode()] == 0
        assert await queue.desk.finish(accepted.id, start.attempt, JobState.DONE, result=b"{}")
        await waiter


async def test_a_restart_of_redis_while_a_waiter_waits_costs_no_answer(
    queue: HandDriven, watcher: Watcher, redis_server: RedisServer
) -> None:
    async with watcher.watching("one") as watch:
        await queue.submit(job_id="one", watcher=watcher.channel)
        assert await watch.change(SOON)
        await redis_server.kill()
        waiter = asyncio.ensure_future(watch.change(SOON))
        await redis_server.start()
        async with Redis.from_url(redis_server.url(QUEUE_DB)) as redis:
            after = HandDriven(redis, "after")
            await _finish(after, "one")
            assert await waiter
            await _done(after, "one", watch)


async def test_a_silent_redis_is_given_up_and_subscribed_to_again(
    queue: HandDriven, watcher: Watcher, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped server sends no reset: only a probe without an answer shows it."""
    monkeypatch.setattr(waiting, "_QUIET", 0.1)
    async with watcher.watching("one") as watch:
        await queue.submit(job_id="one", watcher=watcher.channel)
        assert await watch.change(SOON)
        redis_server.pause()
        async with asyncio.timeout(SOON):
            while watcher.connected:
                await asyncio.sleep(0.01)
        redis_server.resume()
        await _finish(queue, "one")
        await _done(queue, "one", watch)


async def test_every_waiter_of_a_process_hears_of_its_own_job_over_one_subscription(
    queue: HandDriven, watcher: Watcher
) -> None:
    jobs = [await queue.submit(n, watcher=watcher.channel) for n in range(50)]
    watches = [Watch(watcher, job) for job in jobs]
    waiters = [asyncio.ensure_future(_done(queue, job, watch)) for job, watch in zip(jobs, watches, strict=True)]
    for job in jobs:
        await _finish(queue, job)
    await asyncio.gather(*waiters)
    clients = await queue.redis.client_list(_type="pubsub")
    assert len(clients) == 1
    for watch in watches:
        watch.stop()
    assert not watcher._watches


async def test_each_change_of_a_job_is_published(queue: HandDriven) -> None:
    async with queue.redis.pubsub() as events:
        await events.subscribe(keys.EVENTS)
        assert (await events.get_message(timeout=SOON) or {})["type"] == "subscribe"
        job = await queue.submit()
        _, start = await queue.accept()
        await queue.desk.retry(job, start.attempt, 0, SourceUnavailable("not now"))
        start = await queue.desk.start(job)
        await queue.desk.retry(job, start.attempt, 60, SourceUnavailable("not now"))
        await queue.lease.leave()
        await queue.accept()
        await queue.jobs.cancel(job)
        heard = [(await events.get_message(timeout=SOON) or {})["data"].decode().split() for _ in range(8)]
    assert {told for told, _ in heard} == {job}
    assert [state for _, state in heard] == [
        "queued", "running", "retrying", "running", "retrying", "queued", "retrying", "cancelled",
    ]  # fmt: skip


async def test_watching_an_unfinished_job_of_another_front_end_and_a_finished_one(
    queue: HandDriven, watcher: Watcher
) -> None:
    job = await queue.submit()
    for _ in range(2):
        assert await queue.jobs.watch(job, watcher.channel) is JobState.QUEUED
    assert await queue.field(job, "watchers") == watcher.channel.encode()
    await _finish(queue, job)
    assert await queue.jobs.watch(job, "front:late") is JobState.DONE
    assert await queue.field(job, "watchers") == watcher.channel.encode()
    assert await queue.redis.llen(LIST) == 0  # type: ignore[misc]
