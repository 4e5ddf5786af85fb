"""Figures of closed trades. `pnl` is float64 (trades), net of all costs, in the order in which they ended."""

from __future__ import annotations

import numpy as np

from crypto_mcp.models.candles import Floats

SQN_TRADES = 30
"""Van Tharp gives no system quality number for fewer."""


def profit_factor(pnl: Floats) -> float | None:
    """Sum of gains over sum of losses; None where nothing was lost."""
    lost = -float(pnl[pnl < 0].sum())
    return float(pnl[pnl > 0].sum()) / lost if lost > 0 else None


def payoff(pnl: Floats) -> float | None:
    """Mean gain of winners over mean loss of losers; None without both."""
    won, lost = pnl[pnl > 0], pnl[pnl < 0]
    return float(won.mean() / -lost.mean()) if len(won) and len(lost) else None


def system_quality(results: Floats) -> float | None:
    """Van Tharp's SQN: mean over standard deviation of the results, times the root of their number, at most 100.

    Source: Tharp, The Definitive Guide to Position Sizing (2008). Results are in R where every trade had a stop, else
    in quote asset. None for fewer than 30 trades and for results that do not vary.
    """
    if len(results) < SQN_TRADES:
        return None
    spread = float(np.std(results, ddof=1))
    return float(np.mean(results) / spread * np.sqrt(min(len(results), 100))) if spread > 0 else None


def longest_losing_streak(pnl: Floats) -> int:
    """Losses in a row at most."""
    longest = now = 0
    for lost in (pnl < 0).tolist():
        now = now + 1 if lost else 0
        longest = max(longest, now)
    return longest
