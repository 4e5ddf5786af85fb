"""Handlers of `backtest:queue`."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.backtest.binding import BadStrategy, bound, rules_of
from crypto_mcp.backtest.funding import PaidFunding
from crypto_mcp.backtest.luck.verdict import tally
from crypto_mcp.backtest.parts import PartOf, digest, joined, parts_of
from crypto_mcp.backtest.rules import INSTRUMENT
from crypto_mcp.backtest.runner import check_bounds
from crypto_mcp.backtest.strategies import STRATEGIES
from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.conditions import lookback, parse
from crypto_mcp.errors import NotEnoughData, SourceUnavailable, UnknownSymbol
from crypto_mcp.models.backtest import BacktestParams, BacktestPart, BacktestPartResult, BacktestResult
from crypto_mcp.models.strategy import Strategy
from workers.backtest_runs import Found, TestData, Tested, bounds_of, charged, outcome_of, part_worked, warming
from workers.children import run_in_child
from workers.parts import PartFailed, gathered, while_wanted
from workers.tries import earlier_tries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crypto_mcp.backtest.rules import Records
    from workers.job import Job

_YEAR = timedelta(days=365)
_LEAST_BARS = 50
_SHORT_WORK = 200_000
"""Bars that are worked in a thread: a child process would cost more than it saves."""


async def historical_backtest(job: Job, params: BacktestParams) -> BacktestResult:
    """Checks the strategy, fetches the bars, searches where that is asked for, and runs it over them."""
    strategy = chosen(params)
    needed = check(strategy, params)
    await job.progress(0.01, f"fetching bars of {', '.join(params.symbols)}")
    asked, params = params, await dated(job, params)
    data = await fetched(job, params, needed)
    if params.search is None:
        run = await _worked(data.bars, partial(outcome_of, data, strategy, params))
        earlier = await earlier_tries(job, strategy, asked, params, tally(run.judged))
        result = charged(run, earlier) if earlier.trials else run.result
    else:
        found = await searched(job, strategy, params, data)
        earlier = await earlier_tries(job, strategy, asked, params, tally(found.table))
        result = (await run_in_child(outcome_of, data, strategy, params, found, earlier)).result
    return result.model_copy(update={"backtest_job_id": job.id})


async def backtest_part(job: Job, params: BacktestPart) -> BacktestPartResult:
    """Some trials of a search, or some windows of its walk-forward."""
    asked = params.params
    strategy = chosen(asked)
    data = await fetched(job, asked, check(strategy, asked))
    if digest(data.candles, data.instruments, data.funding) != params.data:
        raise PartFailed("the market data is not that that the search began with", hint="Ask again.")
    part = PartOf(params.what, params.first, params.last)
    work = run_in_child(part_worked, data, strategy, asked, part)
    return BacktestPartResult(packed=await while_wanted(job, params.parent, work))


async def dated(job: Job, params: BacktestParams) -> BacktestParams:
    """The parameters with their range of time written out: however often the job is run, it means the same bars."""
    end, step = params.end, params.timeframe.milliseconds
    if end is None:
        asked_at = (await job.services.jobs.get(job.id)).timings.submitted_at or datetime.now(UTC)
        end = datetime.fromtimestamp(int(asked_at.timestamp() * 1000) // step * step / 1000, UTC)
    return params.model_copy(update={"end": end, "start": params.start or end - _YEAR})


async def searched(job: Job, strategy: Strategy, params: BacktestParams, data: TestData) -> Found:
    """All trials and windows, worked by all workers. `Resting` until they are there."""
    assert params.search is not None
    parts = parts_of(params.search, params.walk_forward, data.traded)
    if len(parts) == 1:
        return Found(*joined(parts, [b64decode(await run_in_child(part_worked, data, strategy, params, parts[0]))]))
    seen = digest(data.candles, data.instruments, data.funding)
    asked = [
        BacktestPart(parent=job.id, params=params, data=seen, what=part.what, first=part.first, last=part.last)
        for part in parts
    ]
    answers = await gathered(job, CATALOGUE["backtest_part"], asked, f"{params.search.budget:,} trials")
    packed = [b64decode(BacktestPartResult.model_validate_json(answer).packed) for answer in answers]
    return Found(*await asyncio.to_thread(joined, parts, packed))


def chosen(params: BacktestParams) -> Strategy:
    """The strategy asked for. BadStrategy with the nearest names where there is none."""
    if isinstance(params.strategy, Strategy):
        return params.strategy
    if params.strategy not in STRATEGIES:
        near = get_close_matches(params.strategy, STRATEGIES, n=3)
        known = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(STRATEGIES)}."
        raise BadStrategy(f"there is no strategy {params.strategy[:60]!r}", hint=known)
    return STRATEGIES[params.strategy]


def check(strategy: Strategy, params: BacktestParams) -> int:
    """Reads everything in the strategy, before any bar is fetched; how many bars its conditions look back at.

    Raises:
        ConditionError: a condition cannot be read.
        BadStrategy: numbers contradict each other, or what the market allows.
    """
    if params.market == "spot" and strategy.short_entry is not None:
        raise BadStrategy("spot cannot be sold short", hint="Give market perpetual.")
    filled = bound(strategy, params.parameters)
    rules_of(filled, params)
    if params.search is not None:
        bounds = bounds_of(params.search)
        check_bounds(strategy, params, bounds)
        widest = params.parameters | {name: high for name, (_, high) in bounds.items()}
        filled = bound(strategy, widest)
    return max(lookback(parse(text), params.timeframe) for text in filled.conditions.values())


async def fetched(job: Job, params: BacktestParams, needed: int) -> TestData:
    """Bars of the range and the history before it, and the rules of the symbols.

    Raises:
        UnknownSymbol, SourceUnavailable: as the exchange says.
        NotEnoughData: a symbol has too few bars in the range.
    """
    step = timedelta(milliseconds=params.timeframe.milliseconds)
    assert params.start is not None
    assert params.end is not None
    start, end = params.start, params.end
    between = job.services.candles.between
    reads = (between(symbol, params.timeframe, start - needed * step, end) for symbol in params.symbols)
    markets = dict(zip(params.symbols, await asyncio.gather(*reads), strict=True))
    begin = int(start.timestamp() * 1000)
    for symbol, market in markets.items():
        bars = int((market.candles.open_time >= begin).sum())
        if bars < _LEAST_BARS:
            raise NotEnoughData(
                f"{symbol} has {bars} closed bars of {params.timeframe} from {start:%Y-%m-%d %H:%M} to "
                f"{end:%Y-%m-%d %H:%M}, {_LEAST_BARS} are needed",
                hint="Widen the range, or take a shorter timeframe.",
            )
    instruments, funding = await asyncio.gather(instruments_of(job, params.symbols), funding_of(job, params))
    return TestData(markets, instruments, begin, needed, funding)


async def funding_of(job: Job, params: BacktestParams) -> dict[str, PaidFunding]:
    """What was paid of the symbols' perpetuals, where that is asked for and the exchange tells it."""
    if params.market != "perpetual" or params.costs.funding is not None:
        return {}
    assert params.start is not None
    assert params.end is not None
    start, end = (int(at.timestamp() * 1000) for at in (params.start, params.end))
    found = await asyncio.gather(*(_paid(job, symbol, start, end) for symbol in params.symbols))
    return {symbol: paid for symbol, paid in zip(params.symbols, found, strict=True) if paid is not None}


