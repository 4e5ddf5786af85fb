"""Loops over bars, compiled once and kept on disk; no fastmath, so that a prefix gives the same bits as the whole.

An argument of another type compiles a function again: callers pass floats where floats are meant, and `plain` series.

A compiled function that calls one of another file is not compiled again when only that other file changes: kernels
share figures through arrays, not through calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

import numba
import numpy as np

from crypto_mcp.analysis.findings import Bools, Rows
from crypto_mcp.models.candles import Floats, Ints

C = TypeVar("C", bound=Callable[..., object])


def compiled(function: C) -> C:
    """The function as machine code that runs without the interpreter's lock."""
    return cast(C, numba.njit(cache=True, nogil=True)(function))


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


def plain(series: Floats) -> Floats:
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
    `window` bars, so that rounding cannot pile up.
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
        elif bar % window == 0:
            mean = volume[begin:bar].sum() / count
            spread = ((volume[begin:bar] - mean) ** 2).sum()
        else:
            came, went = volume[bar - 1], volume[begin - 1]
            before = mean
            mean += (came - went) / count
            spread += (came - went) * (came - mean + went - before)
        deviation = np.sqrt(max(spread, 0.0) / count)
        if deviation > 1e-9 * mean:
            score[bar] = min(10.0, max(-10.0, (volume[bar] - mean) / deviation))
        if mean > 0:
            ratio[bar] = volume[bar] / mean
    return score, ratio


@compiled
def follow_levels(bars: Bars, mirror: Bars, rows: Rows, until: Ints) -> None:
    """Fill in when each level was first swept (wick beyond it, close back) and when a close broke it.

    A level of direction -1 is a high, from which price is expected to fall; of 1 a low. Levels are followed from the
    bar after `known_at` up to, not including, `until`.
    """
    for i in range(len(rows)):
        row = rows[i]
        side = bars if row["direction"] < 0 else mirror
        level = row["top"] if row["direction"] < 0 else -row["bottom"]
        for bar in range(row["known_at"] + 1, min(until[i], len(side.close))):
            if side.high[bar] <= level:
                continue
            if side.close[bar] > level:
                row["broken_at"] = bar
                break
            if row["swept_at"] < 0:
                row["swept_at"] = bar


@compiled
def _until_broken(side: Bars, near: float, far: float, begin: int, end: int, life: Ints) -> int:
    middle = (near + far) / 2
    for bar in range(begin, end):
        low = side.low[bar]
        if low > near:
            continue
        if life[0] < 0:
            life[0] = bar
        if life[1] < 0 and low <= middle:
            life[1] = bar
        if life[2] < 0 and low <= far:
            life[2] = bar
        if side.close[bar] < far:
            life[3] = bar
            return bar
    return end


@compiled
def _after_break(side: Bars, near: float, far: float, begin: int, end: int, life: Ints) -> int:
    for bar in range(begin, end):
        if side.close[bar] > near:
            life[5] = bar
            return bar
        if life[4] < 0 and side.high[bar] >= far and side.close[bar] < far:
            life[4] = bar
    return end


@compiled
def follow_zones(bars: Bars, mirror: Bars, rows: Rows, max_age: int, life: Ints) -> None:
    """Fill in the life of each zone, one row of bars a zone, -1 for what has not happened.

    Columns of `life`: price traded into it (0), to its middle (1), to its far edge (2); closed beyond the far edge
    (3); after that came back and closed beyond again, so that it worked from the other side (4); or closed beyond
    the near edge, so that it is void (5). After `max_age` bars it is old (6).
    """
    for i in range(len(rows)):
        up, known_at = rows[i]["direction"] > 0, rows[i]["known_at"]
        side = bars if up else mirror
        near, far = (rows[i]["top"], rows[i]["bottom"]) if up else (-rows[i]["bottom"], -rows[i]["top"])
        end = min(len(side.close), known_at + max_age + 1)
        bar = _until_broken(side, near, far, known_at + 1, end, life[i])
        bar = _after_break(side, near, far, bar + 1, end, life[i])
        if bar == end < len(side.close):
            life[i, 6] = end


@compiled
def inside_zones(close: Floats, rows: Rows, end: Ints, inside: Bools) -> None:
    """Mark bars whose close lies in a zone that was known before the bar and had not ended; end -1: still there."""
    for i in range(len(rows)):
        stop = len(close) if end[i] < 0 else end[i]
        for bar in range(rows[i]["known_at"] + 1, stop):
            if rows[i]["bottom"] <= close[bar] <= rows[i]["top"]:
                inside[bar] = True
