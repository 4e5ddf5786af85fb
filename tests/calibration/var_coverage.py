"""VaR and ES of each method against what happened the day after, out of sample: the table of docs/risk.md.

python -m tests.calibration.var_coverage FOLDER    # with SYMBOL-1h.parquet files
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

from crypto_mcp.risk.coverage import acerbi_szekely, coverage
from crypto_mcp.risk.tail import METHODS, TailMethod, scenarios, tail

WINDOW = 365
"""Days a forecast looks back: as many as the portfolio tools read."""

Floats = np.ndarray


def daily_returns(path: Path) -> pl.DataFrame:
    """Simple returns from one UTC midnight to the next."""
    hours = pl.read_parquet(path).sort("open_time")
    days = hours.group_by_dynamic("open_time", every="1d").agg(pl.col("close").last(), pl.len().alias("hours"))
    whole = days.filter(pl.col("hours") == 24)
    return whole.select(day="open_time", change=pl.col("close").pct_change()).drop_nulls()


def forecasts(returns: Floats, method: TailMethod, confidence: float) -> tuple[Floats, Floats]:
    """VaR and ES for each day from WINDOW on, from the WINDOW days before it, of an exposure of one."""
    one = np.ones(1)
    rows = []
    for t in range(WINDOW, len(returns)):
        past = returns[t - WINDOW : t, np.newaxis]
        found = tail(scenarios(past, one, method), one, confidence, method)
        rows.append((found.var, found.es))
    table = np.array(rows)
    return table[:, 0], table[:, 1]


def main() -> None:
    """Prints the table in Markdown."""
    files = sorted(Path(sys.argv[1]).glob("*-1h.parquet"))
    series = {path.name.split("-")[0]: daily_returns(path) for path in files}
    joined = None
    for name, frame in series.items():
        column = frame.rename({"change": name})
        joined = column if joined is None else joined.join(column, on="day")
    assert joined is not None
    held = {name: frame["change"].to_numpy() for name, frame in series.items()}
    held["equal weights"] = joined.drop("day").to_numpy().mean(axis=1)
    print("| method | held | level | days | expected | exceeded | Kupiec p | independence p | both p | Z2 |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for method in METHODS:
        for confidence in (0.95, 0.99):
            for name, returns in held.items():
                var, es = forecasts(returns, method, confidence)
                losses = -returns[WINDOW:]
                found = coverage(losses > var, confidence)
                z2 = acerbi_szekely(losses, var, es, confidence)
                print(
                    f"| {method} | {name} | {confidence:.0%} | {found.days} | {found.days * (1 - confidence):.0f} "
                    f"| {found.exceedances} | {found.kupiec:.3f} | {found.independence:.3f} "
                    f"| {found.conditional:.3f} | {z2:+.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
