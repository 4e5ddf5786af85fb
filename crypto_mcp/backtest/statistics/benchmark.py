"""The account beside simply holding its symbols."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crypto_mcp.backtest.statistics.drawdowns import depths
from crypto_mcp.backtest.statistics.returns import bar_returns, growth, sharpe, volatility
from crypto_mcp.models.backtest_statistics import Benchmark
from crypto_mcp.models.candles import Floats

_NOTHING = 1e-12


def buy_and_hold(open_: Floats, close: Floats, traded: NDArray[np.bool_]) -> Floats:
    """Value at every close of 1 split evenly over the symbols, each bought at its first open and never sold, (bars).

    Args:
        open_, close: prices, (symbols, bars).
        traded: whether the symbol has that bar, (symbols, bars); its share is cash before its first.
    """
    rows = np.arange(len(open_))
    first = np.argmax(traded, axis=1)
    growths = np.where(np.arange(close.shape[1]) >= first[:, None], close / open_[rows, first][:, None], 1.0)
    value: Floats = growths[traded.any(axis=1)].mean(axis=0) if traded.any() else np.ones(close.shape[1])
    return value


def compared(returns: Floats, held: Floats, years: float | None, bars_per_year: float) -> Benchmark:
    """Alpha and beta by regression of bar returns (Jensen 1968).

    Args:
        returns: of the account, all bars.
        held: what `buy_and_hold` gives.
        years: length of the data, None where too short for a yearly growth.
        bars_per_year: of the data.
    """
    market = bar_returns(held, 1.0)
    spread, own = float(np.std(market)), float(np.std(returns))
    beta = alpha = correlation = None
    if spread > _NOTHING:
        covariance = float(np.mean((returns - returns.mean()) * (market - market.mean())))
        beta = covariance / spread**2
        alpha = float(returns.mean() - beta * market.mean()) * bars_per_year
        correlation = covariance / (spread * own) if own > _NOTHING else None
    total = float(held[-1] - 1)
    return Benchmark(
        total_return=total,
        cagr=None if years is None else growth(total, years),
        volatility=volatility(market, bars_per_year),
        sharpe=sharpe(market, bars_per_year),
        max_drawdown=float(depths(held, 1.0).max()),
        beta=beta,
        alpha=alpha,
        correlation=correlation,
        information_ratio=sharpe(returns - market, bars_per_year),
    )
