"""A tiny strategy engine for the tests of searches: it is long where a moving average crossing says so, at no cost."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import talib

from crypto_mcp.backtest.luck.trials import RunTrial, TrialRun
from crypto_mcp.models.candles import Floats


def walk(bars: int, seed: int, *, sigma: float = 0.01, drift: float = 0.0) -> Floats:
    """Closing prices of a geometric random walk."""
    steps = np.random.default_rng(seed).normal(drift, sigma, bars)
    return np.asarray(100 * np.exp(np.cumsum(steps)))


def crossing(close: Floats, cost: float = 0.0) -> RunTrial:
    """Long from the bar after a fast average is above a slow one; parameters `fast` and `slow`."""
    changes = np.diff(close, prepend=close[0]) / np.concatenate([close[:1], close[:-1]])

    def run(values: Mapping[str, float], first: int, last: int) -> TrialRun:
        fast, slow = (talib.SMA(close, int(values[name])) for name in ("fast", "slow"))
        held = np.concatenate([[False], (fast > slow)[:-1]])[first:last]
        turns = np.diff(held, prepend=False)
        equity = 1000 * np.cumprod(1 + held * changes[first:last] - cost * turns)
        return TrialRun(equity, 1000.0, int(np.count_nonzero(turns & held)))

    return run
