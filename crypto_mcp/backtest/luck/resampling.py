"""Loops that draw runs anew, compiled. Each seeds its own generator: the same seed gives the same bytes."""

from __future__ import annotations

import numpy as np

from crypto_mcp.compiling import compiled
from crypto_mcp.models.candles import Floats, Ints


@compiled
def redraw_returns(returns: Floats, runs: int, block: float, seed: int, paths: Floats) -> None:
    """Stationary bootstrap (Politis & Romano 1994): blocks of geometric length, mean `block` bars, around the end.

    Fills `paths`, (runs, 3): final value, lowest value, maximum drawdown of an account that began at 1.
    """
    np.random.seed(seed)
    bars = len(returns)
    stop = 1.0 / block
    for run in range(runs):
        value, peak, lowest, drawdown = 1.0, 1.0, 1.0, 0.0
        left, bar = 0, 0
        for _ in range(bars):
            if left == 0:
                bar = np.random.randint(0, bars)
                left = np.random.geometric(stop)
            value *= 1.0 + returns[bar]
            left -= 1
            bar += 1
            if bar == bars:
                bar = 0
            if value > peak:
                peak = value
            elif value < peak * (1.0 - drawdown):
                drawdown = 1.0 - value / peak
            lowest = min(lowest, value)
        paths[run, 0], paths[run, 1], paths[run, 2] = value, lowest, drawdown


@compiled
def redraw_trades(
    gains: Floats, costs: Floats, runs: int, shuffled: bool, skip: float, dearest: float, seed: int, paths: Floats
) -> None:
    """Trades in another order, some left out, or dearer: an account that began at 1, valued at every close of a trade.

    `gains` and `costs` are shares of the account at entry; a trade is skipped with probability `skip`; costs of a run
    are multiplied by a number drawn evenly from 1 to `dearest`. Fills `paths` as `redraw_returns` does.
    """
    np.random.seed(seed)
    order = np.arange(len(gains))
    for run in range(runs):
        if shuffled:
            np.random.shuffle(order)
        extra = (dearest - 1.0) * np.random.random() if dearest > 1.0 else 0.0
        value, peak, lowest, drawdown = 1.0, 1.0, 1.0, 0.0
        for place in range(len(order)):
            if skip > 0.0 and np.random.random() < skip:
                continue
            trade = order[place]
            value *= max(0.0, 1.0 + gains[trade] - extra * costs[trade])
            if value > peak:
                peak = value
            elif value < peak * (1.0 - drawdown):
                drawdown = 1.0 - value / peak
            lowest = min(lowest, value)
        paths[run, 0], paths[run, 1], paths[run, 2] = value, lowest, drawdown


@compiled
def enter_at_random(
    changes: Floats, holding: Ints, stakes: Floats, costs: Floats, apart: bool, runs: int, seed: int, paths: Floats
) -> None:
    """Trades as many, as long, as large and as dear, at times drawn at random.

    Args:
        changes: price at each bar's close over that of the bar before, less 1.
        holding: bars each trade is held, at least 1.
        stakes: signed share of the account each trade holds; shorts are negative.
        costs: share of the account each trade costs.
        apart: whether trades must not overlap; the bars they leave free are then split between them at random.

    Fills `paths` as `redraw_returns` does.
    """
    np.random.seed(seed)
    bars, trades = len(changes), len(holding)
    free = bars
    for trade in range(trades):
        free -= holding[trade]
    order = np.arange(trades)
    gaps = np.empty(trades, dtype=np.int64)
    moves = np.empty(bars)
    for run in range(runs):
        moves[:] = 0.0
        np.random.shuffle(order)
        for place in range(trades):
            gaps[place] = np.random.randint(0, free + 1) if apart else 0
        gaps.sort()
        used = 0
        for place in range(trades):
            trade = order[place]
            length = holding[trade]
            begin = gaps[place] + used if apart else np.random.randint(0, bars - length + 1)
            used += length
            moves[begin] -= costs[trade]
            for bar in range(begin, begin + length):
                moves[bar] += stakes[trade] * changes[bar]
        value, peak, lowest, drawdown = 1.0, 1.0, 1.0, 0.0
        for bar in range(bars):
            value *= max(0.0, 1.0 + moves[bar])
            if value > peak:
                peak = value
            elif value < peak * (1.0 - drawdown):
                drawdown = 1.0 - value / peak
            lowest = min(lowest, value)
        paths[run, 0], paths[run, 1], paths[run, 2] = value, lowest, drawdown
