"""Handlers of `draw_backtest` and `report_backtest`: the very run of a result played again, which takes milliseconds.

A result keeps the few trades that are read, not the value of every bar.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.backtest.binding import bound
from crypto_mcp.backtest.prepare import prepare
from crypto_mcp.backtest.report import trade
from crypto_mcp.backtest.run import simulate
from crypto_mcp.backtest.statistics.benchmark import buy_and_hold
from crypto_mcp.backtest.statistics.drawdowns import depths
from crypto_mcp.backtest.statistics.summary import drawdown_table
from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.charts.backtest_chart import Course
from crypto_mcp.charts.backtest_chart import draw_backtest as drawn
from crypto_mcp.charts.backtest_page import page
from crypto_mcp.charts.backtest_tables import equity_csv, trades_csv
from crypto_mcp.errors import CryptoMcpError, UnknownJob
from crypto_mcp.models.backtest import BacktestParams, BacktestPicture, BacktestReport, BacktestResult
from workers.backtest import check, fetched
from workers.backtest_runs import months_of

if TYPE_CHECKING:
    from crypto_mcp.backtest.prepare import Prepared
    from crypto_mcp.backtest.run import Run
    from crypto_mcp.models.backtest import BacktestPictureParams, BacktestReportParams, Trade
    from workers.backtest_runs import TestData
    from workers.job import Job

_CENT = 0.02


class BarsChanged(CryptoMcpError):
    """The bars are not those that the result was made of."""

    code = "bars_changed"
    retryable = False


async def draw_backtest(job: Job, params: BacktestPictureParams) -> BacktestPicture:
    """The run of a result, drawn."""
    result = await _result(job, params.job_id)
    course, _ = await _played(job, result)
    png = await asyncio.to_thread(drawn, result, course, theme=params.theme)
    return BacktestPicture(
        data=result.data[0], theme=params.theme, drawn_at=datetime.now(UTC), png=b64encode(png).decode()
    )


async def report_backtest(job: Job, params: BacktestReportParams) -> BacktestReport:
    """The run of a result as a page, or as a table of its trades or bars."""
    result = await _result(job, params.job_id)
    course, trades = await _played(job, result)
    name = f"{result.strategy.name}-{result.data[0].symbol}-{result.data[0].timeframe}".replace("/", "-")
    if params.form == "html":
        text = await asyncio.to_thread(page, result, course, trades)
        return BacktestReport(name=f"{name}.html", media_type="text/html; charset=utf-8", text=text)
    text = trades_csv(trades) if params.form == "trades" else equity_csv(course)
    return BacktestReport(name=f"{name}-{params.form}.csv", media_type="text/csv; charset=utf-8", text=text)


async def _result(job: Job, job_id: str) -> BacktestResult:
    found = await job.services.mongo.result_of_job(CATALOGUE["historical_backtest"], job_id)
    if not isinstance(found, BacktestResult):
        raise UnknownJob(f"there is no backtest {job_id!r}", hint="Give the job_id of a historical_backtest.")
    return found


async def _played(job: Job, result: BacktestResult) -> tuple[Course, list[Trade]]:
    rules = result.rules
    params = BacktestParams(
        symbols=[data.symbol for data in result.data],
        timeframe=result.data[0].timeframe,
        strategy=result.strategy,
        parameters=result.parameters,
        **{name: getattr(rules, name) for name in type(rules).model_fields},
    )
    await job.progress(0.1, "fetching the bars again")
    data = await fetched(job, params, check(result.strategy, params))
    course, trades = await asyncio.to_thread(_course, data, params, result)
    if abs(course.equity[-1] - result.summary.final_equity) > _CENT:
        raise BarsChanged("the bars have changed since the test", hint="Run historical_backtest again.")
    return course, trades


def _course(data: TestData, params: BacktestParams, result: BacktestResult) -> tuple[Course, list[Trade]]:
    prepared = prepare(
        data.candles, result.strategy, params, instruments=data.instruments, begin=data.begin, funding=data.funding
    )
    run = simulate(prepared)
    filled = bound(result.strategy, params.parameters)
    return course_of(prepared, run), [trade(prepared, row, filled) for row in run.trades]


def course_of(prepared: Prepared, run: Run) -> Course:
    """What the pictures show of a run; of several symbols the price of the one traded most."""
    capital, market = float(prepared.rules["capital"][0]), prepared.market
    most = int(np.bincount(run.trades["symbol"], minlength=len(prepared.symbols)).argmax())
    rows = run.trades[run.trades["symbol"] == most]
    held = buy_and_hold(market.open, market.close, market.volume > 0)
    return Course(
        times=prepared.open_time + prepared.step,
        equity=run.equity,
        held=capital * held,
        drawdown=depths(run.equity, capital),
        symbol=prepared.symbols[most],
        price=market.close[most],
        entries=rows["entry_bar"].copy(),
        exits=rows["exit_bar"].copy(),
        entry_prices=rows["entry_price"].copy(),
        exit_prices=rows["exit_price"].copy(),
        gains=rows["pnl"].copy(),
        months=months_of(run, prepared),
        drawdowns=drawdown_table(run, prepared),
    )