async def _paid(job: Job, symbol: str, start: int, end: int) -> PaidFunding | None:
    """Between two times in milliseconds; None where the exchange tells nothing."""
    try:
        rates = await job.services.futures.funding_between(symbol, start, end)
    except (UnknownSymbol, SourceUnavailable):
        return None
    times = np.array([int(rate.at.timestamp() * 1000) for rate in rates], dtype=np.int64)
    return PaidFunding(times, np.array([rate.rate for rate in rates]))


async def instruments_of(job: Job, symbols: Sequence[str]) -> Records:
    """A row of `INSTRUMENT` for each symbol; nothing demanded where the exchange is away and nobody knows."""
    try:
        rules = await asyncio.gather(*(job.services.rules.of(symbol) for symbol in symbols))
    except SourceUnavailable:
        return np.zeros(len(symbols), INSTRUMENT)
    rows = [(r.tick_size, r.step_size, r.min_quantity, r.min_notional) for r in rules]
    return np.array([tuple(map(float, row)) for row in rows], INSTRUMENT)


async def _worked(bars: int, work: partial[Tested]) -> Tested:
    """Short work in a thread, of which the compiled part lets others run; long work in a child that can be killed."""
    return await (asyncio.to_thread(work) if bars <= _SHORT_WORK else run_in_child(work))


def warm_up() -> None:
    """Has the kernels compiled, or read from the disk where they were kept, before the first job comes."""
    for _ in warming():
        pass
