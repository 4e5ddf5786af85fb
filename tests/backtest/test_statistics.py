"""Statistics: recomputed independently, by hand where small, and honest where there is too little."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crypto_mcp.backtest import STRATEGIES, Prepared, Run, prepare, simulate
from crypto_mcp.backtest.rules import Reason
from crypto_mcp.backtest.statistics import trades as of_trades
from crypto_mcp.backtest.statistics.benchmark import buy_and_hold, compared
from crypto_mcp.backtest.statistics.bootstrap import HISTORIES, intervals, redraw_sums
from crypto_mcp.backtest.statistics.calendar import monthly_returns
from crypto_mcp.backtest.statistics.drawdowns import Fall, depths, falls, ulcer_index
from crypto_mcp.backtest.statistics.returns import bar_returns, growth, omega, sharpe, sortino, tail_ratio
from crypto_mcp.backtest.statistics.summary import drawdown_table, in_risk, statistics_of
from crypto_mcp.models.backtest import BacktestParams
from crypto_mcp.models.candles import Candles, Floats
from crypto_mcp.models.strategy import Strategy
from tests.analysis.walks import random_walk

YEAR = 8760.0


def ran(candles: Candles, strategy: str | Strategy = "ema_cross") -> tuple[Run, Prepared]:
    params = BacktestParams(symbols=["AUSDT"], strategy=strategy)
    chosen = STRATEGIES[strategy] if isinstance(strategy, str) else strategy
    prepared = prepare({"AUSDT": candles}, chosen, params)
    return simulate(prepared), prepared


def test_every_figure_of_a_run_is_what_numpy_and_scipy_say() -> None:
    """A real run of the engine, its figures recomputed from equity, trades and fills alone."""
    run, prepared = ran(random_walk(3000, seed=4, sigma=0.01))
    found = statistics_of(run, prepared)
    equity, trades, close = run.equity, run.trades, prepared.market.close[0]
    returns = np.diff(equity, prepend=10_000) / np.concatenate([[10_000], equity[:-1]])
    years = 3000 / YEAR
    down = returns[returns < 0]
    peaks = np.maximum.accumulate(np.concatenate([[10_000], equity]))[1:]
    below = 1 - equity / peaks
    pnl = trades["pnl"]
    held = close / prepared.market.open[0, 0]
    market = np.diff(held, prepend=1) / np.concatenate([[1], held[:-1]])
    line = stats.linregress(market, returns)
    # An exit at the open, decided or jumped over, leaves its bar without a position.
    within = (trades["reason"] == Reason.STOP) & (
        prepared.market.open[0, trades["exit_bar"]] > trades["entry_price"] - trades["risk"]
    )
    last = trades["exit_bar"] + (within | (trades["reason"] == Reason.END))
    assert len(pnl) > 30
    expected = {
        "cagr": (equity[-1] / 10_000) ** (1 / years) - 1,
        "volatility": returns.std(ddof=1) * YEAR**0.5,
        "sharpe": returns.mean() / returns.std(ddof=1) * YEAR**0.5,
        "sortino": returns.mean() / np.sqrt((down**2).sum() / len(returns)) * YEAR**0.5,
        "calmar": ((equity[-1] / 10_000) ** (1 / years) - 1) / below.max(),
        "omega": returns[returns > 0].sum() / -down.sum(),
        "ulcer_index": np.sqrt((below**2).mean()),
        "max_drawdown": below.max(),
        "time_under_water": (below > 0).mean(),
        "win_rate": (pnl > 0).mean(),
        "profit_factor": pnl[pnl > 0].sum() / -pnl[pnl < 0].sum(),
        "payoff": pnl[pnl > 0].mean() / -pnl[pnl < 0].mean(),
        "expectancy": pnl.mean(),
        "best_trade": (pnl / trades["margin"]).max(),
        "turnover": (run.fills["price"] * run.fills["quantity"]).sum() / equity.mean() / years,
        "mean_days_held": (trades["exit_bar"] - trades["entry_bar"]).mean() / 24,
        "fees": run.fills["fee"].sum(),
        "exposure": len({b for t, end in zip(trades, last, strict=True) for b in range(t["entry_bar"], end)}) / 3000,
    }
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-9), name
    assert found.benchmark.beta == pytest.approx(line.slope)
    assert found.benchmark.alpha == pytest.approx(line.intercept * YEAR)
    assert found.benchmark.correlation == pytest.approx(line.rvalue)
    assert found.benchmark.total_return == pytest.approx(held[-1] - 1)
    json.dumps(found.model_dump(mode="json"), allow_nan=False)


def test_what_would_mislead_is_null_with_its_reason() -> None:
    """Ten days without a trade: no ratio, no yearly figure, no interval, and a reason for each."""
    run, prepared = ran(random_walk(240, seed=1), Strategy(entry="close > 1000000"))
    found = statistics_of(run, prepared)
    assert found.trades == 0
    nulls = {name for name, value in found.model_dump().items() if value is None}
    assert {"cagr", "sharpe", "profit_factor", "sqn", "win_rate", "expectancy"} <= nulls
    assert nulls <= found.absent.keys()
    assert all(found.absent.values())
    assert "30 days" in found.absent["sharpe"]
    assert found.absent["win_rate"] == "there was no trade"
    assert found.intervals == {}


def test_few_trades_carry_no_quality_number_and_no_interval() -> None:
    run, prepared = ran(random_walk(3000, seed=4), "buy_and_hold")
    found = statistics_of(run, prepared)
    assert found.trades == 1
    assert found.sqn is None
    assert "30 trades" in found.absent["sqn"]
    assert found.intervals == {}
    assert found.benchmark.beta == pytest.approx(1, abs=0.02)
    assert found.sharpe is not None


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), bars=st.integers(60, 1500), sigma=st.sampled_from([0.0, 1e-6, 0.01, 0.2]))
def test_no_figure_is_infinite_or_without_reason(seed: int, bars: int, sigma: float) -> None:
    """Whatever the market: JSON without NaN, a reason for every null, shares within their bounds."""
    run, prepared = ran(random_walk(bars, seed=seed, sigma=sigma))
    found = statistics_of(run, prepared)
    json.dumps(found.model_dump(mode="json"), allow_nan=False)
    assert {n for n, v in found.model_dump().items() if v is None} <= found.absent.keys()
    for share in (found.max_drawdown, found.exposure, found.time_under_water):
        assert 0 <= share <= 1
    assert len(drawdown_table(run, prepared)) <= 5


def test_ratios_by_hand() -> None:
    returns = np.array([0.02, -0.01, 0.03, -0.02])
    assert sharpe(returns, 1) == pytest.approx(0.005 / np.std(returns, ddof=1))
    assert sortino(returns, 1) == pytest.approx(0.005 / np.sqrt(0.0005 / 4))
    assert omega(returns) == pytest.approx(5 / 3)
    assert tail_ratio(returns) == pytest.approx(0.0285 / 0.0185)
    assert growth(0.21, 2) == pytest.approx(0.1)
    assert growth(-1, 2) == -1
    assert sharpe(np.zeros(9), 1) is None
    assert sortino(np.ones(9), 1) is None
    assert bar_returns(np.array([90.0, 0.0, 0.0]), 100.0).tolist() == [-0.1, -1.0, 0.0]


def test_drawdowns_by_hand() -> None:
    """Three falls: from the start capital, one within, and one that never recovers."""
    equity = np.array([90.0, 100, 120, 108, 60, 121, 110])
    below = depths(equity, 100.0)
    found = falls(below)
    assert [(f.peak, f.trough, f.end) for f in found] == [(-1, 0, 1), (2, 4, 5), (5, 6, 7)]
    assert [f.depth for f in found] == pytest.approx([0.1, 0.5, 11 / 121])
    assert ulcer_index(below) == pytest.approx(np.sqrt((0.01 + 0.01 + 0.25 + (11 / 121) ** 2) / 7))
    assert falls(np.zeros(5)) == []
    assert isinstance(found[0], Fall)


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=60))
def test_drawdowns_cover_the_time_under_water(values: list[float]) -> None:
    """Every bar below a peak lies in exactly one fall, and no fall is deeper than its trough."""
    below = depths(np.array(values), 100.0)
    inside = [bar for fall in falls(below) for bar in range(fall.peak + 1, fall.end)]
    assert inside == np.flatnonzero(below > 0).tolist()
    assert max((f.depth for f in falls(below)), default=0.0) == below.max()


def test_drawdown_times_are_closes_of_bars() -> None:
    run, prepared = ran(random_walk(2000, seed=4, sigma=0.01))
    table = drawdown_table(run, prepared)
    assert [d.depth for d in table] == sorted((d.depth for d in table), reverse=True)
    assert table[0].depth == pytest.approx(statistics_of(run, prepared).max_drawdown)
    first = datetime.fromtimestamp(int(prepared.open_time[0]) / 1000, UTC)
    for row in table:
        assert first <= row.peak < row.trough
        assert row.recovered is None or row.recovered > row.trough


def test_months_are_those_of_the_calendar() -> None:
    """Against polars' own grouping, over a year's end, with months compounding to the total."""
    candles = random_walk(2500, seed=3)
    start = int(datetime(2023, 11, 14, 5, tzinfo=UTC).timestamp() * 1000)
    times = start + np.arange(2500, dtype=np.int64) * 3_600_000
    returns = bar_returns(candles.close, float(candles.open[0]))
    frame = pl.DataFrame({"t": times, "g": 1 + returns}).with_columns(pl.from_epoch("t", time_unit="ms"))
    grouped = frame.group_by_dynamic("t", every="1mo").agg(pl.col("g").product())
    expected = {(t.year, t.month): g - 1 for t, g in grouped.iter_rows()}
    table = monthly_returns(returns, times)
    found = {(y.year, m + 1): v for y in table for m, v in enumerate(y.months) if v is not None}
    assert found == pytest.approx(expected)
    assert [y.year for y in table] == [2023, 2024]
    assert np.prod([1 + y.total for y in table]) == pytest.approx(np.prod(1 + returns))


def test_trade_figures_by_hand() -> None:
    pnl = np.array([10.0, -5, -5, 20, -10, 0])
    assert of_trades.profit_factor(pnl) == 1.5
    assert of_trades.payoff(pnl) == pytest.approx(15 / (20 / 3))
    assert of_trades.longest_losing_streak(pnl) == 2
    assert of_trades.profit_factor(np.array([3.0])) is None
    assert of_trades.payoff(np.array([3.0])) is None
    assert of_trades.system_quality(pnl) is None
    many = np.tile(pnl, 50)
    assert of_trades.system_quality(many) == pytest.approx(many.mean() / many.std(ddof=1) * 10)


def test_results_in_r_need_a_stop_on_every_trade() -> None:
    with_stop, _ = ran(random_walk(2000, seed=2, sigma=0.01))
    without, _ = ran(random_walk(2000, seed=2, sigma=0.01), Strategy(entry="rsi(14) < 30", exit="rsi(14) > 60"))
    found = in_risk(with_stop.trades)
    assert found is not None
    risked = with_stop.trades["risk"] * with_stop.trades["quantity"]
    assert found == pytest.approx(with_stop.trades["pnl"] / risked)
    assert len(without.trades)
    assert in_risk(without.trades) is None


def test_the_benchmark_buys_each_symbol_at_its_first_bar() -> None:
    open_ = np.array([[10.0, 11, 12, 13], [7, 7, 20, 30]])
    close = np.array([[11.0, 12, 13, 20], [7, 7, 30, 40]])
    traded = np.array([[True] * 4, [False, False, True, True]])
    assert buy_and_hold(open_, close, traded) == pytest.approx([(1.1 + 1) / 2, (1.2 + 1) / 2, (1.3 + 1.5) / 2, 2.0])


def test_an_account_that_is_its_benchmark_has_no_alpha() -> None:
    held = np.cumprod(1 + np.random.default_rng(1).normal(0, 0.01, 500))
    found = compared(bar_returns(held, 1.0), held, 1.0, YEAR)
    assert found.beta == pytest.approx(1)
    assert found.alpha == pytest.approx(0, abs=1e-9)
    assert found.correlation == pytest.approx(1)
    assert found.information_ratio is None


def test_redrawn_sums_are_sums_of_whole_blocks() -> None:
    """Counting bars as a series of ones: every history has as many bars as the sample, none twice too often."""
    totals = np.stack([np.arange(101.0), np.cumsum(np.concatenate([[0.0], np.arange(100.0)]))])
    sums = np.empty((4000, 2))
    redraw_sums(totals, 5.0, 3, sums)
    assert (sums[:, 0] == 100).all()
    assert sums[:, 1].mean() == pytest.approx(4950, rel=0.01)


def independent(returns: Floats) -> Floats:
    """Sharpe ratios of histories drawn bar by bar with numpy: the plain bootstrap, right for independent returns."""
    drawn = np.random.default_rng(5).choice(returns, (1000, len(returns)))
    return np.asarray(drawn.mean(axis=1) / drawn.std(axis=1, ddof=1) * YEAR**0.5)


def test_intervals_of_independent_returns_are_as_wide_as_those_of_the_plain_bootstrap() -> None:
    """Over ten samples: blocks cost nothing on average where there is nothing to keep together."""
    ours, plain = [], []
    for seed in range(10):
        returns = np.random.default_rng(seed).normal(0.0003, 0.01, 1000)
        found = intervals(returns, YEAR)
        low, high = np.percentile(independent(returns), (2.5, 97.5))
        ours.append(found["sharpe"].high - found["sharpe"].low)
        plain.append(high - low)
        assert found == intervals(returns, YEAR)
        assert found["cagr"].low < np.prod(1 + returns) ** (YEAR / 1000) - 1 < found["cagr"].high
    assert np.mean(ours) == pytest.approx(np.mean(plain), rel=0.1)


def test_intervals_are_wider_where_returns_hang_together() -> None:
    """Returns that come in runs of ten carry a tenth of the information; drawing single bars would hide that."""
    runs = np.repeat(np.random.default_rng(2).normal(0.0002, 0.01, 300), 10)
    mixed = np.random.default_rng(3).permutation(runs)
    wide, narrow = intervals(runs, YEAR)["sharpe"], intervals(mixed, YEAR)["sharpe"]
    assert wide.high - wide.low > 1.8 * (narrow.high - narrow.low)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """100 markets of known drift: 95 % intervals hold the true Sharpe ratio in 90 to 99 % of them."""
    held = 0
    for seed in range(100):
        returns = np.random.default_rng(seed).normal(0.0002, 0.01, 600)
        found = intervals(returns, YEAR, seed=seed)["sharpe"]
        held += found.low <= 0.02 * YEAR**0.5 <= found.high
    assert 0.90 <= held / 100 <= 0.99
    assert HISTORIES == 1000
