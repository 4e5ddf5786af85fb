"""Fair value gaps: three bars whose outer two do not overlap, so that one bar traded through prices alone.

A bullish gap lies between the high of the first and the low of the third bar, a bearish one between the low of the
first and the high of the third; it lies on the middle bar and is known when the third has closed (Michael
Huddleston's "Inner Circle Trader" lessons; the same three bars are an "imbalance" elsewhere).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from crypto_mcp.analysis.findings import NEVER, Finding, Findings, Rows, begun, blank
from crypto_mcp.analysis.kernels import Bars, compiled, follow_zones
from crypto_mcp.analysis.measures import Measures, in_atr, saturating
from crypto_mcp.analysis.swings import Swing, newest_known
from crypto_mcp.models.candles import Floats

# How strength adds up; each part is 0 to 100. The second figure is the value that gives half of the part.
SIZE, VOLUME, DISPLACEMENT = (0.45, 0.5), (0.25, 1.0), (0.30, 1.5)
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
    bars = measures.bars
    rows = blank(FairValueGap, _find(bars, float(min_size), blank(FairValueGap, 0)))
    _find(bars, float(min_size), rows)
    rows = begun(FairValueGap, rows)
    atr = bars.atr[rows["known_at"]]
    rows["size_atr"] = in_atr(rows["top"] - rows["bottom"], atr)
    rows["displacement_atr"] = in_atr(rows["displacement_atr"], atr)
    rows["volume_z"] = bars.volume_z[rows["at"]]
    rows["strength"] = sum(
        weight * saturating(rows[name], half)
        for name, (weight, half) in {
            "size_atr": SIZE,
            "volume_z": VOLUME,
            "displacement_atr": DISPLACEMENT,
        }.items()
    )
    _advise(rows, atr, swings)
    life = np.full((len(rows), 7), NEVER)
    follow_zones(bars, measures.mirror, rows, max_age, life)
    for state, column in zip(FairValueGap.STATES, (0, 1, 2, 3, 5, 6), strict=True):
        rows[f"{state}_at"] = life[:, column]
    return Findings(FairValueGap, rows)


def _advise(rows: Rows, atr: Floats, swings: Findings[Swing]) -> None:
    up, known_at = rows["direction"] > 0, rows["known_at"]
    sign = np.where(up, 1.0, -1.0)
    rows["entry"] = np.where(up, rows["top"], rows["bottom"])
    far = np.where(up, rows["bottom"], rows["top"])
    risk = np.abs(rows["entry"] - far) + STOP_ROOM * atr
    # A stop below zero cannot be placed: a gap that high is entered with its far edge as the stop.
    risk = np.where(far - sign * STOP_ROOM * atr > 0, risk, np.abs(rows["entry"] - far))
    rows["stop"] = rows["entry"] - sign * risk
    beyond = np.where(up, newest_known(swings, -1, known_at), newest_known(swings, 1, known_at))
    way = (beyond - rows["entry"]) * sign
    way = np.where(way >= risk, way, np.minimum(DEFAULT_TARGET * risk, np.where(up, np.inf, 0.9 * rows["entry"])))
    rows["target"] = rows["entry"] + sign * way
    rows["reward_risk"] = np.divide(way, risk, out=np.zeros(len(rows)), where=risk > 0)


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
            row["displacement_atr"] = side * (bars.close[bar - 1] - bars.open[bar - 1])
        count += 1
    return count
