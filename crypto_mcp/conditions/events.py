"""Terms that engines of their own find: market structure, candlestick patterns, divergences."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from crypto_mcp.analysis.findings import Bools, Findings, Rows
from crypto_mcp.analysis.indicators import pattern
from crypto_mcp.analysis.indicators.divergences import GAUGES, HIDDEN, REGULAR, Divergence, find_divergences
from crypto_mcp.analysis.market_structure import Structure, find_structure, in_zones
from crypto_mcp.models.candles import Candles, Floats

WAYS = {"bullish": 1, "bearish": -1}


class Bars:
    """Candles, and what is found in them once for all terms that ask."""

    def __init__(self, candles: Candles) -> None:
        self.candles = candles

    def event(self, name: str, options: tuple[Any, ...]) -> Bools | Floats:
        """What an event of that name gives on these bars."""
        return EVENTS[name](self, *options)

    @cached_property
    def structure(self) -> Structure:
        """Their market structure."""
        return find_structure(self.candles)

    @cached_property
    def divergences(self) -> Findings[Divergence]:
        """Their divergences."""
        return find_divergences(self.candles)


def _marked(bars: Bars, rows: Rows, chosen: Bools) -> Bools:
    """The bars on which the chosen findings became known."""
    marked = np.zeros(len(bars.candles), dtype=np.bool_)
    marked[rows["known_at"][chosen]] = True
    return marked


def _towards(rows: Rows, direction: str) -> Bools:
    """Asked thousands of times a scan: np.isin takes ten times as long on so few rows."""
    way = rows["direction"]
    return np.asarray(way == WAYS[direction] if direction in WAYS else way != 0)


def _in_order_block(bars: Bars, kind: str) -> Bools:
    wanted: Any = kind if kind != "any" else None
    return in_zones(bars.structure.order_blocks, bars.candles.close, wanted)


def _in_fvg(bars: Bars, direction: str) -> Bools:
    wanted: Any = {"bullish": "demand", "bearish": "supply"}.get(direction)
    return in_zones(bars.structure.fair_value_gaps, bars.candles.close, wanted)


def _new_order_block(bars: Bars, kind: str) -> Bools:
    rows = bars.structure.order_blocks.rows
    return _marked(bars, rows, _towards(rows, {"demand": "bullish", "supply": "bearish"}.get(kind, "any")))


def _new_fvg(bars: Bars, direction: str) -> Bools:
    rows = bars.structure.fair_value_gaps.rows
    return _marked(bars, rows, _towards(rows, direction))


def _break(kind: int) -> Callable[[Bars, str, str], Bools]:
    def found(bars: Bars, direction: str, scale: str) -> Bools:
        structure = bars.structure
        rows = (structure.external_breaks if scale == "external" else structure.internal_breaks).rows
        return _marked(bars, rows, _towards(rows, direction) & (rows["kind"] == kind))

    return found


def _sweep(bars: Bars, direction: str) -> Bools:
    rows = bars.structure.sweeps.rows
    return _marked(bars, rows, _towards(rows, direction))


def _structure_trend(bars: Bars, scale: str) -> Floats:
    structure = bars.structure
    return (structure.external_trend if scale == "external" else structure.internal_trend).astype(np.float64)


def _range_position(bars: Bars) -> Floats:
    return np.asarray(bars.structure.dealing_ranges.position(bars.candles.close), dtype=np.float64)


def _pattern(bars: Bars, name: str, direction: str) -> Bools:
    if not len(bars.candles):
        return np.zeros(0, dtype=np.bool_)
    found = pattern(bars.candles, name)
    return np.asarray(found == WAYS[direction] if direction in WAYS else found != 0)


def _divergence(bars: Bars, gauge: str, direction: str, kind: str) -> Bools:
    if not len(bars.candles):
        return np.zeros(0, dtype=np.bool_)
    rows = bars.divergences.rows
    chosen = _towards(rows, direction) & (rows["kind"] == (HIDDEN if kind == "hidden" else REGULAR))
    if gauge != "any":
        chosen &= rows["gauge"] == [str(name) for name in GAUGES].index(gauge)
    return _marked(bars, rows, chosen)


EVENTS: dict[str, Callable[..., Bools | Floats]] = {
    "in_order_block": _in_order_block,
    "in_fvg": _in_fvg,
    "new_order_block": _new_order_block,
    "new_fvg": _new_fvg,
    "bos": _break(0),
    "choch": _break(1),
    "sweep": _sweep,
    "structure_trend": _structure_trend,
    "range_position": _range_position,
    "pattern": _pattern,
    "divergence": _divergence,
}
