"""Liquidity: prices behind which stops are likely to rest, and the sweeps that take them.

Pools are equal highs or lows; beside them stand the highs and lows of the last trading session, day, week and month.
A sweep is a wick beyond such a price on a bar that closes back: stops were taken and price refused to follow.
All hours are UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from crypto_mcp.analysis.findings import NEVER, Finding, Findings, Rows, begun, blank, joined
from crypto_mcp.analysis.kernels import Bars, compiled, follow_levels
from crypto_mcp.analysis.measures import Measures, in_atr, saturating
from crypto_mcp.analysis.swings import Swing
from crypto_mcp.models.candles import Candles, Ints

HOUR = 3_600_000
DAY = 24 * HOUR
MONDAY = 4 * DAY  # 1970-01-05 was the first Monday after the epoch

LevelKind = Literal["pool", "asia", "london", "new_york", "day", "week", "month", "swing"]
_KINDS: dict[int, LevelKind] = dict(enumerate(("pool", "asia", "london", "new_york", "day", "week", "month", "swing")))
# Hours of the trading sessions, the usual ones of charting tools.
SESSIONS = {"asia": (0, 9), "london": (7, 16), "new_york": (13, 22)}
# How many stops a price is likely to gather: a week of orders more than a session of them.
PERIOD_STRENGTH = {"asia": 30.0, "london": 35.0, "new_york": 35.0, "day": 50.0, "week": 70.0, "month": 85.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidityLevel(Finding):
    """A price with liquidity beyond it. A high is bearish: price is expected to turn down once it is swept.

    `at` is the bar of the (newest) extreme. `top` and `bottom` bound the pool; the price that must be passed is `top`
    for highs and `bottom` for lows.

    Attributes:
        kind: `pool` of equal highs or lows, or the period whose high or low it is.
        touches: swings in a pool; 1 for a period.

    States: `swept`, `broken` (a close beyond), `replaced` (by a pool with one more touch, or by the next period's),
    `expired` (an old pool).
    """

    STATES: ClassVar[tuple[str, ...]] = ("swept", "broken", "replaced", "expired")
    ENDS: ClassVar[tuple[str, ...]] = ("broken", "replaced", "expired")
    NAMES: ClassVar[Mapping[str, Mapping[int, str]]] = {"kind": _KINDS}

    kind: LevelKind
    touches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep(Finding):
    """A bar whose wick passed a liquid price and whose close came back. `top` and `bottom` span price and wick.

    Attributes:
        kind: of the level, or `swing` for a swing point of external structure.
        level: the price.
        level_at: bar of the extreme that made it.
        beyond_atr: how far the wick passed it, in ATR.
        back_atr: from the wick's end to the close, in ATR.
        volume_z: volume of the bar in standard deviations from the 50 bars before.
    """

    NAMES: ClassVar[Mapping[str, Mapping[int, str]]] = {"kind": _KINDS}

    kind: LevelKind
    level: float
    level_at: int
    beyond_atr: float
    back_atr: float
    volume_z: float


def find_liquidity(
    measures: Measures, swings: Findings[Swing], *, equal_tolerance: float, search: int, max_age: int
) -> Findings[LiquidityLevel]:
    """Pools and the levels of sessions, days, weeks and months, in the order in which they are known.

    Args:
        measures: of the bars.
        swings: from which pools are made; those of internal structure.
        equal_tolerance: distance in ATR within which highs or lows are equal.
        search: bars between two swings of a pool at most.
        max_age: bars after which a pool is no longer followed.
    """
    bars, until = measures.bars, np.empty(len(swings), dtype=np.int64)
    pools = blank(LiquidityLevel, len(swings))
    count = _find_pools(bars, swings.rows, pools, until, float(equal_tolerance), search, max_age)
    pools = pools[:count]
    pools["strength"] = np.minimum(100.0, 25.0 + 15.0 * pools["touches"])
    parts, ends = [pools], [until[:count]]
    for code, (inside, after) in _periods(measures.candles).items():
        capacity = 2 + 2 * int(np.count_nonzero(np.diff(inside)))
        rows, stop = blank(LiquidityLevel, capacity), np.empty(capacity, dtype=np.int64)
        count = _find_extremes(bars, inside, after, rows, stop)
        rows = rows[:count]
        rows["kind"] = code
        rows["touches"] = 1
        rows["strength"] = PERIOD_STRENGTH[_KINDS[code]]
        parts.append(rows)
        ends.append(stop[:count])
    rows = begun(LiquidityLevel, joined(LiquidityLevel, parts))
    return _follow(measures, rows, np.concatenate(ends), max_age)


def _follow(measures: Measures, rows: Rows, until: Ints, max_age: int) -> Findings[LiquidityLevel]:
    order = np.argsort(rows["known_at"], kind="stable")
    rows, until = rows[order], until[order]
    # A level is still followed on the bar that replaces it: what replaces it is known at that bar's close only.
    follow_levels(measures.bars, measures.mirror, rows, until + 1)
    over = (until < len(measures.candles)) & (rows["broken_at"] == NEVER)
    old = (rows["kind"] == 0) & (until == rows["known_at"] + max_age)
    rows["replaced_at"] = np.where(over & ~old, until, NEVER)
    rows["expired_at"] = np.where(over & old, until, NEVER)
    return Findings(LiquidityLevel, rows)


def find_sweeps(measures: Measures, levels: Findings[LiquidityLevel], swings: Findings[Swing]) -> Findings[Sweep]:
    """The sweeps of these levels and swings (of external structure), oldest first."""
    bars = measures.bars
    taken, turned = levels.rows[levels.rows["swept_at"] >= 0], swings.rows[swings.rows["swept_at"] >= 0]
    rows = blank(Sweep, len(taken) + len(turned))
    for name, column in {"at": "swept_at", "direction": "direction", "level_at": "at"}.items():
        rows[name] = np.concatenate((taken[column], turned[column]))
    price = np.where(taken["direction"] < 0, taken["top"], taken["bottom"])
    rows["level"] = np.concatenate((price, turned["top"]))
    rows["kind"] = np.concatenate((taken["kind"], np.full(len(turned), 7)))
    rows = rows[np.argsort(rows["at"], kind="stable")]
    at, atr = rows["at"], bars.atr[rows["at"]]
    tip = np.where(rows["direction"] < 0, bars.high[at], bars.low[at])
    rows["known_at"] = at
    rows["top"], rows["bottom"] = np.maximum(tip, rows["level"]), np.minimum(tip, rows["level"])
    rows["beyond_atr"] = in_atr(rows["top"] - rows["bottom"], atr)
    rows["back_atr"] = in_atr(np.abs(bars.close[at] - tip), atr)
    rows["volume_z"] = bars.volume_z[at]
    rows["strength"] = (
        0.4 * saturating(rows["back_atr"], 0.75)
        + 0.3 * saturating(rows["volume_z"], 1.0)
        + 0.3 * saturating(rows["beyond_atr"], 0.25)
    )
    return Findings(Sweep, rows)


def _periods(candles: Candles) -> dict[int, tuple[Ints, Ints]]:
    """Code of each kind of period that the bars resolve, to its number at the start and at the end of each bar.

    The starts have one entry more in front, for the moment before the first bar. -1 is outside of any period.
    """
    step, start = candles.step, candles.open_time
    moments = np.concatenate((start[:1] - 1, start, candles.close_time))
    day = moments // DAY
    numbers = {}
    if HOUR % step == 0:
        hour = (moments - day * DAY) // HOUR
        numbers = {
            kind: np.where((hour >= begin) & (hour < end), day, NEVER) for kind, (begin, end) in SESSIONS.items()
        }
    if step < DAY and DAY % step == 0:
        numbers["day"] = day
    if step < 7 * DAY and 7 * DAY % step == 0:
        numbers["week"] = (moments - MONDAY) // (7 * DAY)
    if DAY % step == 0 and len(start):
        days = np.arange(day[0], day[-1] + 1)
        numbers["month"] = days.astype("M8[D]").astype("M8[M]").astype(np.int64)[day - day[0]]
    cut = len(start) + 1
    return {code: (numbers[kind][:cut], numbers[kind][cut:]) for code, kind in _KINDS.items() if kind in numbers}


@compiled
def _equal(swings: Rows, new: int, tolerance: float, search: int) -> int:
    """The newest swing before `new` on its side within the tolerance and `search` bars; -1 for none."""
    swing = swings[new]
    for old in range(new - 1, -1, -1):
        if swing["at"] - swings[old]["at"] > search:
            break
        if swings[old]["direction"] == swing["direction"] and abs(swings[old]["top"] - swing["top"]) <= tolerance:
            return old
    return -1


@compiled
def _find_pools(
    bars: Bars, swings: Rows, rows: Rows, until: Ints, equal_tolerance: float, search: int, max_age: int
) -> int:
    count = 0
    pool_of = np.full(len(swings), -1)  # row of the newest pool that a swing is in
    for new in range(len(swings)):
        swing, now = swings[new], swings[new]["known_at"]
        old = _equal(swings, new, equal_tolerance * bars.atr[now], search)
        if old < 0:
            continue
        top, bottom = max(swing["top"], swings[old]["top"]), min(swing["top"], swings[old]["top"])
        since = slice(swings[old]["at"], now + 1)
        # Where price went beyond both in between or since, the stops are taken.
        if bars.high[since].max() > top if swing["direction"] < 0 else bars.low[since].min() < bottom:
            continue
        row = rows[count]
        row["at"], row["known_at"], row["direction"], row["touches"] = swing["at"], now, swing["direction"], 2
        earlier = pool_of[old]
        if earlier >= 0 and until[earlier] > now:
            row["touches"] = rows[earlier]["touches"] + 1
            top, bottom = max(top, rows[earlier]["top"]), min(bottom, rows[earlier]["bottom"])
            until[earlier] = now
        row["top"], row["bottom"] = top, bottom
        until[count] = now + max_age
        pool_of[new] = pool_of[old] = count
        count += 1
    return count


@compiled
def _complete(bars: Bars, bar: int, highest: int, lowest: int, rows: Rows, until: Ints, count: int) -> int:
    for side in (-1, 1):
        row = rows[count]
        row["at"] = highest if side < 0 else lowest
        row["known_at"], row["direction"] = bar, side
        row["top"] = row["bottom"] = bars.high[highest] if side < 0 else bars.low[lowest]
        until[count] = len(bars.close)
        if count >= 2:
            until[count - 2] = bar
        count += 1
    return count


@compiled
def _find_extremes(bars: Bars, inside: Ints, after: Ints, rows: Rows, until: Ints) -> int:
    """High and low of each complete period.

    `inside` is the period at the start of each bar, with one entry more in front for the moment before the first bar;
    `after` the one at its end. -1 is outside of any.
    """
    count, current, highest, lowest = 0, -1, 0, 0
    for bar in range(len(bars.close)):
        period = inside[bar + 1]
        if current >= 0 and period != current:  # its end lies in a hole of the data
            count, current = _complete(bars, bar, highest, lowest, rows, until, count), -1
        if current < 0 and period >= 0 and period != inside[bar]:
            current, highest, lowest = period, bar, bar
        elif current >= 0:
            highest = bar if bars.high[bar] > bars.high[highest] else highest
            lowest = bar if bars.low[bar] < bars.low[lowest] else lowest
        if current >= 0 and after[bar] != current:
            count, current = _complete(bars, bar, highest, lowest, rows, until, count), -1
    return count
