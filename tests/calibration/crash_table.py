"""Falls of recorded crashes: what `crypto_mcp/risk/crashes.py` holds.

    python -m tests.calibration.crash_table FOLDER    # with SYMBOL-1h.parquet files

For each crash: the hour within its window in which the mean low of all recorded symbols was lowest, against each
symbol's last close before the window. All falls are of that one hour, so that hedges are seen as they were.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

WINDOWS = {
    "2020-03-12": (datetime(2020, 3, 12, tzinfo=UTC), datetime(2020, 3, 13, 12, tzinfo=UTC)),
    "2021-05-19": (datetime(2021, 5, 19, tzinfo=UTC), datetime(2021, 5, 20, tzinfo=UTC)),
    "2022-05 LUNA": (datetime(2022, 5, 9, tzinfo=UTC), datetime(2022, 5, 13, tzinfo=UTC)),
    "2022-11 FTX": (datetime(2022, 11, 8, tzinfo=UTC), datetime(2022, 11, 10, 12, tzinfo=UTC)),
}


def main() -> None:
    """Prints the table."""
    files = {path.name.split("-")[0]: pl.read_parquet(path) for path in sorted(Path(sys.argv[1]).glob("*-1h.parquet"))}
    for name, (start, end) in WINDOWS.items():
        falls = None
        for symbol, frame in files.items():
            before = frame.filter(pl.col("open_time") < start)
            inside = frame.filter(pl.col("open_time").is_between(start, end, closed="left"))
            if before.is_empty():
                continue
            column = inside.select("open_time", (pl.col("low") / before["close"][-1] - 1).alias(symbol))
            falls = column if falls is None else falls.join(column, on="open_time")
        assert falls is not None
        worst = falls.with_columns(mean=pl.mean_horizontal(pl.exclude("open_time"))).sort("mean").row(0, named=True)
        worst.pop("mean")
        print(name, worst.pop("open_time"), {symbol: round(fall, 4) for symbol, fall in worst.items()})


if __name__ == "__main__":
    main()
