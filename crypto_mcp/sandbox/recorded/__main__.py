"""Makes the recorded year anew: `python -m crypto_mcp.sandbox.recorded CANDLES`.

CANDLES is a directory of `SYMBOL-1h.parquet` with open_time (datetime, UTC), open, high, low, close, volume (float64).
The newest 365 days of each symbol are kept, unchanged to the last bit.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

from crypto_mcp.sandbox.exchange import RECORDED

HOURS = 365 * 24
COLUMNS = ("open_time", "open", "high", "low", "close", "volume")


def newest_year(candles: Path, symbol: str) -> pl.DataFrame:
    """What is shipped of a symbol's candles."""
    return pl.read_parquet(candles / f"{symbol}-1h.parquet", columns=list(COLUMNS)).tail(HOURS)


if __name__ == "__main__":
    for name in RECORDED:
        target = Path(__file__).with_name(f"{name}-1h.parquet")
        newest_year(Path(sys.argv[1]), name).write_parquet(target, compression="zstd", compression_level=19)
