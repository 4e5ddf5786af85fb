"""The backtester: candles and a strategy in, equity and trades out.

    prepared = prepare({"BTCUSDT": candles}, STRATEGIES["ema_cross"], params)
    run = simulate(prepared)      # equity a bar, trades, fills

Pure, compiled, deterministic. docs/backtesting.md has every rule.
"""

from __future__ import annotations

from crypto_mcp.backtest.binding import BadStrategy, bound
from crypto_mcp.backtest.prepare import Prepared, prepare, signals_of
from crypto_mcp.backtest.rules import FILL, TRADE, Reason, Signal
from crypto_mcp.backtest.run import Run, simulate
from crypto_mcp.backtest.strategies import STRATEGIES

__all__ = [
    "FILL",
    "STRATEGIES",
    "TRADE",
    "BadStrategy",
    "Prepared",
    "Reason",
    "Run",
    "Signal",
    "bound",
    "prepare",
    "signals_of",
    "simulate",
]
