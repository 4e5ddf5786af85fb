"""Who is taken for dead, and where what they held goes."""

from __future__ import annotations

from crypto_mcp.jobs import keys, leases
from crypto_mcp.jobs.leases import known_workers, return_orphans
from crypto_mcp.models.answers import JobState
from tests.jobs.hand_driven import LIST, SETTINGS, HandDriven


async def test_a_worker_that_was_forgotten_is_known_again_once_it_beats(queue: HandDriven) -> None:
    """A process stopped for minutes goes on: were it not known again, nobody would return what it takes from now on."""
    await _forget(queue)
    if not await queue.lease.renew({}):
        await queue.lease.beat({})
    assert queue.worker in await known_workers(queue.redis)
    assert await queue.redis.zscore("workers:dead", queue.worker) is None
    job = await queue.submit()
    await queue.accept()
    await queue.redis.delete(keys.heartbeat(queue.worker))
    assert await return_orphans(queue.redis, queue.scripts, SETTINGS) == {queue.worker: 1}
    assert await queue.waiting() == [job]


async def _forget(queue: HandDriven) -> None:
    """What `rescue` does with a worker that held nothing for long."""
    await queue.redis.delete(keys.heartbeat(queue.worker))
    await return_orphans(queue.redis, queue.scripts, SETTINGS)
    await queue.redis.zincrby("workers:dead", -2 * leases._FORGET_AFTER_MS, queue.worker)
    await return_orphans(queue.redis, queue.scripts, SETTINGS)
    assert queue.worker not in await known_workers(queue.redis)


async def test_what_was_held_longest_is_next_in_line(queue: HandDriven) -> None:
    """The desk's jobs before what had only arrived, and both before what still waits."""
    jobs = [await queue.submit(n) for n in range(4)]
    await queue.accept()
    await queue.desk.take(LIST, 2)
    await queue.redis.delete(keys.heartbeat(queue.worker))
    assert await return_orphans(queue.redis, queue.scripts, SETTINGS) == {queue.worker: 3}
    assert await queue.waiting() == jobs


async def test_a_death_keeps_the_attempt_and_an_orderly_leave_does_not(queue: HandDriven) -> None:
    job = await queue.submit()
    await queue.accept()
    await queue.redis.delete(keys.heartbeat(queue.worker))
    await return_orphans(queue.redis, queue.scripts, SETTINGS)
    assert (await queue.jobs.get(job)).attempts == 1
    _, start = await queue.accept()
    assert start.attempt == 2
    assert await queue.lease.leave() == 1
    record = await queue.jobs.get(job)
    assert (record.state, record.attempts) == (JobState.QUEUED, 1)


async def test_nobody_is_taken_for_dead_right_after_redis_came_up(queue: HandDriven) -> None:
    await queue.submit()
    await queue.accept()
    await queue.redis.delete(keys.heartbeat(queue.worker))
    patient = SETTINGS.model_copy(update={"restart_grace": 1e6})
    assert await return_orphans(queue.redis, queue.scripts, patient) == {}
    assert await return_orphans(queue.redis, queue.scripts, SETTINGS, but=queue.worker) == {}
