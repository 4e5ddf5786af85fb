"""Handlers of `backtest:queue`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.backtest.assumptions import assumptions, warnings
from crypto_mcp.backtest.binding import BadStrategy, bound, rules_of
from crypto_mcp.backtest.lookahead import lookahead_check
from crypto_mcp.backtest.prepare import prepare
from crypto_mcp.backtest.report import summary, trade
from crypto_mcp.backtest.rules import INSTRUMENT
from crypto_mcp.backtest.run import simulate
from crypto_mcp.backtest.strategies import STRATEGIES
from crypto_mcp.conditions import lookback, parse
from crypto_mcp.errors import NotEnoughData
from crypto_mcp.models.backtest import BacktestParams, BacktestResult
from crypto_mcp.models.strategy import Strategy
from crypto_mcp.models.timeframes import Timeframe
from workers.analysis import provenance, sample_candles
from workers.children import run_in_child

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crypto_mcp.backtest.rules import Records
    from crypto_mcp.market.candles import MarketCandles
    from crypto_mcp.models.candles import Candles
    from workers.job import Job

_YEAR = timedelta(days=365)
_LEAST_BARS = 50
_LISTED = {"summary": 3, "full": 200}
_SHORT_WORK = 200_000
"""Bars that are worked in a thread: a child process would cost more than it saves."""


async def historical_backtest(job: Job, params: BacktestParams) -> BacktestResult:
    """Checks the strategy, fetches the bars, and runs it over them."""
    strategy = chosen(params)
    needed = check(strategy, params)
    await job.progress(0.1, f"fetching bars of {', '.join(params.symbols)}")
    data = await fetched(job, params, needed)
    await job.progress(0.5, "running")
    return await _worked(data.bars, partial(tested, data, strategy, params))


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
    return max(lookback(parse(text), params.timeframe) for text in filled.conditions.values())


async def fetched(job: Job, params: BacktestParams, needed: int) -> TestData:
    """Bars of the range and the history before it, and the rules of the symbols.

    Raises:
        UnknownSymbol, SourceUnavailable: as the exchange says.
        NotEnoughData: a symbol has too few bars in the range.
    """
    step = timedelta(milliseconds=params.timeframe.milliseconds)
    end = params.end or datetime.now(UTC)
    start = params.start or end - _YEAR
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


def tested(data: TestData, strategy: Strategy, params: BacktestParams) -> BacktestResult:
    """The result, from bars to answer; in a thread or a child process."""
    make = partial(prepare, strategy=strategy, params=params, instruments=data.instruments, begin=data.begin)
    prepared = make(data.candles)
    run = simulate(prepared)
    own = isinstance(params.strategy, Strategy)
    wanted = own if params.lookahead_check is None else params.lookahead_check
    replays = lookahead_check(make, data.candles, prepared, run) if wanted else 0
    filled = bound(strategy, params.parameters)
    history = min(int((candles.open_time < data.begin).sum()) for candles in data.candles.values())
    return BacktestResult(
        timestamp=_now(),
        strategy=strategy,
        parameters=strategy.parameters | params.parameters,
        data=[provenance(market, params.timeframe) for market in data.markets.values()],
        summary=summary(prepared, run),
        trades=[trade(prepared, row, filled) for row in run.trades[-_LISTED[params.detail] :]],
        lookahead_replays=replays,
        assumptions=assumptions(filled, params, prepared),
        warnings=warnings(prepared, run, history, data.needed),
    )


async def _worked(bars: int, work: partial[BacktestResult]) -> BacktestResult:
    """Short work in a thread, of which the compiled part lets others run; long work in a child that can be killed."""
    return await (asyncio.to_thread(work) if bars <= _SHORT_WORK else run_in_child(work))


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def warm_up() -> None:
    """Has every kernel compiled, or read from the disk where it was kept, before the first job comes."""
    candles = {"A": sample_candles(), "B": sample_candles()}
    for strategy in STRATEGIES.values():
        for symbols in (["A"], ["A", "B"]):
            params = BacktestParams(symbols=symbols, timeframe=Timeframe.H1, strategy=strategy)
            simulate(prepare({symbol: candles[symbol] for symbol in symbols}, strategy, params))
