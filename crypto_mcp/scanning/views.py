"""One symbol on one timeframe, as the finder of opportunities sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from crypto_mcp.analysis.findings import NEVER, Rows
from crypto_mcp.analysis.landscape import Landscape, survey
from crypto_mcp.analysis.verdict import Verdict, judge
from crypto_mcp.models.candles import Candles
from crypto_mcp.models.opportunities import ZoneKind
from crypto_mcp.models.timeframes import Timeframe

LEAST_BARS = 100

# Of a level that price turned at before, in ATR to either side: it is no line.
LEVEL_HALF_WIDTH = 0.15


@dataclass(frozen=True, slots=True)
class Band:
    """A zone that a trade may enter in, or end at.

    Attributes:
        timeframe: it was found on.
        kind: what it is.
        side: 1 demand, -1 supply.
        bottom, top: quote asset.
        strength: 0 to 100.
        holds: percent of like zones that held when price came back; None where that was not counted.
        fresh: whether price has not been in it yet.
    """

    timeframe: Timeframe
    kind: ZoneKind
    side: int
    bottom: float
    top: float
    strength: float
    holds: float | None = None
    fresh: bool = False

    def overlaps(self, other: Band, room: float) -> bool:
        """Whether both lie within `room` of each other."""
        return self.bottom - room <= other.top and other.bottom <= self.top + room


@dataclass(frozen=True, slots=True)
class Pool:
    """A price behind which stops are likely to rest: side 1 above the highs, -1 below the lows."""

    timeframe: Timeframe
    side: int
    price: float
    what: str


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What one timeframe says.

    Attributes:
        timeframe, candles: closed bars.
        landscape, verdict: as the analysis of that timeframe has them.
        trend: of external structure: 1 up, -1 down, 0 none.
        bands: zones of both sides that no close has broken, and levels.
        pools: liquidity that was not taken.
    """

    timeframe: Timeframe
    candles: Candles
    landscape: Landscape
    verdict: Verdict
    trend: int
    bands: tuple[Band, ...]
    pools: tuple[Pool, ...]


def view(timeframe: Timeframe, candles: Candles) -> View:
    """Of at least 100 closed bars."""
    landscape = survey(candles)
    verdict = judge(candles, landscape)
    return View(
        timeframe=timeframe,
        candles=candles,
        landscape=landscape,
        verdict=verdict,
        trend=landscape.external.trend,
        bands=tuple(_bands(timeframe, landscape, verdict.atr)),
        pools=tuple(_pools(timeframe, landscape)),
    )


def as_of(candles: Mapping[Timeframe, Candles], close: int) -> dict[Timeframe, Candles]:
    """The bars of every timeframe that had closed by a time, milliseconds: what was known then, and no more."""
    return {
        timeframe: bars[: int(np.searchsorted(bars.close_time, close, side="right"))]
        for timeframe, bars in candles.items()
    }


def _bands(timeframe: Timeframe, landscape: Landscape, atr: float) -> list[Band]:
    blocks = landscape.structure.order_blocks.rows
    gaps = landscape.structure.fair_value_gaps.rows
    found = [_band(timeframe, "order block", row, float(row["confidence"])) for row in _open(blocks, "broken_at")]
    found += [_band(timeframe, "gap", row, None) for row in _open(gaps, "filled_at", "inverted_at")]
    half = LEVEL_HALF_WIDTH * atr
    for side, levels in ((1, landscape.support), (-1, landscape.resistance)):
        found += [
            Band(timeframe, "level", side, at.level - half, at.level + half, min(100.0, 20.0 * at.touches))
            for at in levels
        ]
    return found


def _open(rows: Rows, *ends: str) -> Rows:
    holds = np.logical_and.reduce([rows[end] == NEVER for end in (*ends, "expired_at")])
    return rows.compress(holds)


def _band(timeframe: Timeframe, kind: ZoneKind, row: Rows, holds: float | None) -> Band:
    return Band(
        timeframe=timeframe,
        kind=kind,
        side=int(row["direction"]),
        bottom=float(row["bottom"]),
        top=float(row["top"]),
        strength=float(row["strength"]),
        holds=holds,
        fresh=bool(row["tested_at"] == NEVER),
    )


def _pools(timeframe: Timeframe, landscape: Landscape) -> list[Pool]:
    levels = landscape.structure.liquidity.alive()
    return [
        Pool(
            timeframe,
            1 if level.direction == "bearish" else -1,
            level.top if level.direction == "bearish" else level.bottom,
            f"{level.touches} equal {'highs' if level.direction == 'bearish' else 'lows'}"
            if level.kind == "pool"
            else f"{'high' if level.direction == 'bearish' else 'low'} of the {level.kind.replace('_', ' ')}",
        )
        for level in levels
        if not any(change.state == "swept" for change in level.changes)
    ]
