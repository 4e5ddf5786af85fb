"""What a job's end leaves behind, whichever end it is: nothing that lasts, and nobody left without word."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from crypto_mcp.errors import SourceUnavailable
from crypto_mcp.jobs import keys
from crypto_mcp.jobs.desk import CacheEntry
from crypto_mcp.jobs.leases import return_orphans
from crypto_mcp.local.redis_server import RedisServer
from crypto_mcp.models.answers import JobState
from tests.jobs.hand_driven import LIST, SETTINGS, WORK, Ask, HandDriven

CACHE_DB = 0
AWAY = SourceUnavailable("not now", hint="Later.")


async def _done(queue: HandDriven, job: str) -> None:
    _, start = await queue.accept()
    assert await queue.desk.finish(job, start.attempt, JobState.DONE, result=b'{"n":1}')


async def _failed(queue: HandDriven, job: str) -> None:
    _, start = await queue.accept()
    assert await queue.desk.finish(job, start.attempt, JobState.FAILED, error=AWAY)


async def _dead(queue: HandDriven, _: str) -> None:
    accepted, start = await queue.accept()
    assert await queue.desk.bury(accepted, start.attempt, AWAY)


async def _cancelled_waiting(queue: HandDriven, job: str) -> None:
    await queue.jobs.cancel(job)


async def _cancelled_arriving(queue: HandDriven, job: str) -> None:
    await queue.desk.take(LIST, 1)
    await queue.jobs.cancel(job)
    await queue.lease.leave()
    _, start = await queue.accept()
    assert start.verdict == "cancelled"


async def _cancelled_retrying(queue: HandDriven, job: str) -> None:
    _, start = await queue.accept()
    assert await queue.desk.retry(job, start.attempt, 60, AWAY)
    await queue.jobs.cancel(job)


async def _cancelled_running(queue: HandDriven, job: str) -> None:
    _, start = await queue.accept()
    await queue.jobs.cancel(job)
    assert await queue.desk.finish(job, start.attempt, JobState.CANCELLED)


async def _cancelled_by_a_death(queue: HandDriven, job: str) -> None:
    """The worker that was told to stop it died instead."""
    await queue.accept()
    await queue.jobs.cancel(job)
    await queue.redis.delete(keys.heartbeat(queue.worker))
    assert await return_orphans(queue.redis, queue.scripts, SETTINGS) == {queue.worker: 1}
    await queue.lease.beat({})


ENDS = {
    _done: JobState.DONE,
    _failed: JobState.FAILED,
    _dead: JobState.DEAD,
    _cancelled_waiting: JobState.CANCELLED,
    _cancelled_arriving: JobState.CANCELLED,
    _cancelled_retrying: JobState.CANCELLED,
    _cancelled_running: JobState.CANCELLED,
    _cancelled_by_a_death: JobState.CANCELLED,
}


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_after_its_end_a_job_is_nowhere_and_what_it_leaves_expires(queue: HandDriven, end: object) -> None:
    job = await queue.submit(reply_to="mine")
    await end(queue, job)  # type: ignore[operator]
    state = ENDS[end]  # type: ignore[index]
    record = await queue.jobs.get(job)
    assert record.state is state
    assert record.timings.finished_at is not None
    assert [line["state"] for line in await queue.lines("mine")][-1:] == [state.value]
    assert await queue.field(job, "envelope") is None
    left = {key.decode(): await queue.redis.ttl(key) async for key in queue.redis.scan_iter("*")}
    lasting = {key for key, seconds in left.items() if seconds < 0}
    assert lasting <= {keys.RECENT, keys.STATS, keys.WORKERS} | ({keys.dead(LIST)} if state is JobState.DEAD else set())
    assert 0 < left[keys.job(job)] <= SETTINGS.record_ttl
    assert not (await queue.jobs.submit(WORK, Ask())).joined


async def test_an_answer_expires_and_is_read_with_its_record(queue: HandDriven) -> None:
    job = await queue.submit()
    assert await queue.jobs.get_with_answer(job) == (await queue.jobs.get(job), None)
    await _done(queue, job)
    record, answer = await queue.jobs.get_with_answer(job)
    assert (record.state, answer) == (JobState.DONE, b'{"n":1}')
    assert 0 < await queue.redis.ttl(keys.answer(job)) <= SETTINGS.answer_ttl


async def test_the_finishing_script_writes_the_cached_key_into_the_cache_s_database(
    queue: HandDriven, redis_server: RedisServer
) -> None:
    """And is back in its own for everything after that."""
    job = await queue.submit()
    _, start = await queue.accept()
    cached = CacheEntry("analysis:BTCUSDT:1h", 90, CACHE_DB)
    await queue.desk.finish(job, start.attempt, JobState.DONE, result=b'{"n":1}', cache=cached)
    async with Redis.from_url(redis_server.url(CACHE_DB)) as cache:
        assert await cache.keys("*") == [b"analysis:BTCUSDT:1h"]
        assert await cache.get("analysis:BTCUSDT:1h") == b'{"n":1}'
        assert 0 < await cache.ttl("analysis:BTCUSDT:1h") <= 90
    assert not await queue.redis.exists("analysis:BTCUSDT:1h")
    assert (await queue.jobs.get(job)).state is JobState.DONE


@pytest.mark.parametrize("entry", [CacheEntry("stale", 0, CACHE_DB), CacheEntry("elsewhere", 90, None)])
async def test_nothing_is_cached_that_is_out_of_date_or_belongs_to_another_redis(
    queue: HandDriven, redis_server: RedisServer, entry: CacheEntry
) -> None:
    job = await queue.submit()
    _, start = await queue.accept()
    assert await queue.desk.finish(job, start.attempt, JobState.DONE, result=b"{}", cache=entry)
    async with Redis.from_url(redis_server.url(CACHE_DB)) as cache:
        assert await cache.dbsize() == 0


async def test_a_refused_end_writes_nothing(queue: HandDriven, redis_server: RedisServer) -> None:
    """Neither answer, nor cached key, nor state: the job is another worker's by now."""
    job = await queue.submit()
    _, start = await queue.accept()
    await queue.lease.leave()
    other = HandDriven(queue.redis, "other")
    await other.accept()
    cached = CacheEntry("late", 90, CACHE_DB)
    assert not await queue.desk.finish(job, start.attempt, JobState.DONE, result=b"late", cache=cached)
    assert await queue.desk.retry(job, start.attempt, 0, AWAY) is None
    await queue.desk.progress(job, start.attempt, 0.5, "late")
    record, answer = await queue.jobs.get_with_answer(job)
    assert (record.state, record.progress, answer) == (JobState.RUNNING, None, None)
    async with Redis.from_url(redis_server.url(CACHE_DB)) as cache:
        assert await cache.dbsize() == 0


