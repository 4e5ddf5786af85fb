"""The eight invariants of docs/queue.md, each with real worker processes."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from crypto_mcp.jobs import keys
from crypto_mcp.jobs.connection import connect
from crypto_mcp.jobs.leases import return_orphans
from crypto_mcp.jobs.scripting import Scripts
from crypto_mcp.jobs.waiting import Watcher
from crypto_mcp.local.redis_server import RedisServer
from crypto_mcp.models.answers import JobState
from tests.workers.kinds import CACHED, FLAKY, KILLING, LIST, QUICK, SLOW, Ask
from tests.workers.rig import FAST, Rig, lines, noted, until


async def test_invariant_1_an_unfinished_job_is_in_exactly_one_place(rig: Rig, tmp_path: Path) -> None:
    """On its list, then on a desk (also between attempts), on the list again after a crash, in the end nowhere."""
    job = await rig.submit(SLOW, seconds=1.0, file=str(tmp_path / "notes"))
    assert await rig.places(job) == [LIST]
    first = await rig.worker()
    await rig.reached(job, JobState.RUNNING)
    assert await rig.places(job) == [keys.desk(first.name)]
    first.kill()
    assert await rig.places(job) == [keys.desk(first.name)]
    await rig.worker()
    seen: set[int] = set()

    async def over() -> bool:
        seen.add(len(await rig.places(job)))
        return (await rig.jobs.get(job)).state.finished

    await until(over)
    assert seen <= {0, 1}
    assert await rig.places(job) == []
    retrying = await rig.submit(FLAKY, times=1)
    await rig.reached(retrying, JobState.RETRYING)
    assert len(await rig.places(retrying)) == 1
    await rig.ended(retrying, JobState.DONE)


async def test_invariant_2_a_worker_takes_only_what_it_has_room_for(rig: Rig) -> None:
    """With four places and ten jobs, six wait on the list, where another worker finds them."""
    first = await rig.worker(max_jobs=4)
    jobs = [await rig.submit(SLOW, seconds=60, n=n) for n in range(10)]
    await until(lambda: _size(rig, first.name, 4))
    assert await rig.jobs.depths(LIST) == {LIST: 6}
    second = await rig.worker(max_jobs=4)
    await until(lambda: _size(rig, second.name, 4))
    assert await rig.jobs.depths(LIST) == {LIST: 2}
    for job in jobs:
        await rig.jobs.cancel(job)
    for job in jobs:
        await rig.ended(job, JobState.CANCELLED)


async def _size(rig: Rig, worker: str, size: int) -> bool:
    return bool(await rig.redis.zcard(keys.desk(worker)) == size)


async def test_invariant_3_a_dead_workers_jobs_go_back_to_the_right_end(rig: Rig, tmp_path: Path) -> None:
    """Whatever their timeout, long before it; oldest next; attempts kept. The list's later jobs come after them."""
    notes = tmp_path / "notes"
    first = await rig.worker(max_jobs=2)
    held = [await rig.submit(SLOW, seconds=30 if n < 2 else 0, n=n, file=str(notes)) for n in range(2)]
    for job in held:
        await rig.reached(job, JobState.RUNNING)
    later = await rig.submit(QUICK, file=str(notes))
    first.kill()
    scripts = Scripts(rig.redis)

    async def returned() -> bool:
        return await return_orphans(rig.redis, scripts, FAST) == {first.name: 2}

    async def begun_again() -> bool:
        return len(lines(notes)) == 3

    await until(returned)
    second = await rig.worker(max_jobs=1)
    await until(begun_again)  # the state is told before the handler writes its line
    assert lines(notes)[2].startswith(f"{held[0]} 2 ")
    assert (await rig.jobs.get(held[0])).worker == second.name
    assert (await rig.jobs.get(held[1])).state is JobState.QUEUED
    await rig.jobs.cancel(held[0])
    await rig.ended(held[0], JobState.CANCELLED)
    await rig.reached(held[1], JobState.RUNNING)
    assert (await rig.jobs.get(later)).state is JobState.QUEUED
    await rig.jobs.cancel(held[1])
    await rig.ended(later, JobState.DONE)


async def test_invariant_3_what_had_only_arrived_goes_back_as_well(rig: Rig) -> None:
    dead = "long-gone-1-abc"
    await rig.redis.sadd(keys.WORKERS, dead)  # type: ignore[misc]
    job = await rig.submit(QUICK)
    await rig.redis.lmove(LIST, keys.arriving(dead, LIST), "RIGHT", "LEFT")  # type: ignore[misc]
    await rig.worker()
    assert (await rig.ended(job, JobState.DONE)).attempts == 1


