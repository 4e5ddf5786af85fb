"""All figures of a run, and which of them are not given because they would mislead."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.backtest.statistics.benchmark import buy_and_hold, compared
from crypto_mcp.backtest.statistics.bootstrap import intervals
from crypto_mcp.backtest.statistics.drawdowns import Fall, depths, falls, ulcer_index
from crypto_mcp.backtest.statistics.returns import (
    bar_returns,
    growth,
    omega,
    sharpe,
    sortino,
    tail_ratio,
    volatility,
)
from crypto_mcp.backtest.statistics.trades import (
    SQN_TRADES,
    longest_losing_streak,
    payoff,
    profit_factor,
    system_quality,
)
from crypto_mcp.models.backtest_statistics import Drawdown, Statistics

if TYPE_CHECKING:
    from crypto_mcp.backtest.prepare import Prepared
    from crypto_mcp.backtest.rules import Records
    from crypto_mcp.backtest.run import Run
    from crypto_mcp.models.candles import Floats, Ints

_DAY_MS = 86_400_000
_YEAR_MS = 365 * _DAY_MS
LEAST_DAYS = 30
"""Of less than a month a yearly figure would be extrapolated, not measured."""

LEAST_TRADES = 10
"""With fewer trades redrawn histories repeat the same few, and their intervals are too narrow."""

_SHORT = f"less than {LEAST_DAYS} days: a yearly figure would be extrapolated"
_STILL = "the account's value does not vary"


def statistics_of(run: Run, prepared: Prepared) -> Statistics:
    """The figures of a run of the engine; every null has its reason in `absent`."""
    start = float(prepared.rules["capital"][0])
    bars_per_year = _YEAR_MS / prepared.step
    years = len(run.equity) / bars_per_year
    long_enough = years * 365 >= LEAST_DAYS
    returns = bar_returns(run.equity, start)
    inside = bars_inside(run.trades, len(returns))
    below = depths(run.equity, start)
    total = float(run.equity[-1] / start - 1)
    cagr = growth(total, years) if long_enough else None
    deepest = float(below.max())
    found = {
        "cagr": cagr,
        "sharpe": sharpe(returns, bars_per_year) if long_enough else None,
        "sortino": sortino(returns, bars_per_year) if long_enough else None,
        "calmar": None if cagr is None or deepest <= 0 else cagr / deepest,
        "omega": omega(returns),
        "tail_ratio": tail_ratio(returns[inside]),
        "turnover": _turnover(run, years) if long_enough else None,
        **_of_drawdowns(falls(below), prepared.step),
        **_of_trades(run.trades, prepared.step),
    }
    reasons = _reasons(found, len(run.trades), long_enough)
    sure = intervals(returns, bars_per_year) if len(run.trades) >= LEAST_TRADES and long_enough else {}
    if not sure:
        reasons["intervals"] = f"need {LEAST_TRADES} trades and {LEAST_DAYS} days"
    return Statistics(
        days=years * 365,
        final_equity=float(run.equity[-1]),
        total_return=total,
        volatility=volatility(returns, bars_per_year),
        ulcer_index=ulcer_index(below),
        max_drawdown=deepest,
        time_under_water=float(np.mean(below > 0)),
        exposure=int(run.account["bars_in"][0]) / len(returns),
        trades=len(run.trades),
        wins=int(np.count_nonzero(run.trades["pnl"] > 0)),
        longest_losing_streak=longest_losing_streak(run.trades["pnl"]),
        fees=float(run.account["fees"][0]),
        funding=float(run.account["funding"][0]),
        benchmark=compared(
            returns,
            buy_and_hold(prepared.market.open, prepared.market.close, prepared.market.volume > 0),
            years if long_enough else None,
            bars_per_year,
        ),
        intervals=sure,
        absent=reasons,
        **found,
    )


def drawdown_table(run: Run, prepared: Prepared, *, rows: int = 5) -> list[Drawdown]:
    """The deepest drawdowns, deepest first."""
    start = float(prepared.rules["capital"][0])
    deepest = sorted(falls(depths(run.equity, start)), key=lambda fall: -fall.depth)[:rows]
    close_time = prepared.open_time + prepared.step
    return [
        Drawdown(
            depth=fall.depth,
            peak=_time(prepared.open_time[0] if fall.peak < 0 else close_time[fall.peak]),
            trough=_time(close_time[fall.trough]),
            recovered=_time(close_time[fall.end]) if fall.end < len(close_time) else None,
            days=_bars(fall, len(close_time)) * prepared.step / _DAY_MS,
        )
        for fall in deepest
    ]


def bars_inside(trades: Records, bars: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which bars saw a position, from the bar of an entry to that of the exit."""
    turns = np.zeros(bars + 1, dtype=np.int64)
    np.add.at(turns, trades["entry_bar"], 1)
    np.add.at(turns, trades["exit_bar"] + 1, -1)
    inside: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.cumsum(turns)[:bars] > 0
    return inside