async def test_a_pusher_is_told_the_job_s_id_its_end_its_answer_or_its_error(queue: HandDriven) -> None:
    for name in ("good", "bad"):
        await queue.push({"kind": "work", "params": {"n": len(name)}, "reply_to": name})
    accepted, start = await queue.accept()
    await queue.desk.finish(accepted.id, start.attempt, JobState.DONE, result=b'{"n":4}')
    answer = keys.answer(accepted.id)
    assert await queue.lines("good") == [
        {"job_id": accepted.id, "state": "queued"},
        {"job_id": accepted.id, "state": "done", "answer": answer},
    ]
    assert await queue.redis.get(answer) == b'{"n":4}'
    accepted, start = await queue.accept()
    await queue.desk.finish(accepted.id, start.attempt, JobState.FAILED, error=AWAY)
    assert (await queue.lines("bad"))[-1] == {
        "job_id": accepted.id,
        "state": "failed",
        "error": {"code": AWAY.code, "message": "not now", "hint": "Later.", "status": 503},
    }


async def test_a_reply_list_keeps_its_newest_hundred_lines_for_an_hour(queue: HandDriven) -> None:
    for n in range(60):
        await queue.push({"kind": "work", "params": {"n": n}, "reply_to": "mine"})
        accepted, start = await queue.accept()
        await queue.desk.finish(accepted.id, start.attempt, JobState.DONE, result=b"{}")
    lines = await queue.lines("mine")
    assert len(lines) == 100
    assert lines[-1] == {"job_id": accepted.id, "state": "done", "answer": keys.answer(accepted.id)}
    assert 0 < await queue.redis.ttl("mine") <= 3600


async def test_a_reply_key_that_is_no_list_stops_nothing(queue: HandDriven) -> None:
    """The script that ends the job would otherwise break off between its parts."""
    await queue.redis.set("taken", "a string")
    await queue.push({"kind": "work", "id": "one", "reply_to": "taken"})
    await _done(queue, "one")
    assert (await queue.jobs.get("one")).state is JobState.DONE
    assert await queue.redis.get("taken") == b"a string"
    assert await queue.redis.ttl("taken") == -1
    assert await queue.redis.zcard(keys.desk(queue.worker)) == 0


async def test_a_copy_of_a_push_is_told_how_the_job_stands(queue: HandDriven) -> None:
    for _ in range(2):
        await queue.push({"kind": "work", "id": "one", "reply_to": "mine"})
    await queue.accept()
    _, start = await queue.accept()
    assert start.verdict == "duplicate"
    assert [line["state"] for line in await queue.lines("mine")] == ["queued", "running"]
