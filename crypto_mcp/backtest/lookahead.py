"""Whether a run knew the future: it is replayed on data that ends earlier, and must do the same up to there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from crypto_mcp.backtest.prepare import Prepared
from crypto_mcp.backtest.run import Run, simulate
from crypto_mcp.errors import InvalidRequest
from crypto_mcp.models.candles import Candles, Ints

Prepare = Callable[[Mapping[str, Candles]], Prepared]

REPLAYS = 5


class LookaheadFound(InvalidRequest):
    """Data that came later changed what was decided before."""

    code = "lookahead_found"


def lookahead_check(
    prepare: Prepare, candles: Mapping[str, Candles], prepared: Prepared, run: Run, *, replays: int = REPLAYS
) -> int:
    """Replays the run on the first bars only, several times; how many times.

    Data is cut right after bars on which something was decided, where knowing the next bar would have paid; where there
    are none, anywhere. All signals and all equity before the cut must be the same, to the bit.

    Args:
        prepare: makes the arrays of a run of candles; the strategy is in it.
        candles, prepared, run: of the whole data.
        replays: at most so many.

    Raises:
        LookaheadFound: with the first bar that differs.
    """
    cuts = _cuts(prepared, replays)
    for cut in cuts:
        until = int(prepared.open_time[cut])
        part = {symbol: c[: int(np.searchsorted(c.open_time, until))] for symbol, c in candles.items()}
        _compare(prepared, run, prepare({s: c for s, c in part.items() if len(c)} | _empty(part, prepared)), cut)
    return len(cuts)


def _empty(part: Mapping[str, Candles], prepared: Prepared) -> dict[str, Candles]:
    """Symbols that had no bars yet keep their row."""
    return {symbol: candles for symbol, candles in part.items() if not len(candles) and symbol in prepared.symbols}


def _cuts(prepared: Prepared, replays: int) -> Ints:
    """Numbers of bars to keep, spread over the decisions."""
    bars = len(prepared.open_time)
    decided = np.flatnonzero(prepared.signals.any(axis=0)) + 1
    places = decided[(decided > 1) & (decided < bars)]
    if len(places) < replays:
        places = np.union1d(places, np.linspace(2, max(2, bars - 1), replays).astype(np.int64))
        places = places[places < bars]
    chosen = np.linspace(0, len(places) - 1, min(replays, len(places))).astype(np.int64)
    return np.asarray(places[chosen], dtype=np.int64)


def _compare(whole: Prepared, run: Run, part: Prepared, cut: int) -> None:
    signals, before = part.signals, whole.signals[:, :cut]
    # The last bar of the part closes what is open, so that its equity is not compared.
    equity = simulate(part).equity[: cut - 1]
    same = (signals == before).all(axis=0)
    same[: cut - 1] &= equity == run.equity[: cut - 1]
    if not same.all():
        bar = int(np.argmin(same))
        when = np.datetime64(int(whole.open_time[bar]), "ms")
        raise LookaheadFound(
            f"what was decided at {when} changes when the data ends {cut - bar} bars later",
            hint="A result that knows the future is worth nothing. Report the conditions: none of the language should.",
        )
