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

from crypto_mcp.analysis.findings import Finding, Findings, Rows, begun, blank
from crypto_mcp.analysis.kernels import Bars, follow_levels, grade, plain
from crypto_mcp.analysis.measures import Measures
from crypto_mcp.analysis.swings import Swing
from crypto_mcp.compiling import compiled
from crypto_mcp.models.candles import Ints

HOUR = 3_600_000
DAY = 24 * HOUR

LevelKind = Literal["pool", "asia", "london", "new_york", "day", "week", "month", "swing"]
_KINDS: dict[int, LevelKind] = dict(enumerate(("pool", "asia", "london", "new_york", "day", "week", "month", "swing")))
POOL, ASIA, LONDON, NEW_YORK, WHOLE_DAY, WEEK, MONTH, SWING = range(8)
# Hours of the trading sessions as charting tools have them, by code.
SESSION_BEGIN, SESSION_END = (0, 0, 7, 13), (0, 9, 16, 22)
# How many stops a price is likely to gather, by code: more in a month than in a session. Pools: 25 and 15 a touch.
PERIOD_STRENGTH = (0.0, 30.0, 35.0, 35.0, 50.0, 70.0, 85.0)
# Half of each part of a sweep's strength, and its weight: way back, volume score, way beyond (see `grade`).
HALVES, WEIGHTS = np.array((0.75, 1.0, 0.25)), np.array((0.4, 0.3, 0.3))


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
    bars, times, step = measures.bars, plain(measures.candles.open_time), measures.candles.step
    days = int(times[-1] - times[0]) // DAY if len(times) else 0
    # Two rows for each day and session, and the few weeks and months; kernels do not check bounds.
    rows = blank(LiquidityLevel, len(swings) + 10 * (days + 3))
    until = np.empty(len(rows), dtype=np.int64)
    count = _find_pools(bars, swings.rows, rows, until, float(equal_tolerance), search, max_age)
    count = _find_periods(bars, times, step, rows, until, count)
    order = np.argsort(rows["known_at"][:count], kind="stable")
    rows = begun(LiquidityLevel, rows.take(order))
    follow_levels(bars, measures.mirror, rows, until[order])
    _tell_replaced(rows, max_age)
    return Findings(LiquidityLevel, rows)


def find_sweeps(measures: Measures, levels: Findings[LiquidityLevel], swings: Findings[Swing]) -> Findings[Sweep]:
    """The sweeps of these levels and swings (of external structure), oldest first."""
    swept = np.count_nonzero(levels.rows["swept_at"] >= 0) + np.count_nonzero(swings.rows["swept_at"] >= 0)
    rows = blank(Sweep, int(swept))
    count = _find_level_sweeps(levels.rows, rows)
    _find_swing_sweeps(swings.rows, rows[count:])
    rows = rows.take(np.argsort(rows["at"], kind="stable"))
    _describe(measures.bars, rows)
    grade((rows["back_atr"], rows["volume_z"], rows["beyond_atr"]), HALVES, WEIGHTS, rows["strength"])
    return Findings(Sweep, rows)


@compiled
def _period(kind: int, time: int) -> int:
    """Number of the period that a moment lies in; -1 outside of any."""
    day = time // DAY
    if kind <= NEW_YORK:
        hour = (time - day * DAY) // HOUR
        return day if SESSION_BEGIN[kind] <= hour < SESSION_END[kind] else -1
    if kind == WHOLE_DAY:
        return day
    if kind == WEEK:
        return (day + 3) // 7  # the epoch was a Thursday
    # Months since March of the year 0, which begins the calendar's regular pattern of 153 days in five months.
    shifted = day + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    return 12 * (400 * era + year) + (5 * of_year + 2) // 153


@compiled
def _turn(kind: int, time: int) -> int:
    """A later moment, up to which the period is that of `time`."""
    midnight = time - time % DAY
    if kind <= NEW_YORK:
        for hour in (SESSION_BEGIN[kind], SESSION_END[kind]):
            if time < midnight + hour * HOUR:
                return midnight + hour * HOUR
    return midnight + DAY


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
        row["strength"] = min(100.0, 25.0 + 15.0 * row["touches"])
        until[count] = now + max_age
        pool_of[new] = pool_of[old] = count
        count += 1
    return count


