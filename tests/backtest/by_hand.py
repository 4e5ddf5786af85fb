"""Runs of a few bars, written out so that they can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from crypto_mcp.backtest import Prepared, Reason, Run, Signal, simulate
from crypto_mcp.backtest.rules import INSTRUMENT, RULES, TARGET, Market, Unit

HOUR = 3_600_000
BUY, SELL = Signal.LONG_ENTRY, Signal.LONG_EXIT
SHORT, COVER = Signal.SHORT_ENTRY, Signal.SHORT_EXIT
FLAT = (100, 100, 100, 100)

Bar = tuple[float, ...]


def played(
    bars: list[Bar], signals: dict[int, int], *, targets: Sequence[tuple[float, float, Unit]] = (), **rules: Any
) -> Run:
    """One symbol: bars as (open, high, low, close[, volume]), signals by the bar at whose close they are given."""
    return simulate(prepared([bars], [signals], targets=targets, **rules))


def prepared(
    symbols: list[list[Bar]],
    signals: list[dict[int, int]],
    *,
    targets: Sequence[tuple[float, float, Unit]] = (),
    **rules: Any,
) -> Prepared:
    """Without costs, and with all of 1000 put up, unless `rules` say otherwise; series of the market by name too."""
    table = np.array([[(*bar, 1000.0)[:5] for bar in bars] for bars in symbols], dtype=np.float64)
    rows, count = table.shape[:2]
    series = {
        name: np.ascontiguousarray(table[:, :, i]) for i, name in enumerate(("open", "high", "low", "close", "volume"))
    }
    for name in ("atr", "swing_low", "swing_high", "volatility", "funding"):
        given = rules.pop(name, None)
        series[name] = np.zeros((rows, 0)) if given is None else np.tile(np.array(given, dtype=np.float64), (rows, 1))
    allowed = np.array(rules.pop("allowed", [True] * count))
    bits = np.zeros((rows, count), np.int8)
    for row, given in enumerate(signals):
        for bar, bit in given.items():
            bits[row, bar] = bit
    instruments = np.zeros(rows, INSTRUMENT)
    for name in ("tick", "step", "least_quantity", "least_notional"):
        instruments[name] = rules.pop(name, 0.0)
    rule = np.zeros(1, RULES)
    for name, value in {"capital": 1000.0, "leverage": 1.0, "amount": 1.0, "max_open": 100, **rules}.items():
        rule[name] = value
    goals = np.array([(way, share, unit) for way, share, unit in targets], TARGET)
    return Prepared(
        symbols=tuple(f"S{i}" for i in range(rows)),
        open_time=HOUR * np.arange(count, dtype=np.int64),
        step=HOUR,
        market=Market(**series, allowed=allowed),
        signals=bits,
        rules=rule,
        targets=goals,
        instruments=instruments,
    )


def exits(run: Run) -> list[tuple[int, float, str]]:
    """Bar, price and reason of every exit."""
    sold = [row for row in run.fills if row["reason"] != Reason.ENTRY]
    return [(int(row["bar"]), float(row["price"]), Reason(row["reason"]).name.lower()) for row in sold]


def entries(run: Run) -> list[tuple[int, float, float]]:
    """Bar, price and quantity of every entry."""
    bought = [row for row in run.fills if row["reason"] == Reason.ENTRY]
    return [(int(row["bar"]), float(row["price"]), float(row["quantity"])) for row in bought]