async def test_invariant_4_a_paused_worker_cannot_finish_what_was_taken_from_it(rig: Rig, tmp_path: Path) -> None:
    """Stopped in mid-job for longer than its heartbeat lasts, another finishes; awake again, its own end is refused."""
    notes = tmp_path / "notes"
    paused = await rig.worker()
    job = await rig.submit(CACHED, seconds=1.5, n=7, file=str(notes))
    await until(lambda: noted(notes))
    paused.send(signal.SIGSTOP)
    other = await rig.worker()
    record = await rig.ended(job, JobState.DONE)
    assert (record.attempts, record.worker) == (2, other.name)
    answer = await rig.redis.get(keys.answer(job))
    await rig.cache.set("cached:7", "the other's")
    paused.send(signal.SIGCONT)
    marker = await rig.submit(SLOW, seconds=1.5, n=1)  # runs longer than the late end takes to arrive
    await rig.ended(marker, JobState.DONE)
    assert await rig.jobs.get(job) == record
    assert await rig.redis.get(keys.answer(job)) == answer
    assert await rig.cache.get("cached:7") == b"the other's"
    assert len(lines(notes)) == 2


async def test_invariant_5_a_job_that_kills_its_workers_ends_in_the_dead_list(rig: Rig, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    job = await rig.submit(KILLING, file=str(notes))
    starting = asyncio.create_task(_keep_workers(rig))
    record = await rig.ended(job, JobState.DEAD)
    starting.cancel()
    assert record.error is not None
    assert record.error.code == "worker_crashed"
    assert len(lines(notes)) == KILLING.max_tries
    assert await rig.places(job) == [keys.dead(LIST)]


async def _keep_workers(rig: Rig) -> None:
    """As an orchestrator does: a worker that died is replaced."""
    while True:
        worker = await rig.worker()
        await asyncio.to_thread(worker.process.wait)


async def test_invariant_6_equal_requests_in_flight_share_one_job(rig: Rig, tmp_path: Path) -> None:
    """A hundred at once are one job, executed once; after its end the same request is a new job."""
    notes = tmp_path / "notes"
    asked = Ask(seconds=0.3, file=str(notes))
    await rig.worker()
    submitted = await asyncio.gather(*(rig.jobs.submit(SLOW, asked) for _ in range(100)))
    assert len({s.job_id for s in submitted}) == 1
    assert sum(not s.joined for s in submitted) == 1
    await rig.ended(submitted[0].job_id, JobState.DONE)
    assert len(lines(notes)) == 1
    again = await rig.jobs.submit(SLOW, asked)
    assert again.job_id != submitted[0].job_id
    await rig.ended(again.job_id, JobState.DONE)


async def test_invariant_7_a_waiter_never_misses_an_answer(rig: Rig, redis_server: RedisServer) -> None:
    """Its subscription is killed while it waits, and Redis is restarted while it waits."""
    settings = rig.settings
    await rig.worker()
    async with Watcher(lambda: connect(settings.redis.queue_url, settings.redis)) as watcher:
        for harm in ("none", "connection", "restart"):
            job = await rig.submit(SLOW, seconds=1.0, n=len(harm))
            async with watcher.watching(job) as watch:
                await rig.jobs.watch(job, watcher.channel)
                if harm == "connection":
                    await rig.redis.client_kill_filter(_type="pubsub")
                elif harm == "restart":
                    await redis_server.restart()

                async def done(job: str = job) -> bool:
                    return (await rig.jobs.get(job)).state is JobState.DONE

                while not await done():
                    assert await watch.change(20), f"no word of the end after harm to: {harm}"


async def test_invariant_8_a_crash_after_the_effect_repeats_it_onto_itself(
    rig: Rig, tmp_path: Path, redis_server: RedisServer
) -> None:
    """Redis dies between a job's effect and its end: the effect carries the job's id, the end comes once."""
    notes = tmp_path / "notes"
    await rig.worker()
    jobs = [await rig.submit(SLOW, seconds=0.5, n=n, file=str(notes)) for n in range(4)]
    for job in jobs:
        await rig.reached(job, JobState.RUNNING)
    await redis_server.kill()
    await asyncio.sleep(0.6)  # the handlers end while Redis is away
    await redis_server.start()
    for job in jobs:
        assert (await rig.ended(job, JobState.DONE)).attempts >= 1
    assert {line.split()[0] for line in lines(notes)} == set(jobs)