@compiled
def _complete(bars: Bars, bar: int, highest: int, lowest: int, kind: int, count: int, rows: Rows, until: Ints) -> int:
    for side in (-1, 1):
        row = rows[count]
        row["kind"], row["touches"], row["strength"] = kind, 1, PERIOD_STRENGTH[kind]
        row["at"] = highest if side < 0 else lowest
        row["known_at"], row["direction"] = bar, side
        row["top"] = row["bottom"] = bars.high[highest] if side < 0 else bars.low[lowest]
        until[count] = len(bars.close)
        if count >= 2:
            until[count - 2] = bar
        count += 1
    return count


@compiled
def _find_extremes(bars: Bars, times: Ints, step: int, kind: int, rows: Rows, until: Ints) -> int:
    """High and low of each complete period of one kind."""
    count, current, highest, lowest = 0, -1, 0, 0
    end = times[0] if len(times) else 0
    before, after, turn = _period(kind, end - 1), _period(kind, end), _turn(kind, end)
    for bar in range(len(times)):
        period = after if times[bar] == end else _period(kind, times[bar])
        end = times[bar] + step
        if end >= turn:
            after, turn = _period(kind, end), _turn(kind, end)
        if current >= 0 and period != current:  # its end lies in a hole of the data
            count, current = _complete(bars, bar, highest, lowest, kind, count, rows, until), -1
        if current < 0 and period >= 0 and period != before:
            current, highest, lowest = period, bar, bar
        elif current >= 0:
            highest = bar if bars.high[bar] > bars.high[highest] else highest
            lowest = bar if bars.low[bar] < bars.low[lowest] else lowest
        if current >= 0 and after != current:
            count, current = _complete(bars, bar, highest, lowest, kind, count, rows, until), -1
        before = period
    return count


@compiled
def _find_periods(bars: Bars, times: Ints, step: int, rows: Rows, until: Ints, count: int) -> int:
    """High and low of each complete period of the kinds that bars of `step` milliseconds resolve."""
    for kind in range(ASIA, MONTH + 1):
        length = HOUR if kind <= NEW_YORK else 7 * DAY if kind == WEEK else DAY
        # Bars must fill the period evenly; one as long as the period makes every bar's high and low a level.
        if length % step == 0 and (step < length or kind <= NEW_YORK or kind == MONTH):
            count += _find_extremes(bars, times, step, kind, rows[count:], until[count:])
    return count


@compiled
def _tell_replaced(rows: Rows, max_age: int) -> None:
    """Where a level did not grow old, what ended it was the one that replaced it."""
    for row in rows:
        old = row["kind"] == POOL and row["expired_at"] == row["known_at"] + max_age
        if row["expired_at"] >= 0 and not old:
            row["replaced_at"], row["expired_at"] = row["expired_at"], -1


@compiled
def _find_level_sweeps(levels: Rows, rows: Rows) -> int:
    count = 0
    for level in levels:
        if level["swept_at"] >= 0:
            row = rows[count]
            row["at"], row["direction"], row["kind"] = level["swept_at"], level["direction"], level["kind"]
            row["level"] = level["top"] if level["direction"] < 0 else level["bottom"]
            row["level_at"] = level["at"]
            count += 1
    return count


@compiled
def _find_swing_sweeps(swings: Rows, rows: Rows) -> None:
    count = 0
    for swing in swings:
        if swing["swept_at"] >= 0:
            row = rows[count]
            row["at"], row["direction"], row["kind"] = swing["swept_at"], swing["direction"], SWING
            row["level"], row["level_at"] = swing["top"], swing["at"]
            count += 1


@compiled
def _describe(bars: Bars, rows: Rows) -> None:
    for row in rows:
        at, level, atr = row["at"], row["level"], bars.atr[row["at"]]
        tip = bars.high[at] if row["direction"] < 0 else bars.low[at]
        row["known_at"], row["top"], row["bottom"] = at, max(tip, level), min(tip, level)
        row["beyond_atr"] = abs(tip - level) / atr if atr > 0 else 0.0
        row["back_atr"] = abs(bars.close[at] - tip) / atr if atr > 0 else 0.0
        row["volume_z"] = bars.volume_z[at]
