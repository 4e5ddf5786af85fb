"""Handlers of `backtest:queue`."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.backtest.assumptions import assumptions, warnings
from crypto_mcp.backtest.binding import BadStrategy, bound, rules_of
from crypto_mcp.backtest.lookahead import lookahead_check
from crypto_mcp.backtest.luck.assessment import assess_luck
from crypto_mcp.backtest.luck.found import search_report
from crypto_mcp.backtest.luck.search import run_search
from crypto_mcp.backtest.luck.trials import Span, market_returns
from crypto_mcp.backtest.luck.verdict import JudgedRun, judge
from crypto_mcp.backtest.luck.walk_forward import walk_forward_report
from crypto_mcp.backtest.parts import PartOf, digest, joined, parts_of, span_of, work_part
from crypto_mcp.backtest.prepare import prepare
from crypto_mcp.backtest.report import summary, trade
from crypto_mcp.backtest.rules import INSTRUMENT
from crypto_mcp.backtest.run import simulate
from crypto_mcp.backtest.runner import StrategyRunner, check_bounds
from crypto_mcp.backtest.statistics.returns import bar_returns
from crypto_mcp.backtest.statistics.summary import statistics_of
from crypto_mcp.backtest.strategies import STRATEGIES
from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.conditions import lookback, parse
from crypto_mcp.errors import NotEnoughData
from crypto_mcp.models.backtest import BacktestParams, BacktestPart, BacktestPartResult, BacktestResult
from crypto_mcp.models.luck import Parameter, SearchSpec
from crypto_mcp.models.strategy import Strategy
from crypto_mcp.models.timeframes import Timeframe
from workers.analysis import provenance, sample_candles
from workers.children import run_in_child
from workers.parts import PartFailed, gathered, while_wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from crypto_mcp.backtest.luck.trials import TrialTable
    from crypto_mcp.backtest.luck.walk_forward import WindowRun
    from crypto_mcp.backtest.prepare import Prepared
    from crypto_mcp.backtest.rules import Records
    from crypto_mcp.backtest.run import Run
    from crypto_mcp.market.candles import MarketCandles
    from crypto_mcp.models.candles import Candles
    from crypto_mcp.models.luck import SearchReport, Verdict, WalkForwardReport
    from workers.job import Job

_YEAR, _MS = timedelta(days=365), timedelta(milliseconds=1)
_LEAST_BARS = 50
_LISTED = {"summary": 3, "full": 200}
_SHORT_WORK = 200_000
"""Bars that are worked in a thread: a child process would cost more than it saves."""


async def historical_backtest(job: Job, params: BacktestParams) -> BacktestResult:
    """Checks the strategy, fetches the bars, searches where that is asked for, and runs it over them."""
    strategy = chosen(params)
    needed = check(strategy, params)
    await job.progress(0.01, f"fetching bars of {', '.join(params.symbols)}")
    params = await dated(job, params)
    data = await fetched(job, params, needed)
    if params.search is None:
        return await _worked(data.bars, partial(result_of, data, strategy, params))
    found = await searched(job, strategy, params, data)
    return await run_in_child(result_of, data, strategy, params, found)


async def backtest_part(job: Job, params: BacktestPart) -> BacktestPartResult:
    """Some trials of a search, or some windows of its walk-forward."""
    asked = params.params
    strategy = chosen(asked)
    data = await fetched(job, asked, check(strategy, asked))
    if digest(data.candles) != params.data:
        raise PartFailed("the bars are not those that the search began with", hint="Ask again.")
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
    seen = digest(data.candles)
    asked = [
        BacktestPart(parent=job.id, params=params, data=seen, what=part.what, first=part.first, last=part.last)
        for part in parts
    ]
    answers = await gathered(job, CATALOGUE["backtest_part"], asked, f"{params.search.budget:,} trials")
    packed = [b64decode(BacktestPartResult.model_validate_json(answer).packed) for answer in answers]
    return Found(*joined(parts, packed))


@dataclass(frozen=True, slots=True)
class Found:
    """What a search brought: its trials, and the windows of its walk-forward."""

    table: TrialTable
    windows: list[WindowRun]


@dataclass(frozen=True, slots=True)
class TestData:
    """What a test runs on.

    Attributes:
        markets: bars by symbol, those before `begin` for the conditions' history.
        instruments: what the exchange demands of orders, a row a symbol.
        begin: start of the first bar that is traded, milliseconds.
        needed: bars that the conditions look back at.
    """

    __test__ = False

    markets: Mapping[str, MarketCandles]
    instruments: Records
    begin: int
    needed: int

    @property
    def candles(self) -> dict[str, Candles]:
        """The bars by symbol."""
        return {symbol: market.candles for symbol, market in self.markets.items()}

    @property
    def bars(self) -> int:
        """All bars of all symbols."""
        return sum(len(candles) for candles in self.candles.values())

    @property
    def traded(self) -> int:
        """Those of them that are traded."""
        return sum(int((candles.open_time >= self.begin).sum()) for candles in self.candles.values())


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
        bounds = _bounds(params.search)
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
    rules = await asyncio.gather(*(job.services.rules.of(symbol) for symbol in params.symbols))
    rows = [(r.tick_size, r.step_size, r.min_quantity, r.min_notional) for r in rules]
    instruments = np.array([tuple(map(float, row)) for row in rows], INSTRUMENT)
    return TestData(markets, instruments, begin, needed)


def result_of(data: TestData, strategy: Strategy, params: BacktestParams, found: Found | None = None) -> BacktestResult:
    """The result, from bars to answer; in a thread or a child process. Of a search that of its best trial."""
    report = None
    if found is not None and params.search is not None:
        report = search_report(found.table, params.search, planned=len(found.table))
        if report.best is not None:
            params = params.model_copy(update={"parameters": params.parameters | report.best.parameters})
    make = partial(prepare, strategy=strategy, params=params, instruments=data.instruments, begin=data.begin)
    prepared = make(data.candles)
    run = simulate(prepared)
    own = isinstance(params.strategy, Strategy)
    wanted = own if params.lookahead_check is None else params.lookahead_check
    replays = lookahead_check(make, data.candles, prepared, run) if wanted else 0
    filled = bound(strategy, params.parameters)
    history = min(int((candles.open_time < data.begin).sum()) for candles in data.candles.values())
    table = found.table if found is not None else None
    luck = assess_luck(run, prepared, table=table) if found is not None or params.monte_carlo else None
    return BacktestResult(
        timestamp=_now(),
        strategy=strategy,
        parameters=strategy.parameters | params.parameters,
        data=[provenance(market, params.timeframe) for market in data.markets.values()],
        summary=summary(prepared, run),
        statistics=statistics_of(run, prepared),
        verdict=luck.verdict if luck else _judged(run, prepared),
        monte_carlo=luck and luck.monte_carlo,
        search=_shown(report, params),
        walk_forward=_walked(found, params, prepared),
        trades=[trade(prepared, row, filled) for row in run.trades[-_LISTED[params.detail] :]],
        lookahead_replays=replays,
        assumptions=assumptions(filled, params, prepared),
        warnings=warnings(prepared, run, history, data.needed),
    )


def part_worked(data: TestData, strategy: Strategy, params: BacktestParams, part: PartOf) -> str:
    """One part of a search, packed, as text; in a child process."""
    assert params.search is not None
    runner = StrategyRunner(
        data.candles,
        strategy,
        params,
        instruments=data.instruments,
        begin=data.begin,
        bounds=_bounds(params.search),
    )
    return b64encode(work_part(runner, part, params.search, params.walk_forward, span_of(runner))).decode()


def _bounds(search: SearchSpec) -> dict[str, tuple[float, float]]:
    """Least and largest value of each parameter."""
    return {parameter.name: (parameter.low, parameter.value(parameter.count - 1)) for parameter in search.parameters}


def _judged(run: Run, prepared: Prepared) -> Verdict:
    """The verdict of a single run, without the simulations."""
    returns = bar_returns(run.equity, float(prepared.rules["capital"][0]))
    judged = JudgedRun(returns, market_returns(prepared.market.close), len(run.trades), _YEAR / _MS / prepared.step)
    return judge(judged, why_no_random_entries="ask for monte_carlo")


def _shown(report: SearchReport | None, params: BacktestParams) -> SearchReport | None:
    """A summary leaves out the map and all but the first three."""
    if report is None or params.detail == "full":
        return report
    return report.model_copy(update={"heat_map": None, "top": report.top[:3]})


def _walked(found: Found | None, params: BacktestParams, prepared: Prepared) -> WalkForwardReport | None:
    if found is None or params.search is None or params.walk_forward is None:
        return None
    market = market_returns(prepared.market.close)
    span = Span(0, len(prepared.open_time), _YEAR / _MS / prepared.step, market)
    return walk_forward_report(found.windows, params.search, params.walk_forward, span)


async def _worked(bars: int, work: partial[BacktestResult]) -> BacktestResult:
    """Short work in a thread, of which the compiled part lets others run; long work in a child that can be killed."""
    return await (asyncio.to_thread(work) if bars <= _SHORT_WORK else run_in_child(work))


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def warm_up() -> None:
    """Has the kernels compiled, or read from the disk where they were kept, before the first job comes."""
    for _ in warming():
        pass


def warming() -> Iterator[str]:
    """Warms the engines step by step: what every run needs, its statistics, what judges it, strategies by structure."""
    candles = {"A": sample_candles()}
    strategy = STRATEGIES["ema_cross"]
    params = BacktestParams(symbols=["A"], timeframe=Timeframe.H1, strategy=strategy)
    search = SearchSpec(parameters=[Parameter(name="fast", low=5, high=6, step=1)])
    runner = StrategyRunner(candles, strategy, params)
    table = run_search(runner, search, span_of(runner))
    yield "runs"
    prepared = prepare(candles, strategy, params)
    run = simulate(prepared)
    statistics_of(run, prepared)
    _judged(run, prepared)
    yield "statistics"
    assess_luck(run, prepared, table=table)
    yield "luck"
    for other in STRATEGIES.values():
        simulate(prepare(candles, other, params))
        yield other.name
