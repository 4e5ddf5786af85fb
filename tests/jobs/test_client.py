"""Submitting, joining, listing, cancelling."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from redis.asyncio import Redis

from crypto_mcp.errors import IdempotencyConflict, SourceUnavailable, StoreUnavailable, UnknownJob
from crypto_mcp.jobs import keys
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.models.answers import JobState
from tests.jobs.hand_driven import LIST, OTHER, SETTINGS, WORK, Ask, HandDriven
from tests.servers import free_port

AWAY = SourceUnavailable("not now")


async def test_a_submission_is_one_envelope_on_its_list_and_a_record(queue: HandDriven) -> None:
    submitted = await queue.jobs.submit(WORK, Ask(n=3), client="cli", trace="t-1")
    assert (submitted.state, submitted.joined) == (JobState.QUEUED, False)
    (raw,) = await queue.redis.lrange(LIST, 0, -1)  # type: ignore[misc]
    body = json.loads(raw)
    assert (body["id"], body["kind"], body["params"]["n"]) == (submitted.job_id, "work", 3)
    record = await queue.jobs.get(submitted.job_id)
    assert (record.kind, record.list, record.client, record.trace) == ("work", LIST, "cli", "t-1")
    assert record.timings.submitted_at is not None
    assert await queue.jobs.depths(LIST, "backtest:queue") == {LIST: 1, "backtest:queue": 0}


async def test_equal_requests_at_once_are_one_job(queue: HandDriven) -> None:
    """Whether a default was spelled out or not."""
    asks = [Ask(n=1), Ask(n=1, text="")] * 50
    submitted = await asyncio.gather(*(queue.jobs.submit(WORK, ask) for ask in asks))
    assert len({s.job_id for s in submitted}) == 1
    assert [s.joined for s in submitted].count(False) == 1
    assert await queue.waiting() == [submitted[0].job_id]


@pytest.mark.parametrize("where", ["list", "arriving", "running", "retrying", "returned"])
async def test_a_request_joins_its_equal_wherever_that_is(queue: HandDriven, where: str) -> None:
    job = await queue.submit()
    if where == "arriving":
        await queue.desk.take(LIST, 1)
    elif where != "list":
        _, start = await queue.accept()
        if where == "retrying":
            await queue.desk.retry(job, start.attempt, 60, AWAY)
        elif where == "returned":
            await queue.lease.leave()
    states = {"running": JobState.RUNNING, "retrying": JobState.RETRYING}
    again = await queue.jobs.submit(WORK, Ask())
    assert (again.job_id, again.joined, again.state) == (job, True, states.get(where, JobState.QUEUED))


@pytest.mark.parametrize("key", [None, "again"], ids=["equal", "idempotency key"])
async def test_nobody_joins_a_job_whose_list_was_deleted(queue: HandDriven, key: str | None) -> None:
    """It would wait for ever; while the job waits where it should, or is young, it is joined."""
    first = await queue.jobs.submit(WORK, Ask(), idempotency_key=key)
    for hours in (0, 1):
        await queue.redis.hincrby(keys.job(first.job_id), "submitted_at", -3_600_000 * hours)  # type: ignore[misc]
        assert (await queue.jobs.submit(WORK, Ask(), idempotency_key=key)).job_id == first.job_id
    await queue.redis.delete(LIST)
    second = await queue.jobs.submit(WORK, Ask(), idempotency_key=key)
    assert second.job_id != first.job_id
    assert await queue.waiting() == [second.job_id]


async def test_other_requests_are_jobs_of_their_own(queue: HandDriven) -> None:
    """Other parameters, another kind, or a request that wants no company."""
    first = await queue.submit(1)
    others = [
        await queue.submit(2),
        (await queue.jobs.submit(OTHER, Ask(n=1))).job_id,
        await queue.submit(1, share=False),
    ]
    assert len({first, *others}) == 4
    assert await queue.waiting() == [first, *others]
    assert await queue.submit(1) == first


async def test_nobody_joins_a_job_that_is_being_cancelled(queue: HandDriven) -> None:
    """Who asks after the cancel wants an answer; the job that is cancelled will give none."""
    first = await queue.submit()
    _, start = await queue.accept()
    assert (await queue.jobs.cancel(first)).state is JobState.RUNNING
    second = await queue.jobs.submit(WORK, Ask())
    assert not second.joined
    assert await queue.desk.finish(first, start.attempt, JobState.CANCELLED)
    assert (await queue.jobs.submit(WORK, Ask())).job_id == second.job_id


async def test_an_equal_request_after_the_end_is_a_new_job(queue: HandDriven) -> None:
    job = await queue.submit()
    _, start = await queue.accept()
    await queue.desk.finish(job, start.attempt, JobState.DONE, result=b"{}")
    again = await queue.jobs.submit(WORK, Ask())
    assert again.job_id != job
    assert not await queue.desk.finish(job, 2, JobState.DONE, result=b"late")
    assert (await queue.jobs.cancel(job)).state is JobState.DONE
    assert (await queue.jobs.get(again.job_id)).state is JobState.QUEUED


async def test_an_idempotency_key_stands_for_its_first_request_even_after_its_end(queue: HandDriven) -> None:
    job = await queue.submit(1, idempotency_key="k", client="me")
    _, start = await queue.accept()
    await queue.desk.finish(job, start.attempt, JobState.DONE, result=b"{}")
    again = await queue.jobs.submit(WORK, Ask(n=1), idempotency_key="k", client="me")
    assert (again.job_id, again.joined, again.state) == (job, True, JobState.DONE)
    assert await queue.submit(1, idempotency_key="k", client="you") != job
    assert 0 < await queue.redis.ttl(keys.idempotency("me", "k")) <= SETTINGS.idempotency_ttl


async def test_an_idempotency_key_for_something_else_is_a_conflict(queue: HandDriven) -> None:
    await queue.submit(1, idempotency_key="k")
    for kind, n in ((WORK, 2), (OTHER, 1)):
        with pytest.raises(IdempotencyConflict):
            await queue.jobs.submit(kind, Ask(n=n), idempotency_key="k")
    assert len(await queue.waiting()) == 1


async def test_an_idempotency_key_given_when_joining_stands_for_the_joined_job(queue: HandDriven) -> None:
    job = await queue.submit(1)
    assert await queue.submit(1, idempotency_key="k") == job
    assert await queue.submit(1, idempotency_key="k", share=False) == job


async def test_a_submission_repeated_after_a_lost_reply_is_one_job(queue: HandDriven) -> None:
    for share in (True, False):
        told = [await queue.jobs.submit(WORK, Ask(), job_id=f"mine-{share}", share=share) for _ in range(2)]
        assert [t.job_id for t in told] == [f"mine-{share}"] * 2
        assert not any(t.joined for t in told)
    assert await queue.waiting() == ["mine-True", "mine-False"]


async def test_cancelling_a_queued_job_takes_it_from_its_list_in_one_step(queue: HandDriven) -> None:
    """Between two moves of a client that watches all along it is waiting, or cancelled and gone."""
    jobs = [await queue.submit(n) for n in range(3)]
    assert (await queue.jobs.cancel(jobs[1])).state is JobState.CANCELLED
    assert await queue.waiting() == [jobs[0], jobs[2]]
    assert (await queue.jobs.cancel(jobs[1])).state is JobState.CANCELLED
    pipe = queue.redis.pipeline(transaction=True)
    seen = set()
    cancelling = asyncio.ensure_future(queue.jobs.cancel(jobs[0]))
    while not cancelling.done():
        pipe.llen(LIST)
        pipe.hget(keys.job(jobs[0]), "state")
        seen.add(tuple(await pipe.execute()))
    assert seen <= {(2, b"queued"), (1, b"cancelled")}


async def test_cancelling_a_retry_takes_it_from_the_desk_at_once(queue: HandDriven) -> None:
    job = await queue.submit()
    _, start = await queue.accept()
    await queue.desk.retry(job, start.attempt, 60, AWAY)
    assert (await queue.jobs.cancel(job)).state is JobState.CANCELLED
    assert (await queue.desk.start(job)).verdict == "gone"
    assert await queue.redis.zcard(keys.desk(queue.worker)) == 0


async def test_cancelling_a_running_job_tells_its_worker_by_the_next_beat(queue: HandDriven) -> None:
    job = await queue.submit()
    _, start = await queue.accept()
    async with queue.redis.pubsub() as orders:
        await orders.subscribe(keys.heartbeat(queue.worker))
        assert (await orders.get_message(timeout=5) or {})["type"] == "subscribe"
        assert (await queue.jobs.cancel(job)).state is JobState.RUNNING
        assert (await orders.get_message(timeout=5) or {})["type"] == "message"
    assert (await queue.lease.beat({})).cancels == {job}
    await queue.desk.finish(job, start.attempt, JobState.CANCELLED)
    assert (await queue.lease.beat({})).cancels == frozenset()


async def test_a_job_cancelled_on_its_way_to_a_desk_never_runs(queue: HandDriven) -> None:
    job = await queue.submit()
    await queue.desk.take(LIST, 1)
    await queue.jobs.cancel(job)
    assert await queue.lease.leave() == 1
    await queue.lease.beat({})
    _, start = await queue.accept()
    assert start.verdict == "cancelled"
    assert (await queue.jobs.get(job)).state is JobState.CANCELLED


async def test_listing_is_newest_first_and_filtered_by_kind_state_and_client(queue: HandDriven) -> None:
    jobs = [
        (await queue.jobs.submit((WORK, OTHER)[n % 2], Ask(n=n), client=("me", "you")[n // 4])).job_id for n in range(8)
    ]
    _, start = await queue.accept()
    await queue.desk.finish(jobs[0], start.attempt, JobState.DONE, result=b"{}")

    async def listed(**filters: object) -> list[str]:
        return [record.job_id for record in await queue.jobs.recent(**filters)]  # type: ignore[arg-type]

    assert sorted(await listed()) == sorted(jobs)
    assert set(await listed(kind="other")) == {jobs[n] for n in (1, 3, 5, 7)}
    assert await listed(state=JobState.DONE) == [jobs[0]]
    assert set(await listed(client="you", kind="work")) == {jobs[4], jobs[6]}
    assert await listed(kind="nobody") == []
    times = [record.timings.submitted_at for record in await queue.jobs.recent(limit=3)]
    assert len(times) == 3
    assert times == sorted(times, reverse=True)  # type: ignore[type-var]


async def test_a_listing_finds_what_lies_behind_many_others(queue: HandDriven) -> None:
    """More jobs than one page, and the records of some have expired."""
    rare = (await queue.jobs.submit(OTHER, Ask())).job_id
    await queue.redis.zadd(keys.RECENT, {rare: 0})
    many = [await queue.submit(n) for n in range(450)]
    await queue.redis.delete(*map(keys.job, many[:100]))
    assert [record.job_id for record in await queue.jobs.recent(kind="other")] == [rare]
    assert len(await queue.jobs.recent(limit=1000)) == 351


async def test_the_index_of_recent_jobs_is_bounded(queue: HandDriven) -> None:
    few = JobClient(queue.redis, SETTINGS.model_copy(update={"recent": 10}))
    for n in range(30):
        await few.submit(WORK, Ask(n=n))
    assert await queue.redis.zcard(keys.RECENT) == 10
    assert len(await queue.waiting()) == 30


async def test_an_unknown_job_is_said_to_be_unknown(queue: HandDriven) -> None:
    for call in (queue.jobs.get, queue.jobs.cancel):
        with pytest.raises(UnknownJob):
            await call("nobody")
    with pytest.raises(UnknownJob):
        await queue.jobs.watch("nobody", "front:1")


async def test_a_redis_that_is_away_is_said_to_be_away() -> None:
    port = free_port()
    with socket.socket() as nobody:  # bound and not listening: connections are refused
        nobody.bind(("127.0.0.1", port))
        async with Redis.from_url(f"redis://127.0.0.1:{port}/2") as redis:
            jobs = JobClient(redis, SETTINGS)
            for call in (
                jobs.submit(WORK, Ask()),
                jobs.get("one"),
                jobs.cancel("one"),
                jobs.recent(),
                jobs.depths(LIST),
            ):
                with pytest.raises(StoreUnavailable):
                    await call
