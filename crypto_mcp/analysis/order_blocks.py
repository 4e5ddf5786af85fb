"""Order blocks: the last opposite candle before a displacement that broke structure.

A demand zone is the last falling candle before the move up that broke a swing high: from its high down to the lowest
low of the move. Supply zones are the mirror image. The zone is known when the break is. The idea and the words are of
Michael Huddleston's "Inner Circle Trader" lessons; the figures are ours and are given with every zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from crypto_mcp.analysis.dealing_range import DealingRanges
from crypto_mcp.analysis.findings import Finding, Findings, Rows, begun, blank, states
from crypto_mcp.analysis.kernels import Bars, follow_zones, grade
from crypto_mcp.analysis.measures import Measures
from crypto_mcp.analysis.structure import Break
from crypto_mcp.compiling import compiled
from crypto_mcp.models.candles import Floats

ZoneType = Literal["demand", "supply"]
Role = Literal["", "breaker", "mitigation"]

# How strength adds up: displacement in ATR, volume score, share of the move's volume, rejection (see `grade`).
FIGURES = ("displacement_atr", "volume_z", "volume_share", "rejection")
HALVES, WEIGHTS = np.array((2.0, 1.0, 0.25, 0.33)), np.array((0.40, 0.25, 0.15, 0.20))
# Bars after which an untouched zone counts half as fresh.
HALF_LIFE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBlock(Finding):
    """A demand (bullish) or supply (bearish) zone. `at` is the opposite candle, `known_at` the bar of the break.

    Attributes:
        kind: of the break, `bos` or `choch`.
        reach: strength of the swing that was broken: internal or external structure.
        swing_at, level: the swing and its price.
        displacement_atr: how far closes left the zone within the displacement's bars, in ATR.
        volume_z: largest volume score among the bars from the zone to the break.
        volume_share: volume of the candle as part of all from the candle to the break, 0 to 1.
        rejection: wick on the far side as part of the candle's range, 0 to 1.
        reaction_atr: from the extreme of the first test to its close, in ATR; None before the first test.
        role: once broken: `breaker` if price had passed the end of the candle's dealing range in between,
            `mitigation` if it had failed to; empty before.

    States: `tested` (price came back into it), `mitigated` (to its middle), `broken` (close beyond its far side; from
    here on it is a breaker or mitigation block), `inverted` (a return to it was turned away on the other side),
    `spent` (a close took it back), `expired` (old and unbroken).
    """

    STATES: ClassVar[tuple[str, ...]] = ("tested", "mitigated", "broken", "inverted", "spent", "expired")
    ENDS: ClassVar[tuple[str, ...]] = ("spent", "expired")
    NAMES: ClassVar[Mapping[str, Mapping[int, str]]] = {
        "kind": {0: "bos", 1: "choch"},
        "role": {0: "", 1: "breaker", 2: "mitigation"},
    }
    REVEALED: ClassVar[Mapping[str, str]] = {"reaction_atr": "tested", "role": "broken"}

    kind: Literal["bos", "choch"]
    reach: int
    swing_at: int
    level: float
    displacement_atr: float
    volume_z: float
    volume_share: float
    rejection: float
    reaction_atr: float | None
    role: Role

    @property
    def type(self) -> ZoneType:
        """What the zone was formed as."""
        return "demand" if self.direction == "bullish" else "supply"

    def freshness(self, bar: int) -> float:
        """1 when formed, halving every 200 bars, and half of that once price has been back in it."""
        touched = any(change.bar <= bar for change in self.changes)
        return float(0.5 ** (max(0, bar - self.known_at) / HALF_LIFE) * (0.5 if touched else 1.0))

    @property
    def why(self) -> str:
        """The zone in one sentence, with the figures behind it."""
        return (
            f"Last {'falling' if self.direction == 'bullish' else 'rising'} candle before a move of "
            f"{self.displacement_atr:.1f} ATR that broke the swing {'high' if self.direction == 'bullish' else 'low'} "
            f"{self.level:.6g} ({'change of character' if self.kind == 'choch' else 'break of structure'}); volume up "
            f"to {self.volume_z:+.1f} standard deviations, {100 * self.volume_share:.0f} % of the move's in the "
            f"candle; wick {100 * self.rejection:.0f} % of its range."
        )


def find_order_blocks(
    measures: Measures,
    breaks: Findings[Break],
    ranges: DealingRanges,
    *,
    impulse: int,
    min_displacement: float,
    search: int,
    max_age: int,
) -> Findings[OrderBlock]:
    """The order blocks behind these breaks, in the order in which they are known; one a candle.

    Args:
        measures: of the bars.
        breaks: of structure, oldest first.
        ranges: dealing range of every bar, which tells a breaker from a mitigation block.
        impulse: bars after the extreme of the move within which price must have left.
        min_displacement: ATR by which a close must have left the zone in that time.
        search: bars back from the extreme in which the opposite candle is looked for.
        max_age: bars after which a zone that nothing broke is no longer followed.
    """
    bars, mirror, rows = measures.bars, measures.mirror, blank(OrderBlock, len(breaks))
    count = _find(bars, mirror, breaks.rows, rows, impulse, float(min_displacement), search)
    rows = begun(OrderBlock, rows[:count])
    grade(tuple(rows[name] for name in FIGURES), HALVES, WEIGHTS, rows["strength"])
    follow_zones(bars, mirror, rows, max_age, False, states(OrderBlock, rows))
    _tell(bars, mirror, ranges.top, ranges.bottom, rows)
    return Findings(OrderBlock, rows)


@compiled
def _find(
    bars: Bars, mirror: Bars, breaks: Rows, rows: Rows, impulse: int, min_displacement: float, search: int
) -> int:
    count = 0
    taken = np.zeros(len(bars.close), dtype=np.bool_)
    for broken in breaks:
        bar, begin, up = broken["at"], broken["swing_at"] + 1, broken["direction"] > 0
        side = bars if up else mirror
        # The move began at its lowest low, the later one of equals; its last falling candle is the block.
        extreme = bar - np.argmin(side.low[begin : bar + 1][::-1])
        at = extreme
        oldest = max(begin, extreme - search)
        while at >= oldest and side.close[at] >= side.open[at]:
            at -= 1
        if at < oldest or taken[at]:
            continue
        top, bottom = side.high[at], side.low[at : extreme + 1].min()
        left = side.close[at + 1 : min(extreme + impulse, bar) + 1].max() - top if at < bar else 0.0
        if bars.atr[at] <= 0 or left < min_displacement * bars.atr[at]:
            continue
        taken[at] = True
        row = rows[count]
        count += 1
        row["at"], row["known_at"], row["direction"] = at, bar, broken["direction"]
        row["top"], row["bottom"] = (top, bottom) if up else (-bottom, -top)
        row["kind"], row["reach"] = broken["kind"], broken["reach"]
        row["swing_at"], row["level"] = broken["swing_at"], broken["level"]
        row["displacement_atr"] = left / bars.atr[at]
        row["volume_z"] = bars.volume_z[at : bar + 1].max()
        total = bars.volume[at : bar + 1].sum()
        row["volume_share"] = bars.volume[at] / total if total > 0 else 0.0
        row["rejection"] = (side.close[at] - bottom) / (top - bottom)
    return count


@compiled
def _tell(bars: Bars, mirror: Bars, range_top: Floats, range_bottom: Floats, rows: Rows) -> None:
    """What the first test and the break of each block revealed."""
    for row in rows:
        at, tested, broken, up = row["at"], row["tested_at"], row["broken_at"], row["direction"] > 0
        side = bars if up else mirror
        row["reaction_atr"] = np.nan
        if tested >= 0:
            way = side.close[tested] - side.low[tested]
            row["reaction_atr"] = way / bars.atr[tested] if bars.atr[tested] > 0 else 0.0
        if broken >= 0:
            beyond = range_top[at] if up else -range_bottom[at]
            row["role"] = 1 if side.high[at + 1 : broken + 1].max() > beyond else 2
