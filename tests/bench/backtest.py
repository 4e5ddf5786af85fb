"""Backtests: the engine beside backtesting.py and vectorbt on the same bars, searches, the way through the queue."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
import numpy as np
from redis.asyncio import Redis

from crypto_mcp.backtest import prepare, simulate
from crypto_mcp.backtest.luck.search import run_search
from crypto_mcp.backtest.luck.walk_forward import run_walk_forward
from crypto_mcp.backtest.parts import span_of
from crypto_mcp.backtest.runner import StrategyRunner
from crypto_mcp.backtest.strategies import STRATEGIES
from crypto_mcp.jobs.leases import known_workers
from crypto_mcp.models.backtest import BacktestParams
from crypto_mcp.models.candles import Candles
from crypto_mcp.models.luck import Parameter, SearchSpec, WalkForwardSpec
from tests.analysis.walks import random_walk
from tests.backtest import oracles
from tests.bench.figures import Figures, percentile
from tests.bench.front import _system, _until

_STRATEGY = STRATEGIES["ema_cross"]
_PAIRS = SearchSpec(
    parameters=[
        Parameter(name="fast", low=5, high=24, step=1),
        Parameter(name="slow", low=30, high=128, step=2),
    ]
)
"""1,000 pairs of averages."""


async def run(figures: Figures, *, quick: bool) -> None:
    """All figures of the section."""
    warnings.simplefilter("ignore")
    _one_year(figures, rounds=3 if quick else 9)
    _grid(figures, rounds=1 if quick else 3)
    _walk_forward(figures)
    _weight(figures)
    await _through_the_queue(figures, calls=30 if quick else 200)
    if not quick:
        differing = _oracles()
        figures.add("backtest_oracle_unexplained", differing)


def _one_year(figures: Figures, *, rounds: int) -> None:
    """EMA cross with a stop over a year of hours; all are given the same signals, and give equity, trades and fills."""
    case, candles = oracles.CASES[0], oracles.recorded()
    params = _params()
    prepared, bars = oracles.prepared(case, candles), len(candles)

    def vectorbt() -> object:
        portfolio = oracles.played_by_vectorbt(case, candles, prepared)
        return portfolio.value(), portfolio.trades.records, portfolio.orders.records

    vectorbt()  # compiles
    _whole(candles, params)
    times: dict[str, list[float]] = {"ours": [], "ours, conditions read too": [], "vectorbt": [], "backtesting.py": []}
    for _ in range(rounds):
        times["ours"] += [_milliseconds(lambda: simulate(prepared)) for _ in range(20)]
        times["ours, conditions read too"] += [_milliseconds(lambda: _whole(candles, params)) for _ in range(20)]
        times["vectorbt"].append(_milliseconds(vectorbt))
        times["backtesting.py"].append(_milliseconds(lambda: oracles.backtesting_py(case, candles, prepared)))
    middles = {name: median(each) for name, each in times.items()}
    figures.table(f"one run, {bars:,} bars, ms", {name: [value] for name, value in middles.items()}, ("median",))
    figures.add("backtest_1y_ms", middles["ours"])
    figures.add("backtest_1y_conditions_ms", middles["ours, conditions read too"])
    figures.add("backtest_ratio_backtestingpy", middles["backtesting.py"] / middles["ours"])
    figures.add("backtest_ratio_vectorbt", middles["vectorbt"] / middles["ours"])


def _whole(candles: Candles, params: BacktestParams) -> object:
    return simulate(prepare({"BTC": candles}, _STRATEGY, params))


def _params() -> BacktestParams:
    return BacktestParams(symbols=["BTC"], strategy=_STRATEGY)


def _grid(figures: Figures, *, rounds: int) -> None:
    candles = oracles.recorded()
    _theirs(candles)
    ours, theirs = [], []
    for _ in range(rounds):
        ours += [_milliseconds(lambda: _searched(candles, _PAIRS)) for _ in range(3)]
        theirs.append(_milliseconds(lambda: _theirs(candles)))
    rows = {"ours": [median(ours)], "vectorbt": [median(theirs)]}
    figures.table("grid of 1,000 pairs over a year of hours, ms", rows, ("median",))
    figures.add("grid_1000_ms", median(ours))
    figures.add("grid_ratio_vectorbt", median(theirs) / median(ours))


def _searched(candles: Candles, search: SearchSpec) -> object:
    runner = StrategyRunner({"BTC": candles}, _STRATEGY, _params())
    return run_search(runner, search, span_of(runner))


def _theirs(candles: Candles) -> object:
    """As its users write it: all averages, all crossings, one portfolio of a thousand columns, its Sharpe ratios."""
    import pandas as pd
    import vectorbt as vbt

    frame = pd.Series(candles.close, index=pd.to_datetime(candles.open_time, unit="ms"))
    fast, slow = (list(column) for column in zip(*product(range(5, 25), range(30, 130, 2)), strict=True))
    first = vbt.MA.run(frame, fast, ewm=True, short_name="fast", per_column=False)
    second = vbt.MA.run(frame, slow, ewm=True, short_name="slow")
    portfolio = vbt.Portfolio.from_signals(
        frame, first.ma_crossed_above(second), first.ma_crossed_below(second), sl_stop=0.03, fees=0.001, freq="1h"
    )
    return portfolio.sharpe_ratio()


def _walk_forward(figures: Figures) -> None:
    """Four years of hours, 20 windows, 200 trials each, in one process."""
    candles = random_walk(4 * 8760, seed=3)
    search = SearchSpec(
        parameters=[Parameter(name="fast", low=5, high=24, step=1), Parameter(name="slow", low=30, high=120, step=10)]
    )
    runner = StrategyRunner({"BTC": candles}, _STRATEGY, _params())
    began = time.perf_counter()
    windows = run_walk_forward(runner, search, WalkForwardSpec(windows=20), span_of(runner))
    seconds = time.perf_counter() - began
    trials = sum(window.trials for window in windows)
    figures.table(f"walk-forward over four years, {trials:,} trials, s", {"ours": [seconds]}, ("once",))
    figures.add("walkforward_4y_s", seconds)


def _weight(figures: Figures) -> None:
    """Memory of a process that searches 10,000 pairs, at its highest, and without the search."""
    command = [sys.executable, "-c", "from tests.bench.backtest import weigh; weigh()"]
    before, after = map(float, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    figures.table("grid of 10,000 trials, highest memory, MB", {"ours": [before, after]}, ("before", "after"))
    figures.add("grid_10000_mb", after)


def weigh() -> None:
    """Prints the highest memory before and after a search of 10,000 trials, MB."""
    candles = oracles.recorded()
    _whole(candles, _params())
    print(_peak())
    wide = [Parameter(name="fast", low=3, high=102, step=1), Parameter(name="slow", low=110, high=308, step=2)]
    _searched(candles, SearchSpec(parameters=wide))
    print(_peak())


def _peak() -> float:
    """Of this program alone: `ru_maxrss` would keep that of the process it was started from. proc(5)"""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (line,) = (each for each in status.read_text().splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


async def _through_the_queue(figures: Figures, *, calls: int) -> None:
    """A year of hours that is archived, another strategy each time, so that no answer is cached."""
    async with _system() as system:
        system.launch("worker", "backtest:queue")
        await system.start_front()
        async with Redis.from_url(system.servers.redis.url(2)) as queue:
            await _until(lambda: _two(queue), seconds=120)
        async with httpx2.AsyncClient(base_url=system.url, timeout=120) as http:
            bodies = _bodies()
            for _ in range(30):
                await _asked(http, next(bodies))
            seconds = [await _asked(http, next(bodies)) for _ in range(calls)]
    row = [1000 * percentile(seconds, share) for share in (50, 95, 99)]
    figures.table(
        f"through the queue, ms, {calls} calls one at a time", {"a year of hours": row}, ("p50", "p95", "p99")
    )
    figures.add("backtest_e2e_p95_ms", row[1])


async def _two(queue: Redis) -> bool:
    return sum(info is not None for info in (await known_workers(queue)).values()) >= 2


def _bodies() -> Iterator[dict[str, Any]]:
    for fast, slow in product(range(5, 25), range(30, 60)):
        yield {"symbols": ["BTCUSDT"], "strategy": "ema_cross", "parameters": {"fast": fast, "slow": slow}}


async def _asked(http: httpx2.AsyncClient, body: dict[str, Any]) -> float:
    began = time.perf_counter()
    answer = (await http.post("/v1/jobs/historical_backtest", params={"wait": 60}, json=body)).json()
    seconds = time.perf_counter() - began
    if answer.get("status") != "done" or answer["cached"]:
        raise RuntimeError(str(answer)[:500])
    return seconds


def _oracles() -> int:
    """Trades of a year that differ from the peers' by no rule that is known."""
    candles, left = oracles.recorded(), 0
    for case in oracles.CASES:
        arrays = oracles.prepared(case, candles)
        mine = oracles.ours(arrays)
        left += len(oracles.compared(mine, oracles.backtesting_py(case, candles, arrays)).differing)
        theirs = oracles.compared(mine, oracles.vectorbt(case, candles, arrays))
        left += len(oracles.unexplained(theirs, np.asarray(candles.open)))
    return left


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)