def _bars(fall: Fall, bars: int) -> int:
    return min(fall.end, bars - 1) - fall.peak


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def _turnover(run: Run, years: float) -> float | None:
    mean = float(np.mean(run.equity))
    return float(run.account["turnover"][0]) / mean / years if mean > 0 else None


def _of_drawdowns(all_falls: list[Fall], step: int) -> dict[str, float | None]:
    longest = max((fall.end - fall.peak for fall in all_falls), default=0)
    return {
        "average_drawdown": float(np.mean([fall.depth for fall in all_falls])) if all_falls else None,
        "longest_drawdown_days": longest * step / _DAY_MS,
    }


def _of_trades(trades: Records, step: int) -> dict[str, float | None]:
    names = ("win_rate", "expectancy", "best_trade", "worst_trade", "mean_days_held", "mean_mae", "mean_mfe")
    pnl: Floats = trades["pnl"].copy()
    results = in_risk(trades)
    figures: dict[str, float | None] = dict.fromkeys(names)
    if len(trades):
        share = pnl / trades["margin"]
        bars: Ints = trades["exit_bar"] - trades["entry_bar"]
        values = (
            np.mean(pnl > 0), pnl.mean(), share.max(), share.min(), bars.mean() * step / _DAY_MS,
            -np.mean(trades["worst"] / trades["entry_price"]), np.mean(trades["best"] / trades["entry_price"]),
        )  # fmt: skip
        figures = dict(zip(names, map(float, values), strict=True))
    return figures | {
        "profit_factor": profit_factor(pnl),
        "payoff": payoff(pnl),
        "expectancy_r": None if results is None else float(results.mean()),
        "sqn": system_quality(pnl if results is None else results),
    }


def in_risk(trades: Records) -> Floats | None:
    """Net results over what the stops risked at the entry (R); None unless every trade had a stop."""
    risked: Floats = trades["risk"] * trades["quantity"]
    if not len(trades) or not (risked > 0).all():
        return None
    results: Floats = trades["pnl"] / risked
    return results


def _reasons(found: dict[str, float | None], trades: int, long_enough: bool) -> dict[str, str]:
    """Why each figure that is None is None."""
    yearly = {"cagr", "sharpe", "sortino", "calmar", "turnover"}
    special = {
        "calmar": "there was no drawdown",
        "sortino": "no bar lost anything",
        "omega": "no bar lost anything",
        "tail_ratio": "too few bars with a loss",
        "average_drawdown": "there was no drawdown",
        "profit_factor": "no trade lost anything",
        "payoff": "needs winners and losers",
        "expectancy_r": "not every trade had a stop",
        "sqn": f"needs {SQN_TRADES} trades whose results vary",
    }
    reasons = {}
    for name in (n for n, value in found.items() if value is None):
        if name in yearly and not long_enough:
            reasons[name] = _SHORT
        else:
            reasons[name] = "there was no trade" if not trades else special.get(name, _STILL)
    return reasons
