"""A search as a job: in parts that all workers share, whatever becomes of the workers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.jobs.connection import connect
from crypto_mcp.models.answers import JobState
from crypto_mcp.models.backtest import BacktestParams, BacktestResult
from tests.chaos.search import killing_workers, search_params
from tests.workers.rig import until

if TYPE_CHECKING:
    from crypto_mcp.settings import Settings
    from tests.risk.conftest import Ask

_ASKED: dict[str, Any] = {
    "symbols": "BTC",
    "strategy": "ema_cross",
    "search": {
        "parameters": [
            {"name": "fast", "low": 5, "high": 12, "step": 1},
            {"name": "slow", "low": 20, "high": 50, "step": 10},
        ],
        "ordered": [["fast", "slow"]],
    },
}


async def test_a_search_reports_the_best_and_judges_it_by_all_tries(ask: Ask) -> None:
    """The result is that of the best parameters; the verdict charges every try; the walk-forward trades unseen bars."""
    result = await ask("historical_backtest", **_ASKED, walk_forward={"windows": 4})
    assert result["search"]["tried"] == result["verdict"]["trials"] == 32
    best = result["search"]["best"]
    assert result["parameters"] == best["parameters"] | {"stop": 3}
    assert result["statistics"]["total_return"] == pytest.approx(best["total_return"])
    assert len(result["walk_forward"]["windows"]) == 4
    assert result["monte_carlo"]["scenarios"]
    assert len(str(result)) < 16_000


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"parameters": [{"name": "fats", "low": 1, "high": 2}]}, "fast"),
        ({"parameters": [{"name": "slow", "low": 5, "high": 100_000}]}, "length"),
        ({"parameters": [{"name": "stop", "low": 50, "high": 150}]}, "never fires"),
        (
            {"parameters": [{"name": n, "low": 1, "high": 1000, "step": 1} for n in ("fast", "slow", "stop")]},
            "trials of one",
        ),
    ],
)
async def test_a_search_that_cannot_be_is_refused_before_anything_is_queued(
    ask: Ask, search: dict[str, Any], said: str
) -> None:
    """Unknown parameters, values that no condition takes, stops that never fire, a grid of 10^9."""
    problem = await ask("historical_backtest", **(_ASKED | {"search": search}))
    assert problem["code"] in ("bad_strategy", "bad_condition", "invalid_request"), problem
    assert said in str(problem), problem


async def test_a_search_is_the_same_when_its_workers_are_killed(stores: Settings) -> None:
    """Parts are shared; after kills of every worker in turn the job ends with what one undisturbed worker finds."""
    async with AsyncExitStack() as stack:
        redis = connect(stores.redis.queue_url, stores.redis)
        stack.push_async_callback(redis.aclose)
        await redis.flushdb()
        jobs = JobClient(redis, stores.queue)
        params = search_params(trials=1200, days=120)
        results = [await _result(jobs, params, stores, kill_every) for kill_every in (None, 2.0)]
        undisturbed, disturbed = (result.model_dump(exclude={"timestamp", "data"}) for result in results)
        assert undisturbed == disturbed


async def _result(
    jobs: JobClient, params: dict[str, Any], stores: Settings, kill_every: float | None
) -> BacktestResult:
    async with killing_workers(stores, count=2, kill_every=kill_every) as kills:
        asked = BacktestParams.model_validate(params)
        told = await jobs.submit(CATALOGUE["historical_backtest"], asked, share=False)
        await until(lambda: _ended(jobs, told.job_id), 120)
        record, answer = await jobs.get_with_answer(told.job_id)
        assert record.state is JobState.DONE, record.error
        assert (kills() > 0) is (kill_every is not None)
    assert answer is not None
    return BacktestResult.model_validate_json(answer)


async def test_cancelling_a_search_ends_its_parts(stores: Settings) -> None:
    """Parts that wait or run end soon after the job they belong to."""
    redis = connect(stores.redis.queue_url, stores.redis)
    jobs = JobClient(redis, stores.queue)
    async with killing_workers(stores, count=1, kill_every=None):
        params = BacktestParams.model_validate(search_params(trials=5000, days=360))
        told = await jobs.submit(CATALOGUE["historical_backtest"], params, share=False)
        part = CATALOGUE["backtest_part"].name

        async def parts(*states: JobState) -> int:
            recent = await jobs.recent(kind=part)
            mine = [record for record in recent if record.job_id.startswith(told.job_id)]
            return sum(not states or record.state in states for record in mine)

        await until(lambda: _any(parts(JobState.RUNNING)), 60)
        await jobs.cancel(told.job_id)
        assert (await jobs.get(told.job_id)).state in (JobState.CANCELLED, JobState.RUNNING)
        await until(lambda: _none(parts(JobState.RUNNING, JobState.QUEUED, JobState.RETRYING)), 60)
        assert (await jobs.get(told.job_id)).state is JobState.CANCELLED
    await redis.aclose()


async def _ended(jobs: JobClient, job_id: str) -> bool:
    await asyncio.sleep(0.1)
    return (await jobs.get(job_id)).state.finished


async def _any(counted: Any) -> bool:
    return bool(await counted)


async def _none(counted: Any) -> bool:
    return not await counted
