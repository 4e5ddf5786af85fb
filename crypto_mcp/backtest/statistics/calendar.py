"""Returns by calendar month, UTC."""

from __future__ import annotations

import numpy as np

from crypto_mcp.models.backtest_statistics import Year
from crypto_mcp.models.candles import Floats, Ints


def monthly_returns(returns: Floats, open_time: Ints) -> list[Year]:
    """A row a year; a bar belongs to the month in which it opens.

    Args:
        returns: simple returns of all bars.
        open_time: start of each bar, milliseconds.
    """
    if not len(returns):
        return []
    months = open_time.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    begins = np.flatnonzero(np.diff(months, prepend=months[0] - 1))
    grown = np.multiply.reduceat(1 + returns, begins)
    table: dict[int, list[float | None]] = {}
    for month, factor in zip(months[begins].tolist(), grown.tolist(), strict=True):
        table.setdefault(1970 + month // 12, [None] * 12)[month % 12] = factor - 1
    return [Year(year=year, months=row, total=_compound(row)) for year, row in table.items()]


def _compound(months: list[float | None]) -> float:
    return float(np.prod([1 + m for m in months if m is not None]) - 1)
