"""Recorded candles for fitting: one parquet file a symbol, hourly, outside the project.

The directory is that of the environment variable CRYPTO_MCP_CANDLES, or `../shared/data` beside the checkout.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl

from crypto_mcp.models.candles import Candles
from crypto_mcp.models.timeframes import Timeframe

ROOT = Path(__file__).parents[2]
DIRECTORY = Path(os.environ.get("CRYPTO_MCP_CANDLES", ROOT.parent / "shared" / "data"))


def recorded(symbol: str) -> Candles:
    """All hourly candles of a symbol. FileNotFoundError where there are none."""
    frame = pl.read_parquet(DIRECTORY / f"{symbol}-1h.parquet")
    prices = (np.ascontiguousarray(frame[name].to_numpy()) for name in ("open", "high", "low", "close", "volume"))
    times = frame["open_time"].dt.epoch("ms").to_numpy().astype(np.int64)
    return Candles(times, *prices, step=Timeframe.H1.milliseconds).validated()
