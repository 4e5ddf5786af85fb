"""Figures of bar returns. `returns` is float64 (bars), simple returns of equity from close to close.

Ratios are per year: a ratio per bar times the root of the bars in a year of 365 days, without a riskless rate. None
where the denominator is nothing.
"""

from __future__ import annotations

import numpy as np

from crypto_mcp.models.candles import Floats

_NOTHING = 1e-12


def bar_returns(equity: Floats, start: float) -> Floats:
    """Returns of all bars, the first against the start capital; an account that is worth nothing earns nothing."""
    before = np.concatenate([[start], equity[:-1]])
    changes: Floats = np.divide(equity - before, before, out=np.zeros(len(equity)), where=before > 0)
    return changes


def growth(total_return: float, years: float) -> float:
    """CAGR: the yearly growth that compounds to `total_return`; -1 where all is lost."""
    if total_return <= -1:
        return -1.0
    return float(np.expm1(min(np.log1p(total_return) / years, 500.0)))


def volatility(returns: Floats, bars_per_year: float) -> float:
    """Standard deviation of a sample, per year."""
    return float(np.std(returns, ddof=1) * np.sqrt(bars_per_year)) if len(returns) > 1 else 0.0


def sharpe(returns: Floats, bars_per_year: float) -> float | None:
    """Mean over standard deviation (Sharpe 1994)."""
    spread = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    if spread <= _NOTHING:
        return None
    return float(np.mean(returns) / spread * np.sqrt(bars_per_year))


def sortino(returns: Floats, bars_per_year: float) -> float | None:
    """Mean over the root of the mean squared loss, of all bars (Sortino & Price 1994, target 0)."""
    down = float(np.sqrt(np.mean(np.square(np.minimum(returns, 0.0))))) if len(returns) else 0.0
    if down <= _NOTHING:
        return None
    return float(np.mean(returns) / down * np.sqrt(bars_per_year))


def omega(returns: Floats) -> float | None:
    """Sum of gains over sum of losses, threshold 0 (Keating & Shadwick 2002)."""
    lost = -float(np.minimum(returns, 0.0).sum())
    return float(np.maximum(returns, 0.0).sum()) / lost if lost > _NOTHING else None


def tail_ratio(returns: Floats) -> float | None:
    """The 95th percentile over the size of the 5th; above 1 the good tail is the longer one."""
    if not len(returns):
        return None
    high, low = np.percentile(returns, (95, 5))
    return float(abs(high) / abs(low)) if abs(low) > _NOTHING else None
