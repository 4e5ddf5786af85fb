"""What the past left behind: structure, zones and levels that the next bars meet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from crypto_mcp.analysis.dealing_range import DealingRange
from crypto_mcp.analysis.findings import NEVER, Findings
from crypto_mcp.analysis.levels import find_levels
from crypto_mcp.analysis.market_structure import Structure, find_structure
from crypto_mcp.analysis.structure import Break
from crypto_mcp.analysis.swings import Swing
from crypto_mcp.analysis.trend import Swings, swing_direction
from crypto_mcp.analysis.volatility import average_true_range
from crypto_mcp.models.analysis import Level
from crypto_mcp.models.candles import Candles

# Bars in which a break of structure loses all but 1/e of its weight.
FADE_BARS = 10


@dataclass(frozen=True, slots=True)
class Standing:
    """Where structure of one size stands.

    Attributes:
        trend: 1 up, -1 down, 0 before the first break.
        kind: of the newest break: `bos` with the trend before it, `choch` against it; empty before the first.
        level: price that it broke.
        since: its bar.
        failed: whether price closed back.
        high, low: the newest swings that nothing has broken; a close beyond breaks structure.
    """

    trend: int = 0
    kind: str = ""
    level: float = math.nan
    since: int = 0
    failed: bool = False
    high: float = math.inf
    low: float = -math.inf

    def after(self, bar: int, close: float) -> Standing:
        """The standing once `bar` has closed at `close`."""
        side = 1 if close > self.high else -1 if close < self.low else 0
        if not side:
            return self
        level = self.high if side > 0 else self.low
        return Standing(side, "choch" if self.trend == -side else "bos", level, bar)

    def freshness(self, bar: int) -> float:
        """1 on the bar of the newest break, falling to 1/e in ten bars; 0 without one and for a failed one."""
        return math.exp((self.since - bar) / FADE_BARS) if self.kind and not self.failed else 0.0


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone that no close has broken: side 1 for demand or a gap up, -1 for supply or a gap down; strength 0 to 1."""

    name: str
    side: int
    top: float
    bottom: float
    strength: float


@dataclass(frozen=True, slots=True)
class Landscape:
    """What the past left behind. It holds for the next bar too, whatever its close."""

    structure: Structure
    swings: Swings
    support: list[Level]
    resistance: list[Level]
    external: Standing
    internal: Standing
    zones: tuple[Zone, ...]
    range: DealingRange | None

    def near(self, close: float, reach: float) -> Landscape:
        """The same with those zones only that lie within `reach` of a price: the others pull at no price around it."""
        near = (zone for zone in self.zones if zone.bottom - reach < close < zone.top + reach)
        return replace(self, zones=tuple(near))

    def floors(self) -> list[float]:
        """Prices below which a rise is refuted: support, and the far edge of demand zones and gaps up."""
        return [level.level for level in self.support] + [zone.bottom for zone in self.zones if zone.side > 0]

    def ceilings(self) -> list[float]:
        """Prices above which a fall is refuted: resistance, and the far edge of supply zones and gaps down."""
        return [level.level for level in self.resistance] + [zone.top for zone in self.zones if zone.side < 0]

    def obstacles_above(self) -> list[float]:
        """Where a rise may end: resistance, and the near edge of supply zones and gaps down."""
        return [level.level for level in self.resistance] + [zone.bottom for zone in self.zones if zone.side < 0]

    def obstacles_below(self) -> list[float]:
        """Where a fall may end: support, and the near edge of demand zones and gaps up."""
        return [level.level for level in self.support] + [zone.top for zone in self.zones if zone.side > 0]


def survey(candles: Candles) -> Landscape:
    """The landscape as known at the newest bar."""
    found = find_structure(candles)
    external = found.external_swings.rows
    highs, lows = (external["top"][external["direction"] == side] for side in (-1, 1))
    support, resistance = find_levels(candles, found.internal_swings, average_true_range(candles))
    return Landscape(
        structure=found,
        swings=swing_direction(highs, lows),
        support=support,
        resistance=resistance,
        external=_standing(found.external_swings, found.external_breaks),
        internal=_standing(found.internal_swings, found.internal_breaks),
        zones=tuple(_zones(found)),
        range=found.dealing_range,
    )


def _standing(swings: Findings[Swing], breaks: Findings[Break]) -> Standing:
    high, low = (_unbroken(swings, breaks, side) for side in (-1, 1))
    high, low = (math.inf if high is None else high), (-math.inf if low is None else low)
    if not len(breaks):
        return Standing(high=high, low=low)
    newest = breaks[-1]
    trend = 1 if newest.direction == "bullish" else -1
    return Standing(trend, newest.kind, newest.level, newest.at, newest.state == "failed", high, low)


def _unbroken(swings: Findings[Swing], breaks: Findings[Break], side: int) -> float | None:
    """Price of the newest known swing high (-1) or low (1), unless a break has used it up."""
    places = np.flatnonzero(swings.rows["direction"] == side)
    if not len(places):
        return None
    newest = swings.rows[places[-1]]
    used = (breaks.rows["swing_at"] == newest["at"]) & (breaks.rows["direction"] == -side)
    return None if used.any() else float(newest["top"])


def _zones(found: Structure) -> Iterator[Zone]:
    blocks, gaps = found.order_blocks.rows, found.fair_value_gaps.rows
    for name, rows, ends in (
        ("order block", blocks, ("broken_at", "expired_at")),
        ("gap", gaps, ("filled_at", "inverted_at", "expired_at")),
    ):
        holds = np.logical_and.reduce([rows[end] == NEVER for end in ends])
        columns = (rows[column][holds].tolist() for column in ("direction", "top", "bottom", "strength"))
        for side, top, bottom, strength in zip(*columns, strict=True):
            yield Zone(name, side, top, bottom, strength / 100)
