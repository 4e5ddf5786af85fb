"""What is computed of bars that were fetched: a result, a part of a search. In a thread or a child process."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from crypto_mcp.backtest.assumptions import assumptions, warnings
from crypto_mcp.backtest.binding import bound
from crypto_mcp.backtest.lookahead import lookahead_check
from crypto_mcp.backtest.luck.assessment import assess_luck
from crypto_mcp.backtest.luck.found import search_report
from crypto_mcp.backtest.luck.search import run_search
from crypto_mcp.backtest.luck.trials import Span, market_returns
from crypto_mcp.backtest.luck.verdict import JudgedRun, judge
from crypto_mcp.backtest.luck.walk_forward import walk_forward_report
from crypto_mcp.backtest.parts import span_of, work_part
from crypto_mcp.backtest.prepare import prepare
from crypto_mcp.backtest.report import summary, trade
from crypto_mcp.backtest.run import simulate
from crypto_mcp.backtest.runner import StrategyRunner
from crypto_mcp.backtest.statistics.calendar import monthly_returns
from crypto_mcp.backtest.statistics.returns import bar_returns
from crypto_mcp.backtest.statistics.summary import drawdown_table, statistics_of
from crypto_mcp.backtest.strategies import STRATEGIES
from crypto_mcp.models.backtest import BacktestParams, BacktestResult, TestRules
from crypto_mcp.models.luck import Parameter, SearchSpec
from crypto_mcp.models.strategy import Strategy
from crypto_mcp.models.timeframes import Timeframe
from workers.analysis import provenance, sample_candles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from crypto_mcp.backtest.funding import PaidFunding
    from crypto_mcp.backtest.luck.trials import TrialTable
    from crypto_mcp.backtest.luck.verdict import Earlier
    from crypto_mcp.backtest.luck.walk_forward import WindowRun
    from crypto_mcp.backtest.parts import PartOf
    from crypto_mcp.backtest.prepare import Prepared
    from crypto_mcp.backtest.rules import Records
    from crypto_mcp.backtest.run import Run
    from crypto_mcp.market.candles import MarketCandles
    from crypto_mcp.models.backtest_statistics import Year
    from crypto_mcp.models.candles import Candles
    from crypto_mcp.models.luck import SearchReport, WalkForwardReport

_YEAR, _MS = timedelta(days=365), timedelta(milliseconds=1)
_NOT_SIMULATED = "ask for monte_carlo"
_LISTED = {"summary": 3, "full": 200}


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
        funding: that was paid, by symbol; none on spot, and where the exchange tells none.
    """

    __test__ = False

    markets: Mapping[str, MarketCandles]
    instruments: Records
    begin: int
    needed: int
    funding: Mapping[str, PaidFunding] = field(default_factory=dict)

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


@dataclass(frozen=True, slots=True)
class Tested:
    """A result, and the run that its verdict judges."""

    __test__ = False

    result: BacktestResult
    judged: JudgedRun


def outcome_of(
    data: TestData,
    strategy: Strategy,
    params: BacktestParams,
    found: Found | None = None,
    earlier: Earlier | None = None,
) -> Tested:
    """The result, from bars to answer. Of a search that of its best trial, earlier tries charged."""
    report = None
    if found is not None and params.search is not None:
        report = search_report(found.table, params.search, planned=len(found.table))
        if report.best is not None:
            params = params.model_copy(update={"parameters": params.parameters | report.best.parameters})
    make = partial(
        prepare, strategy=strategy, params=params, instruments=data.instruments, begin=data.begin, funding=data.funding
    )
    prepared = make(data.candles)
    run = simulate(prepared)
    own = isinstance(params.strategy, Strategy)
    wanted = own if params.lookahead_check is None else params.lookahead_check
    replays = lookahead_check(make, data.candles, prepared, run) if wanted else 0
    filled = bound(strategy, params.parameters)
    history = min(int((candles.open_time < data.begin).sum()) for candles in data.candles.values())
    table = found.table if found is not None else None
    simulated = found is not None or params.monte_carlo
    luck = assess_luck(run, prepared, table=table, earlier=earlier) if simulated else None
    judged = _judged(run, prepared)
    full = params.detail == "full"
    result = BacktestResult(
        backtest_job_id="",
        timestamp=_now(),
        strategy=strategy,
        parameters=strategy.parameters | params.parameters,
        rules=rules_played(params),
        data=[provenance(market, params.timeframe) for market in data.markets.values()],
        summary=summary(prepared, run),
        statistics=statistics_of(run, prepared),
        verdict=luck.verdict if luck else judge(judged, why_no_random_entries=_NOT_SIMULATED),
        monte_carlo=luck and luck.monte_carlo,
        search=_shown(report, params),
        walk_forward=_walked(found, params, prepared),
        trades=[trade(prepared, row, filled) for row in run.trades[-_LISTED[params.detail] :]],
        drawdowns=drawdown_table(run, prepared) if full else None,
        months=months_of(run, prepared) if full else None,
        lookahead_replays=replays,
        assumptions=assumptions(filled, params, prepared, data.funding),
        warnings=warnings(prepared, run, history, data.needed),
    )
    return Tested(result, judged)


def months_of(run: Run, prepared: Prepared) -> list[Year]:
    """Returns by month."""
    return monthly_returns(bar_returns(run.equity, float(prepared.rules["capital"][0])), prepared.open_time)


def rules_played(params: BacktestParams) -> TestRules:
    """What has to be known besides strategy and symbols to run the same again."""
    assert params.start is not None
    assert params.end is not None
    return TestRules(
        start=params.start,
        end=params.end,
        capital=params.capital,
        market=params.market,
        leverage=params.leverage,
        costs=params.costs,
    )


def charged(tested: Tested, earlier: Earlier) -> BacktestResult:
    """The result of a single run, judged again with the tries of earlier jobs."""
    before = tested.result.verdict
    verdict = judge(
        tested.judged,
        earlier=earlier,
        random_entries=before.random_entries,
        why_no_random_entries=before.absent.get("random_entries", ""),
    )
    return tested.result.model_copy(update={"verdict": verdict})


def part_worked(data: TestData, strategy: Strategy, params: BacktestParams, part: PartOf) -> str:
    """One part of a search, packed, as text; in a child process."""
    assert params.search is not None
    runner = StrategyRunner(
        data.candles,
        strategy,
        params,
        instruments=data.instruments,
        begin=data.begin,
        bounds=bounds_of(params.search),
        funding=data.funding,
    )
    return b64encode(work_part(runner, part, params.search, params.walk_forward, span_of(runner))).decode()


def bounds_of(search: SearchSpec) -> dict[str, tuple[float, float]]:
    """Least and largest value of each parameter."""
    return {parameter.name: (parameter.low, parameter.value(parameter.count - 1)) for parameter in search.parameters}


def _judged(run: Run, prepared: Prepared) -> JudgedRun:
    returns = bar_returns(run.equity, float(prepared.rules["capital"][0]))
    return JudgedRun(returns, market_returns(prepared.market.close), len(run.trades), _YEAR / _MS / prepared.step)


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


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


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
    judge(_judged(run, prepared))
    yield "statistics"
    assess_luck(run, prepared, table=table)
    yield "luck"
    for other in STRATEGIES.values():
        simulate(prepare(candles, other, params))
        yield other.name
