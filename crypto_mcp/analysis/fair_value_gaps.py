"""Fair value gaps: three bars whose outer two do not overlap, so that one bar traded through prices alone.

A bullish gap lies between the high of the first and the low of the third bar, a bearish one between the low of the
first and the high of the third; it lies on the middle bar and is known when the third has closed (Michael
Huddleston's "Inner Circle Trader" lessons; the same three bars are an "imbalance" elsewhere).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from crypto_mcp.analysis.findings import Finding, Findings, Rows, begun, blank, states
from crypto_mcp.analysis.kernels import Bars, follow_zones, grade
from crypto_mcp.analysis.measures import Measures
from crypto_mcp.analysis.swings import Swing
from crypto_mcp.compiling import compiled

# How strength adds up: height in ATR, volume score, displacement in ATR (see `grade`).
HALVES, WEIGHTS = np.array((0.5, 1.0, 1.5)), np.array((0.45, 0.25, 0.30))
# Room behind the far edge for the stop, in ATR, and the target in risks where structure offers none at 1 or more.
STOP_ROOM, DEFAULT_TARGET = 0.5, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FairValueGap(Finding):
    """A gap. `at` is its middle bar, `known_at` the third; confidence is the chance that it is filled in 50 bars.

    Attributes:
        size_atr: height in ATR.
        volume_z: volume of the middle bar in standard deviations from the 50 bars before.
        displacement_atr: body of the middle bar in ATR, negative if it points against the gap.
        fill_10, fill_50, fill_200: chance, 0 to 1, that price trades through the whole gap within so many bars of
            `known_at` (see `fill_probability`).
        entry, stop, target: a trade in the gap's direction: a limit order at its near edge, a stop behind its far
            edge, a target at the newest swing beyond, else at two risks. Not a forecast.
        reward_risk: way to the target over way to the stop.

    States: `tested` (price came back into it: partly filled), `mitigated` (half filled), `filled` (traded through),
    `inverted` (a close beyond its far edge: from here on it is expected to work the other way round), `spent` (a
    close took it back after that), `expired` (old).
    """

    STATES: ClassVar[tuple[str, ...]] = ("tested", "mitigated", "filled", "inverted", "spent", "expired")
    ENDS: ClassVar[tuple[str, ...]] = ("spent", "expired")

    size_atr: float
    volume_z: float
    displacement_atr: float
    fill_10: float
    fill_50: float
    fill_200: float
    entry: float
    stop: float
    target: float
    reward_risk: float

    @property
    def why(self) -> str:
        """The gap in one sentence, with the figures behind it."""
        return (
            f"{'Up' if self.direction == 'bullish' else 'Down'} move left {self.size_atr:.2f} ATR untraded between "
            f"{self.bottom:.6g} and {self.top:.6g}; body of {abs(self.displacement_atr):.1f} ATR, volume "
            f"{self.volume_z:+.1f} standard deviations. Such gaps were filled within 10, 50, 200 bars in "
            f"{100 * self.fill_10:.0f}, {100 * self.fill_50:.0f}, {100 * self.fill_200:.0f} % of cases."
        )


def find_fair_value_gaps(
    measures: Measures, swings: Findings[Swing], *, min_size: float, max_age: int
) -> Findings[FairValueGap]:
    """Gaps in the order in which they are known, without their probabilities.

    Args:
        measures: of the bars.
        swings: whose newest give the targets.
        min_size: ATR that a gap must be high; 0 takes every gap.
        max_age: bars after which a gap is no longer followed.
    """
    bars, size = measures.bars, float(min_size)
    rows = blank(FairValueGap, _find(bars, size, blank(FairValueGap, 0)))
    _find(bars, size, rows)
    begun(FairValueGap, rows)
    grade((rows["size_atr"], rows["volume_z"], rows["displacement_atr"]), HALVES, WEIGHTS, rows["strength"])
    _advise(bars, swings.rows, rows)
    follow_zones(bars, measures.mirror, rows, max_age, True, states(FairValueGap, rows))
    return Findings(FairValueGap, rows)


@compiled
def _find(bars: Bars, min_size: float, rows: Rows) -> int:
    """Fill in the gaps as far as there are rows; the number of gaps."""
    count = 0
    for bar in range(2, len(bars.close)):
        up, down = bars.low[bar] - bars.high[bar - 2], bars.low[bar - 2] - bars.high[bar]
        size = max(up, down)
        if size <= 0 or size < min_size * bars.atr[bar]:
            continue
        if count < len(rows):
            row, side = rows[count], 1 if up > 0 else -1
            row["at"], row["known_at"], row["direction"] = bar - 1, bar, side
            row["top"] = bars.low[bar] if up > 0 else bars.low[bar - 2]
            row["bottom"] = bars.high[bar - 2] if up > 0 else bars.high[bar]
            row["size_atr"] = (row["top"] - row["bottom"]) / bars.atr[bar]
            row["displacement_atr"] = side * (bars.close[bar - 1] - bars.open[bar - 1]) / bars.atr[bar]
            row["volume_z"] = bars.volume_z[bar - 1]
        count += 1
    return count


@compiled
def _advise(bars: Bars, swings: Rows, rows: Rows) -> None:
    following, high, low = 0, np.nan, np.nan
    for row in rows:
        while following < len(swings) and swings[following]["known_at"] <= row["known_at"]:
            price, is_high = swings[following]["top"], swings[following]["direction"] < 0
            high, low = (price, low) if is_high else (high, price)
            following += 1
        up, room = row["direction"] > 0, STOP_ROOM * bars.atr[row["known_at"]]
        entry, far = (row["top"], row["bottom"]) if up else (row["bottom"], row["top"])
        # A stop below zero cannot be placed: then it lies at the far edge itself.
        risk = abs(entry - far) + (room if not up or far > room else 0.0)
        way = high - entry if up else entry - low
        if not way >= risk:
            way = DEFAULT_TARGET * risk if up else min(DEFAULT_TARGET * risk, 0.9 * entry)
        sign = row["direction"]
        row["entry"], row["stop"], row["target"] = entry, entry - sign * risk, entry + sign * way
        row["reward_risk"] = way / risk
