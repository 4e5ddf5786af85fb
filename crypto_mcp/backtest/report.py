"""From a run to the answer that is given."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite
from typing import Any

import numpy as np

from crypto_mcp.backtest.prepare import Prepared
from crypto_mcp.backtest.rules import Reason
from crypto_mcp.backtest.run import Run
from crypto_mcp.models.backtest import BacktestSummary, Trade
from crypto_mcp.models.strategy import Strategy


def summary(prepared: Prepared, run: Run) -> BacktestSummary:
    """The figures that are looked at first."""
    account, capital = run.account[0], float(prepared.rules["capital"][0])
    count = len(run.trades)
    return BacktestSummary(
        final_equity=round(float(run.equity[-1]), 2),
        return_percent=round(100 * float(run.equity[-1] / capital - 1), 2),
        buy_and_hold_percent=round(100 * buy_and_hold(prepared), 2),
        max_drawdown_percent=round(100 * float(run.drawdown.max()), 2),
        trades=count,
        win_rate_percent=round(100 * int(account["wins"]) / count, 1) if count else None,
        fees=round(float(account["fees"]), 2),
        funding=round(float(account["funding"]), 2),
        exposure_percent=round(100 * int(account["bars_in"]) / len(run.equity), 1),
        liquidations=int(account["liquidations"]),
    )


def buy_and_hold(prepared: Prepared) -> float:
    """Return of the symbols in equal parts from the first open to the last close, without costs, as a fraction."""
    market = prepared.market
    traded = market.volume > 0
    first = np.argmax(traded, axis=1)
    rows = np.flatnonzero(traded.any(axis=1))
    if not len(rows):
        return 0.0
    return float(np.mean(market.close[rows, -1] / market.open[rows, first[rows]] - 1))


def trade(prepared: Prepared, row: Any, strategy: Strategy) -> Trade:
    """One row of the table of trades in words."""
    long = row["side"] > 0
    entry, quantity = float(row["entry_price"]), float(row["quantity"])
    at_risk = float(row["risk"]) * quantity
    return Trade(
        symbol=prepared.symbols[row["symbol"]],
        side="long" if long else "short",
        opened=_time(prepared, row["entry_bar"]),
        closed=_time(prepared, row["exit_bar"]),
        bars=int(row["exit_bar"] - row["entry_bar"]),
        entry=_figures(entry),
        exit=_figures(float(row["exit_price"])),
        quantity=_figures(quantity),
        pnl=round(float(row["pnl"]), 2),
        pnl_percent=round(100 * float(row["pnl"] / row["margin"]), 2),
        fees=round(float(row["fees"]), 2),
        funding=round(float(row["funding"]), 2),
        r=round(float(row["pnl"]) / at_risk, 2) if isfinite(at_risk) and at_risk > 0 else None,
        mae_percent=round(100 * float(row["worst"]) / entry, 2),
        mfe_percent=round(100 * float(row["best"]) / entry, 2),
        opened_by=(strategy.entry if long else strategy.short_entry) or "",
        closed_by=Reason(row["reason"]).name.lower(),
    )


def _time(prepared: Prepared, bar: int) -> datetime:
    return datetime.fromtimestamp(int(prepared.open_time[bar]) / 1000, UTC)


def _figures(value: float) -> float:
    """To ten significant digits: what the exchange's steps leave."""
    return float(f"{value:.10g}")
