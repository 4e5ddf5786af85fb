"""Statistics of a backtest. Shares are fractions: 0.1 is 10 %. A figure that would mislead is null, with its reason."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from crypto_mcp.models.answers import Contract


class Interval(Contract):
    """Between which values the figure lies in 95 of 100 redrawn histories (stationary bootstrap)."""

    low: float
    high: float


class Benchmark(Contract):
    """Holding the symbols alike from the first open to the last close, at no cost, and how the account compares."""

    total_return: float
    cagr: float | None
    volatility: float
    sharpe: float | None
    max_drawdown: float
    beta: float | None = Field(description="Slope of the account's bar returns on the benchmark's.")
    alpha: float | None = Field(description="Per year: mean return less beta times the benchmark's (Jensen 1968).")
    correlation: float | None
    information_ratio: float | None = Field(description="Per year: mean excess return over its standard deviation.")


class Drawdown(Contract):
    """A fall from a peak of equity to the close at which the peak was passed again."""

    depth: float = Field(description="Of the peak.")
    peak: datetime = Field(description="Close of the bar at the peak, UTC.")
    trough: datetime = Field(description="Close of the bar at the deepest point, UTC.")
    recovered: datetime | None = Field(description="Null: not by the end.")
    days: float = Field(description="From the peak to recovery, or to the end.")


class Year(Contract):
    """Returns by calendar month, UTC."""

    year: int
    months: list[float | None] = Field(description="January to December; null where there are no bars.")
    total: float


class Statistics(Contract):
    """What the account did; definitions and sources are in docs/backtesting.md."""

    days: float
    final_equity: float = Field(description="Quote asset.")
    total_return: float
    cagr: float | None = Field(description="Compound growth per year of 365 days.")
    volatility: float = Field(description="Standard deviation of bar returns, per year.")
    sharpe: float | None = Field(description="Per year, from bar returns, without a riskless rate.")
    sortino: float | None = Field(description="Per year: mean over the root of the mean squared loss.")
    calmar: float | None = Field(description="CAGR over the maximum drawdown.")
    omega: float | None = Field(description="Sum of gains over sum of losses of bar returns.")
    ulcer_index: float = Field(description="Root mean square of the drawdowns of all bars.")
    tail_ratio: float | None = Field(description="95th over 5th percentile of the returns of bars with a position.")
    max_drawdown: float
    average_drawdown: float | None = Field(description="Mean depth of all drawdowns.")
    longest_drawdown_days: float
    time_under_water: float = Field(description="Share of bars whose close lies below an earlier one of the account.")
    exposure: float = Field(description="Share of bars with a position after their open.")
    turnover: float | None = Field(description="Bought and sold per year, in mean equities.")
    trades: int
    wins: int
    win_rate: float | None
    profit_factor: float | None = Field(description="Gains over losses of trades, net.")
    payoff: float | None = Field(description="Mean gain of winners over mean loss of losers.")
    expectancy: float | None = Field(description="Mean net result of a trade, quote asset.")
    expectancy_r: float | None = Field(description="Mean net result of a trade over what its stop risked.")
    sqn: float | None = Field(description="System quality number: mean over deviation of results, times root n.")
    best_trade: float | None = Field(description="Net, of what was put up.")
    worst_trade: float | None = Field(description="Net, of what was put up.")
    mean_days_held: float | None
    longest_losing_streak: int
    mean_mae: float | None = Field(description="Mean adverse excursion: worst price while open, against the entry.")
    mean_mfe: float | None = Field(description="Mean favourable excursion: best price while open, against the entry.")
    fees: float = Field(description="Quote asset.")
    funding: float = Field(description="Paid; negative: received. Quote asset.")
    benchmark: Benchmark
    intervals: dict[str, Interval] = Field(description="By figure.")
    absent: dict[str, str] = Field(description="Figures that are null, and why.")
