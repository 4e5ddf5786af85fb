"""Candles drawn by hand, for cases small enough to see."""

from __future__ import annotations

import numpy as np

from crypto_mcp.analysis.findings import Findings
from crypto_mcp.models.candles import Candles

HOUR = 3_600_000
MONDAY = 1_704_067_200_000  # Monday 2024-01-01 00:00 UTC


def drawn(*bars: tuple[float, ...], start: int = MONDAY, step: int = HOUR) -> Candles:
    """Candles from (open, high, low, close) or (open, high, low, close, volume); volume 100 where none is given."""
    rows = np.array([(*bar, 100.0)[:5] for bar in bars], dtype=np.float64)
    columns = (np.ascontiguousarray(rows[:, i]) for i in range(5))
    return Candles(start + step * np.arange(len(rows), dtype=np.int64), *columns, step=step).validated()


def path(*closes: float, wick: float = 0.5, start: int = MONDAY, step: int = HOUR) -> Candles:
    """Candles that open at the close before, with wicks of one length."""
    opens = (closes[0], *closes[:-1])
    return drawn(
        *((a, max(a, b) + wick, min(a, b) - wick, b) for a, b in zip(opens, closes, strict=True)),
        start=start,
        step=step,
    )


def upside_down(candles: Candles, around: float) -> Candles:
    """The same candles with prices mirrored at `around`, so that up is down."""
    return Candles(
        candles.open_time,
        2 * around - candles.open,
        2 * around - candles.low,
        2 * around - candles.high,
        2 * around - candles.close,
        candles.volume,
        step=candles.step,
    ).validated()


def in_ticks(candles: Candles, tick: float) -> Candles:
    """Prices rounded to a tick, so that differences of prices are exact and equal prices occur."""
    prices = (np.round(series / tick) * tick for series in (candles.open, candles.high, candles.low, candles.close))
    return Candles(candles.open_time, *prices, candles.volume, step=candles.step).validated()


def states(findings: Findings, index: int = 0) -> list[tuple[int, str]]:
    """The changes of one finding as (bar, state)."""
    return [(change.bar, change.state) for change in findings[index].changes]
