"""A search as a job: in parts that all workers share, whatever becomes of the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.jobs.connection import connect
from crypto_mcp.models.answers import JobState
from crypto_mcp.models.backtest import BacktestParams, BacktestResult
from tests.chaos.search import Workers, running_workers, search_params
from tests.workers.rig import FAST, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator

    from crypto_mcp.settings import Settings


@pytest.fixture(scope="module")
def workers(stores: Settings) -> Iterator[Workers]:
    """Two worker processes, whose hearts beat fast."""
    with running_workers(stores.model_copy(update={"queue": FAST}), 2) as running:
        yield running


@pytest.fixture
async def jobs(stores: Settings) -> AsyncIterator[JobClient]:
    redis = connect(stores.redis.queue_url, stores.redis)
    yield JobClient(redis, FAST)
    await redis.aclose()


async def test_a_search_is_the_same_when_a_worker_is_killed(jobs: JobClient, workers: Workers) -> None:
    """Parts are shared; when one of two workers dies amid the work the job ends with what both found undisturbed.

    `make chaos ONLY=search` kills one every few seconds.
    """
    asked = BacktestParams.model_validate(search_params(trials=4000, days=360))
    undisturbed = await _result(jobs, asked)
    disturbed = await _result(jobs, asked, workers)
    assert workers.killed == 1
    own = {"timestamp", "data", "backtest_job_id"}
    assert undisturbed.model_dump(exclude=own) == disturbed.model_dump(exclude=own)


async def _result(jobs: JobClient, asked: BacktestParams, workers: Workers | None = None) -> BacktestResult:
    """A search's result. Of these workers one is killed as soon as a part is begun, which is before the job can end."""
    told = await jobs.submit(CATALOGUE["historical_backtest"], asked, share=False)
    if workers is not None:
        await until(lambda: _is(True, _parts(jobs, told.job_id, JobState.RUNNING, JobState.DONE)), 120)
        workers.kill(replace=False)
    await until(lambda: _finished(jobs, told.job_id), 240)
    record, answer = await jobs.get_with_answer(told.job_id)
    assert record.state is JobState.DONE, record.error
    assert answer is not None
    return BacktestResult.model_validate_json(answer)


async def test_cancelling_a_search_ends_its_parts(jobs: JobClient, workers: Workers) -> None:
    """Parts that wait or run end soon after the job they belong to."""
    params = BacktestParams.model_validate(search_params(trials=20_000, days=360))
    told = await jobs.submit(CATALOGUE["historical_backtest"], params, share=False)
    await until(lambda: _is(True, _parts(jobs, told.job_id, JobState.RUNNING)), 120)
    await jobs.cancel(told.job_id)
    await until(lambda: _finished(jobs, told.job_id), 60)
    assert (await jobs.get(told.job_id)).state is JobState.CANCELLED
    unfinished = (JobState.RUNNING, JobState.QUEUED, JobState.RETRYING)
    await until(lambda: _is(False, _parts(jobs, told.job_id, *unfinished)), 60)


async def _parts(jobs: JobClient, parent: str, *states: JobState) -> bool:
    recent = await jobs.recent(kind=CATALOGUE["backtest_part"].name)
    return any(record.job_id.startswith(parent) and record.state in states for record in recent)


async def _finished(jobs: JobClient, job_id: str) -> bool:
    return (await jobs.get(job_id)).state.finished


async def _is(expected: Any, found: Awaitable[Any]) -> bool:
    return bool(await found == expected)
