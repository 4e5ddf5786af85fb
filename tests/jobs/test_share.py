"""A client's share of the queue: its excess waits in a list of its own, and follows as its earlier jobs end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crypto_mcp.errors import QueueFull, TooManyJobs
from crypto_mcp.jobs import keys
from crypto_mcp.jobs.client import Door
from crypto_mcp.models.answers import JobState
from tests.jobs.hand_driven import LIST

if TYPE_CHECKING:
    from tests.jobs.hand_driven import HandDriven

DOOR = Door(share=2, most_held=50, longest=100)


async def finish_next(queue: HandDriven) -> str:
    job, start = await queue.accept()
    await queue.desk.finish(job.id, start.attempt, JobState.DONE, result=b"{}")
    return job.id


async def test_many_jobs_of_one_client_do_not_keep_another_waiting(queue: HandDriven) -> None:
    """The small client's only job is third, behind the share of the large one, and not twenty-first."""
    large = [await queue.submit(n, client="large", door=DOOR) for n in range(20)]
    small = await queue.submit(99, client="small", door=DOOR)
    assert await queue.waiting() == [*large[:2], small]
    assert await queue.jobs.held(LIST) == {LIST: 18}
    assert [await finish_next(queue) for _ in range(21)] == [*large[:2], small, *large[2:]]
    assert await queue.jobs.held(LIST) == {LIST: 0}


async def test_a_client_that_is_alone_may_have_more_than_its_share(queue: HandDriven) -> None:
    """Workers that would stand idle get its next jobs; nobody is kept waiting by that."""
    for n in range(8):
        await queue.submit(n, client="alone", door=DOOR)
        if n < 4:
            await queue.accept()
    assert len(await queue.waiting()) == 1
    assert await queue.jobs.held(LIST) == {LIST: 3}


async def test_whoever_joins_a_job_that_is_held_back_does_not_wait_behind_its_client(queue: HandDriven) -> None:
    large = [await queue.submit(n, client="large", door=DOOR) for n in range(5)]
    assert await queue.submit(4, client="small", door=DOOR) == large[4]
    assert await queue.waiting() == [*large[:2], large[4]]


async def test_a_job_that_is_held_back_can_be_cancelled(queue: HandDriven) -> None:
    jobs = [await queue.submit(n, client="large", door=DOOR) for n in range(4)]
    assert (await queue.jobs.get(jobs[3])).state is JobState.QUEUED
    assert (await queue.jobs.cancel(jobs[3])).state is JobState.CANCELLED
    assert [await finish_next(queue) for _ in range(3)] == jobs[:3]


async def test_what_does_not_fit_is_refused_before_it_is_accepted(queue: HandDriven) -> None:
    """Nothing of it is left behind; a request that is under way already is joined all the same."""
    narrow = Door(share=1, most_held=1, longest=3)
    for n in range(2):
        await queue.submit(n, client="one", door=narrow)
    before = set(await queue.redis.keys())
    with pytest.raises(TooManyJobs) as crowded:
        await queue.submit(2, client="one", idempotency_key="k", door=narrow)
    assert crowded.value.retry_after
    await queue.submit(3, client="two", door=narrow)
    with pytest.raises(QueueFull) as full:
        await queue.submit(4, client="three", door=narrow)
    assert (full.value.http_status, full.value.retryable) == (503, True)
    assert await queue.submit(1, client="one", door=narrow)
    assert len(set(await queue.redis.keys()) - before) == 3  # the job of `two`, its digest and its share


async def test_a_list_that_somebody_deleted_does_not_fill_a_share_for_ever(queue: HandDriven) -> None:
    """Each submission looks at one of the jobs that count, whichever; after fifty none is left that nobody has."""
    lost = {await queue.submit(n, client="large", door=DOOR) for n in range(2)}
    await queue.redis.delete(LIST)
    for job_id in lost:
        await queue.redis.hincrby(keys.job(job_id), "submitted_at", -60_000)  # type: ignore[misc]
    for n in range(2, 50):
        await queue.submit(n, client="large", door=DOOR)
    counted = {job_id.decode() for job_id in await queue.redis.smembers("share:work:large")}  # type: ignore[misc]
    assert len(counted) == 2
    assert not counted & lost
