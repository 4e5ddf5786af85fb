"""Bars that tests of archive and files work with."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from crypto_mcp.models.candles import COLUMNS, Candles
from tests.market.binance_client import HOUR

MARCH = int(datetime(2024, 3, 1, tzinfo=UTC).timestamp() * 1000)


def bars(count: int, start: int = MARCH, seed: int = 1) -> Candles:
    """A walk on a grid of cents."""
    random = np.random.default_rng(seed)
    close = np.round(30_000 + np.cumsum(random.integers(-5000, 5000, count)) / 100, 2)
    open_ = np.concatenate([[30_000.0], close[:-1]])
    high, low = np.maximum(open_, close) + 1.25, np.minimum(open_, close) - 0.5
    times = start + np.arange(count, dtype=np.int64) * HOUR
    return Candles(times, open_, high, low, close, np.round(random.exponential(100, count), 3), HOUR)


def same(one: Candles, other: Candles) -> bool:
    return one.step == other.step and all(
        getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in COLUMNS
    )
