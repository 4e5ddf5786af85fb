"""Market structure: breaks of structure, changes of character, and the trend they make.

Price breaks structure when it closes (or, by choice, trades) beyond the newest known swing point that has not been
broken. In the direction of the trend so far that is a break of structure (BoS), against it a change of character
(ChoCH), after which the trend is the other one. The first break of all is a BoS: there was no character to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from crypto_mcp.analysis.findings import Finding, Findings, Rows, begun, blank
from crypto_mcp.analysis.kernels import Bars, grade
from crypto_mcp.analysis.measures import Measures
from crypto_mcp.analysis.swings import Swing
from crypto_mcp.compiling import compiled
from crypto_mcp.models.candles import Ints

BreakBy = Literal["close", "wick"]

# How strength adds up: way beyond the level in ATR, volume score, body share (see `grade`).
HALVES, WEIGHTS = np.array((0.5, 1.0, 0.0)), np.array((0.5, 0.3, 0.2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Break(Finding):
    """A break of structure or change of character, on the bar that broke.

    `top` and `bottom` span from the level to the close of that bar.

    Attributes:
        kind: `bos` with the trend, `choch` against it.
        level: price that was broken.
        swing_at: bar of the swing point it belongs to.
        reach: strength of that swing; the small one is internal, the large one external structure.
        beyond_atr: how far beyond the level the bar closed, in ATR; negative for a wick that closed back.
        volume_z: volume of the bar in standard deviations from the 50 bars before.
        body_share: part of the bar's range that its body covers, 0 to 1.

    States: `failed` when one of the next bars closes back beyond the level, `held` when none of them does.
    """

    STATES: ClassVar[tuple[str, ...]] = ("failed", "held")
    NAMES: ClassVar[Mapping[str, Mapping[int, str]]] = {"kind": {0: "bos", 1: "choch"}}

    kind: Literal["bos", "choch"]
    level: float
    swing_at: int
    reach: int
    beyond_atr: float
    volume_z: float
    body_share: float


def find_breaks(measures: Measures, swings: Findings[Swing], by: BreakBy, fail_within: int) -> Findings[Break]:
    """Breaks of these swings, oldest first; one a swing.

    Args:
        measures: of the bars.
        swings: of one reach.
        by: what must pass the level, the bar's `close` or its `wick`.
        fail_within: bars after the break in which a close back makes it a failed one.
    """
    bars, rows = measures.bars, blank(Break, len(swings))
    rows = begun(Break, rows[: _find(bars, by == "wick", swings.rows, rows)])
    _describe(bars, fail_within, rows)
    grade((rows["beyond_atr"], rows["volume_z"], rows["body_share"]), HALVES, WEIGHTS, rows["strength"])
    return Findings(Break, rows)


def trend_of(breaks: Findings[Break], bars: int) -> Ints:
    """The trend that the breaks made, at the close of each bar: 1 up, -1 down, 0 before the first break."""
    return _trend(breaks.rows, bars)


def merged(external: Findings[Break], internal: Findings[Break]) -> Findings[Break]:
    """Breaks of both scales in the order in which they are known; the external first where a bar broke both."""
    rows = blank(Break, len(external) + len(internal))
    _merge(external.rows, internal.rows, rows)
    return Findings(Break, rows)


@compiled
def _find(bars: Bars, by_wick: bool, swings: Rows, rows: Rows) -> int:
    count, following, trend = 0, 0, 0
    unbroken = np.array((-1, -1))  # rows of the newest swing high and swing low
    edges = (bars.high, bars.low) if by_wick else (bars.close, bars.close)
    for bar in range(len(bars.close)):
        # A bar that passes both levels is taken to have gone against its body first.
        first = 0 if bars.close[bar] < bars.open[bar] else 1
        for i in (first, 1 - first):
            if unbroken[i] < 0:
                continue
            swing, direction = swings[unbroken[i]], 1 - 2 * i
            if (edges[i][bar] - swing["top"]) * direction <= 0:
                continue
            row = rows[count]
            count += 1
            row["at"], row["direction"], row["kind"] = bar, direction, 1 if trend == -direction else 0
            row["level"], row["swing_at"], row["reach"] = swing["top"], swing["at"], swing["reach"]
            trend, unbroken[i] = direction, -1
        while following < len(swings) and swings[following]["known_at"] <= bar:
            unbroken[0 if swings[following]["direction"] < 0 else 1] = following
            following += 1
    return count


@compiled
def _describe(bars: Bars, fail_within: int, rows: Rows) -> None:
    for row in rows:
        at, level, direction = row["at"], row["level"], row["direction"]
        close, span = bars.close[at], bars.high[at] - bars.low[at]
        row["known_at"], row["top"], row["bottom"] = at, max(level, close), min(level, close)
        row["beyond_atr"] = (close - level) * direction / bars.atr[at] if bars.atr[at] > 0 else 0.0
        row["volume_z"] = bars.volume_z[at]
        row["body_share"] = abs(close - bars.open[at]) / span if span > 0 else 0.0
        last = at + fail_within
        for bar in range(at, min(last + 1, len(bars.close))):
            if (bars.close[bar] - level) * direction < 0:
                row["failed_at"] = bar
                break
        if row["failed_at"] < 0 and last < len(bars.close):
            row["held_at"] = last


@compiled
def _trend(rows: Rows, bars: int) -> Ints:
    trend, following, now = np.zeros(bars, dtype=np.int64), 0, 0
    for bar in range(bars):
        while following < len(rows) and rows[following]["known_at"] == bar:
            now = rows[following]["direction"]
            following += 1
        trend[bar] = now
    return trend


@compiled
def _merge(first: Rows, second: Rows, merged: Rows) -> None:
    i, j = 0, 0
    for row in range(len(merged)):
        if j == len(second) or (i < len(first) and first[i]["known_at"] <= second[j]["known_at"]):
            merged[row] = first[i]
            i += 1
        else:
            merged[row] = second[j]
            j += 1
