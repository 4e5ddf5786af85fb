"""What is known of every symbol's newest bars, found once for all scans until the next bar closes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from crypto_mcp.analysis.findings import Bools
from crypto_mcp.conditions.operations import Context
from crypto_mcp.models.candles import Candles, Floats
from crypto_mcp.models.timeframes import Timeframe

Event: TypeAlias = tuple[str, tuple[Any, ...]]
Series: TypeAlias = Bools | Floats

_ZONES = ("any", "demand", "supply")
_WAYS = ("any", "bullish", "bearish")
_SCALES = ("external", "internal")

# Found together: finding structure costs far more than asking it one thing more.
STRUCTURE_EVENTS: tuple[Event, ...] = (
    *(("in_order_block", (zone,)) for zone in _ZONES),
    *(("in_fvg", (way,)) for way in _WAYS),
    *((kind, (way, scale)) for kind in ("bos", "choch") for way in _WAYS for scale in _SCALES),
    *(("sweep", (way,)) for way in _WAYS),
    *(("structure_trend", (scale,)) for scale in _SCALES),
    ("range_position", ()),
)
_STRUCTURAL = {name for name, _ in STRUCTURE_EVENTS}


class SymbolBars(Context):
    """Bars whose events are kept in `events`, which outlives it; the structure behind them is not, for its size."""

    def __init__(self, candles: Candles, events: dict[Event, Series]) -> None:
        super().__init__(candles, {})
        self._events = events

    def event(self, name: str, options: tuple[Any, ...]) -> Series:
        """See `Bars`."""
        if (name, options) not in self._events:
            wanted = STRUCTURE_EVENTS if name in _STRUCTURAL else ((name, options),)
            for event in wanted:
                self._events[event] = super().event(*event)
        return self._events[name, options]


@dataclass(slots=True)
class Board:
    """The newest bars of many symbols on one timeframe.

    Attributes:
        timeframe: length of a bar.
        close: of the newest bar, milliseconds since the epoch.
        window: newest bars of each symbol that are looked at.
        candles: by symbol, at least so many where there are.
        source: who said so.
        events: of each symbol, by what was asked.
    """

    timeframe: Timeframe
    close: int
    window: int
    candles: Mapping[str, Candles]
    source: str = ""
    events: dict[str, dict[Event, Series]] = field(default_factory=dict)

    def anticipate(self, symbol: str) -> None:
        """Finds a symbol's structure, which takes far longer than anything else, before a scan asks for it."""
        self.bars(symbol).event(*STRUCTURE_EVENTS[0])

    def bars(self, symbol: str) -> SymbolBars:
        """A symbol's bars, with what was found in them before."""
        return SymbolBars(self.candles[symbol][-self.window :], self.events.setdefault(symbol, {}))
