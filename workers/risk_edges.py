"""What is known of the trades to come: stated by the caller, counted in a backtest, or in a portfolio's ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.errors import InvalidRequest, UnknownJob
from crypto_mcp.models.backtest import BacktestResult
from crypto_mcp.risk.assessment import Edge
from crypto_mcp.risk.ledger import results

if TYPE_CHECKING:
    from crypto_mcp.models.risk import RiskParams
    from workers.job import Job

_LEAST_RESULTS = 20


class NoEdge(InvalidRequest):
    """Nothing is known of the trades to come, or too little."""

    code = "no_edge"


async def edge_of(job: Job, params: RiskParams) -> Edge | None:
    """The first that there is: stated, of the backtest named, of the portfolio's closed trades (twenty at least)."""
    if params.win_rate is not None:
        return _stated(params, params.win_rate)
    if params.backtest_job_id is not None:
        return await _of_backtest(job, params.backtest_job_id)
    return None if params.portfolio_id is None else await _of_ledger(job, params.portfolio_id)


def _stated(params: RiskParams, win_rate: float) -> Edge:
    """A payoff not given is that of the target, costs included."""
    payoff = params.payoff
    if payoff is None:
        if params.target is None:
            raise NoEdge("win_rate without a payoff", hint="Give `payoff`, or a `target` that it follows from.")
        costs = (params.fee_percent + params.slippage_percent) / 100
        entry, stop, target = (float(price) for price in (params.entry, params.stop, params.target))
        payoff = (abs(target - entry) - costs * (entry + target)) / (abs(entry - stop) + costs * (entry + stop))
        if payoff <= 0:
            raise NoEdge("the target does not even pay the costs", hint="Move the target, or give `payoff`.")
    return Edge(win_rate, payoff, params.trades_seen, "given")


async def _of_backtest(job: Job, job_id: str) -> Edge:
    found = await job.services.mongo.result_of_job(CATALOGUE["historical_backtest"], job_id)
    if not isinstance(found, BacktestResult):
        raise UnknownJob(f"there is no backtest {job_id[:64]!r}", hint="Give the job_id of a historical_backtest.")
    counted = found.statistics
    if not counted.win_rate or not counted.payoff or counted.win_rate >= 1:
        raise NoEdge(
            f"backtest {job_id} has no wins or no losses to learn from",
            hint="Give `win_rate` and `payoff`, or another.",
        )
    return Edge(counted.win_rate, counted.payoff, counted.trades, f"backtest {job_id}")


async def _of_ledger(job: Job, portfolio_id: str) -> Edge | None:
    """None of a ledger that has too few closed trades to say anything."""
    await job.services.portfolios.load(job.client, portfolio_id)
    gains = [float(each) for each in results(await job.services.portfolios.entries(job.client, portfolio_id))]
    if len(gains) < _LEAST_RESULTS:
        return None
    return Edge.of_results(tuple(gains), f"{len(gains)} closed trades of portfolio {portfolio_id}")
