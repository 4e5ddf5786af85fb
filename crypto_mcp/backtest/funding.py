"""What holding a perpetual cost: the rates that were paid where they are known, a usual one elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from crypto_mcp.models.candles import Floats, Ints

USUAL_PERCENT = 0.01
"""For eight hours: where most perpetuals rest."""

_EVERY, _MINUTE = 8 * 3_600_000, 60_000


class PaidFunding(NamedTuple):
    """Fundings of one symbol, oldest first: `times` in milliseconds, `rates` as fractions, longs to shorts."""

    times: Ints
    rates: Floats


def charged(times: Ints, symbols: Sequence[str], percent: float | None, paid: Mapping[str, PaidFunding]) -> Floats:
    """The rate charged at the open of each bar, for all fundings since the bar before; shape (symbols, bars).

    Args:
        times: start of each bar, milliseconds.
        symbols: row by row.
        percent: a constant rate at 0, 8 and 16 h UTC; None for what was paid.
        paid: by symbol. Before the first and after the last of them the usual rate counts.
    """
    rate = (USUAL_PERCENT if percent is None else percent) / 100
    constant = rate * np.diff(times // _EVERY, prepend=times[:1] // _EVERY).astype(np.float64)
    rows = np.tile(constant, (len(symbols), 1))
    for row, symbol in enumerate(symbols):
        known = paid.get(symbol) if percent is None else None
        if known is not None and len(known.times):
            # Exchanges stamp a funding some milliseconds after the hour that it is of.
            at = known.times // _MINUTE * _MINUTE
            inside = (times >= at[0]) & (times < at[-1] + _EVERY)
            total = np.concatenate([[0.0], np.cumsum(known.rates)])[np.searchsorted(at, times, side="right")]
            rows[row] = np.where(inside, np.diff(total, prepend=total[:1]), constant)
    return rows


def known_from(times: Ints, paid: Mapping[str, PaidFunding], symbols: Sequence[str]) -> list[str]:
    """Symbols whose fundings are known for the whole time of these bars, to within a funding at either end."""
    first, last = int(times[0]), int(times[-1])
    return [
        symbol
        for symbol in symbols
        if symbol in paid
        and len(paid[symbol].times)
        and paid[symbol].times[0] <= first + _EVERY
        and paid[symbol].times[-1] >= last - _EVERY
    ]
