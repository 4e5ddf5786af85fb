"""Loops over bars, compiled once and kept on disk; no fastmath, so that a prefix gives the same bits as the whole.

An argument of another type compiles a function again: callers pass floats where floats are meant, and `plain` series.

A compiled function that calls one of another file is not compiled again when only that other file changes: kernels
share figures through arrays, not through calls.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from crypto_mcp.analysis.findings import Bools, Rows
from crypto_mcp.compiling import compiled
from crypto_mcp.models.candles import Floats, Ints

S = TypeVar("S", bound=np.generic)


class Bars(NamedTuple):
    """Series of one length as kernels take them."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    atr: Floats
    volume_z: Floats


def mirrored(bars: Bars) -> Bars:
    """The bars with prices turned upside down: what is written for one direction serves the other."""
    return Bars(-bars.open, -bars.low, -bars.high, -bars.close, bars.volume, bars.atr, bars.volume_z)


def plain(series: NDArray[S]) -> NDArray[S]:
    """Writable and contiguous: a read-only or strided array would make every kernel compile again for its type."""
    return series if series.flags.writeable and series.flags.c_contiguous else np.array(series)


@compiled
def average_true_range(high: Floats, low: Floats, close: Floats, period: int) -> Floats:
    """Wilder's average true range at every bar; until bar `period` the mean of what there is.

    From bar `period` on it is TA-Lib's ATR (J. Welles Wilder, New Concepts in Technical Trading Systems, 1978).
    """
    atr = np.empty(len(close))
    total = 0.0
    for bar in range(len(close)):
        if bar == 0:
            atr[0] = high[0] - low[0]
            continue
        reach = max(high[bar], close[bar - 1]) - min(low[bar], close[bar - 1])
        if bar <= period:
            total += reach
            atr[bar] = total / bar
        else:
            atr[bar] = (atr[bar - 1] * (period - 1) + reach) / period
    return atr


@compiled
def volume_scores(volume: Floats, window: int) -> tuple[Floats, Floats]:
    """Volume against the `window` bars before: (standard score within -10..10, ratio to their mean).

    Both are of the bar's own volume against bars before it, fewer than `window` at the beginning. Where those do not
    vary the score is 0, where they are without volume the ratio is 0. The window's sums are taken afresh every
    `window` bars and after a bar that outweighs them, so that rounding cannot pile up.
    """
    score, ratio = np.zeros(len(volume)), np.zeros(len(volume))
    mean, spread = 0.0, 0.0  # spread: sum of squared distances from the mean (Welford 1962)
    for bar in range(1, len(volume)):
        count = min(bar, window)
        begin = bar - count
        if bar <= window:
            before = mean
            mean += (volume[bar - 1] - mean) / count
            spread += (volume[bar - 1] - before) * (volume[bar - 1] - mean)
        else:
            came, went = volume[bar - 1], volume[begin - 1]
            before = mean
            mean += (came - went) / count
            spread += (came - went) * (came - mean + went - before)
            # Beside a bar of so much volume what is left in the window was lost in rounding.
            if bar % window == 0 or went > 1e4 * mean:
                mean = volume[begin:bar].sum() / count
                spread = ((volume[begin:bar] - mean) ** 2).sum()
        deviation = np.sqrt(max(spread, 0.0) / count)
        if mean > 0 and deviation > 1e-9 * mean:
            score[bar] = min(10.0, max(-10.0, (volume[bar] - mean) / deviation))
        if mean > 0:
            ratio[bar] = volume[bar] / mean
    return score, ratio


@compiled
def grade(figures: tuple[Floats, ...], halves: Floats, weights: Floats, strength: Floats) -> None:
    """Add up a strength from figures: each gives 100 x / (x + half) times its weight, 0 where it is not positive.

    A half of 0 stands for a figure that runs from 0 to 1 as it is.
    """
    for row in range(len(strength)):
        total = 0.0
        for i in range(len(figures)):
            x = figures[i][row]
            if x > 0:
                total += weights[i] * (100 * x / (x + halves[i]) if halves[i] > 0 else 100 * x)
        strength[row] = total


@compiled
def follow_levels(bars: Bars, mirror: Bars, rows: Rows, until: Ints) -> None:
    """Fill in when each level was swept (wick beyond it, close back), broken (close beyond it), or else expired.

    A level of direction -1 is a high, from which price is expected to fall; of 1 a low. Levels are followed from the
    bar after `known_at` to `until`, at which they expire.
    """
    for i in range(len(rows)):
        row = rows[i]
        is_high = row["direction"] < 0
        highs, closes = (bars.high, bars.close) if is_high else (mirror.high, mirror.close)
        level = row["top"] if is_high else -row["bottom"]
        for bar in range(row["known_at"] + 1, min(until[i] + 1, len(closes))):
            if highs[bar] <= level:
                continue
            if closes[bar] > level:
                row["broken_at"] = bar
                break
            if row["swept_at"] < 0:
                row["swept_at"] = bar
        if row["broken_at"] < 0 and until[i] < len(bars.close):
            row["expired_at"] = until[i]


@compiled
def _until_broken(side: Bars, near: float, far: float, begin: int, end: int, fills: bool, life: Ints) -> int:
    middle = (near + far) / 2
    for bar in range(begin, end):
        low = side.low[bar]
        if low > near:
            continue
        if life[0] < 0:
            life[0] = bar
        if life[1] < 0 and low <= middle:
            life[1] = bar
        if fills and life[2] < 0 and low <= far:
            life[2] = bar
        if side.close[bar] < far:
            life[3 if fills else 2] = bar
            return bar
    return end


@compiled
def _after_break(side: Bars, near: float, far: float, begin: int, end: int, fills: bool, life: Ints) -> int:
    for bar in range(begin, end):
        if side.close[bar] > near:
            life[4] = bar
            return bar
        if not fills and life[3] < 0 and side.high[bar] >= far and side.close[bar] < far:
            life[3] = bar
    return end


@compiled
def follow_zones(bars: Bars, mirror: Bars, rows: Rows, max_age: int, fills: bool, life: Ints) -> None:
    """Fill in the life of each zone, one row of bars a zone.

    Columns of `life`: price traded into the zone (0), to its middle (1); closed beyond its far edge (2) and, coming
    back from there, was turned away (3); closed beyond its near edge again (4); followed for `max_age` bars (5). For
    what `fills`: traded to its far edge (2), closed beyond it (3).
    """
    for i in range(len(rows)):
        up, known_at = rows[i]["direction"] > 0, rows[i]["known_at"]
        side = bars if up else mirror
        near, far = (rows[i]["top"], rows[i]["bottom"]) if up else (-rows[i]["bottom"], -rows[i]["top"])
        end = min(len(side.close), known_at + max_age + 1)
        bar = _until_broken(side, near, far, known_at + 1, end, fills, life[i])
        bar = _after_break(side, near, far, bar + 1, end, fills, life[i])
        if bar == end < len(side.close):
            life[i, 5] = end


@compiled
def inside_zones(close: Floats, rows: Rows, end: Ints, inside: Bools) -> None:
    """Mark bars whose close lies in a zone that was known before the bar and had not ended; end -1: still there."""
    for i in range(len(rows)):
        stop = len(close) if end[i] < 0 else end[i]
        for bar in range(rows[i]["known_at"] + 1, stop):
            if rows[i]["bottom"] <= close[bar] <= rows[i]["top"]:
                inside[bar] = True
