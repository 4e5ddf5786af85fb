"""Which symbols match a scan, and how they rank."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from crypto_mcp.conditions import Condition
from crypto_mcp.conditions.measure import holds_last, last_value, told
from crypto_mcp.conditions.operations import run
from crypto_mcp.models.scans import Bias, ScanSide
from crypto_mcp.scanning.board import Board, SymbolBars
from crypto_mcp.scanning.scans import Scan, Setup

# Bars after which a custom condition that stays true has lost all but 1/e of the five points above the middle.
FADE_BARS = 12


@dataclass(frozen=True, slots=True)
class Match:
    """A symbol that matched: the way it points, its score 0 to 10, and the facts."""

    symbol: str
    side: Bias
    score: float
    why: tuple[str, ...]


def matches(
    scan: Scan,
    boards: Sequence[Board],
    symbols: Sequence[str],
    *,
    side: ScanSide = "any",
    also: Condition | None = None,
) -> Iterator[Match | None]:
    """For each symbol whether it matches on all boards; the first board ranks. In the order of the symbols.

    Args:
        scan: a built-in one, or `CUSTOM` for what `also` says alone.
        boards: one a timeframe; each has all the symbols.
        symbols: to look at.
        side: of setups to consider.
        also: a condition that must hold too, on every board.
    """
    setups = [setup for setup in scan.setups if side in ("any", setup.side)]
    for symbol in symbols:
        yield _match(scan, setups, [board.bars(symbol) for board in boards], symbol, also)


def _match(
    scan: Scan, setups: Sequence[Setup], bars: Sequence[SymbolBars], symbol: str, also: Condition | None
) -> Match | None:
    if also is not None and not all(holds_last(also, each) for each in bars):
        return None
    extra = tuple(told(also, bars[0])) if also is not None else ()
    if not scan.setups and also is not None:
        return Match(symbol, "neutral", _freshness(also, bars[0]), extra)
    for setup in setups:
        if all(holds_last(setup.condition, each) for each in bars):
            return Match(symbol, setup.side, _score(setup, bars[0]), (*told(setup.condition, bars[0]), *extra))
    return None


def _score(setup: Setup, bars: SymbolBars) -> float:
    """5 at the setup's low, 10 at its high; 0 where the rank is not known."""
    rank = last_value(setup.measure, bars)
    if not math.isfinite(rank):
        return 0.0
    return round(min(10.0, max(0.0, 5 + 5 * (rank - setup.low) / (setup.high - setup.low))), 2)


def _freshness(condition: Condition, bars: SymbolBars) -> float:
    """10 on the bar on which the condition becomes true, towards 5 while it stays true."""
    held = np.asarray(run(condition.plan, bars))
    before = np.flatnonzero(~held)
    since = len(held) - 1 - (int(before[-1]) + 1 if len(before) else 0)
    return round(5 + 5 * math.exp(-since / FADE_BARS), 2)
