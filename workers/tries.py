"""Tries of a strategy, counted over all jobs of a client: who looks again is charged for it."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import orjson

from crypto_mcp.backtest.luck.verdict import Earlier
from crypto_mcp.stores.trial_ledger import TestedData, Tried

if TYPE_CHECKING:
    from crypto_mcp.models.backtest import BacktestParams
    from crypto_mcp.models.strategy import Strategy
    from workers.job import Job


async def earlier_tries(
    job: Job, strategy: Strategy, asked: BacktestParams, params: BacktestParams, made: Earlier
) -> Earlier:
    """Counts the tries this job made, and gives those its client had made on the same bars by other jobs.

    Args:
        strategy: what was tried.
        asked: how it was asked for.
        params: the same with the range of time that was tested.
        made: this job's tries.

    Raises:
        StoreUnavailable: MongoDB does not answer.
    """
    assert params.start is not None
    assert params.end is not None
    data = TestedData(job.client, params.symbols, params.timeframe, params.start, params.end)
    tried = Tried(made.trials, made.sharpe_sum, made.sharpe_squares)
    found = await job.services.mongo.trials.charge(data, _digest(strategy, asked), tried)
    return Earlier(found.trials, found.sharpe_sum, found.sharpe_squares)


def _digest(strategy: Strategy, asked: BacktestParams) -> str:
    """Equal for jobs that try the same: what they answer besides, and how the best is chosen of a grid, is left out."""
    search = asked.search
    chooses = {"objective"} if search is not None and search.method != "bayesian" else set()
    tried = {
        "strategy": strategy.model_dump(mode="json", exclude={"name", "summary", "parameters"}),
        "parameters": strategy.parameters | asked.parameters,
        "search": None if search is None else search.model_dump(mode="json", exclude=chooses),
        "range": (asked.start, asked.end),
        "rules": asked.model_dump(mode="json", include={"capital", "market", "leverage", "costs"}),
    }
    return blake2b(orjson.dumps(tried, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
