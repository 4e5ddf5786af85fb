"""How often past findings came true: the odds behind every confidence and fill probability.

One logistic model an event, with weights counted on past bars by tests/calibration/fit_odds.py and kept in
`odds.json`. A figure x enters as x / (x + half), from 0 towards 1, so that no input, however odd, leads far from what
was counted. What each event is and how well the odds hold on other symbols: docs/analysis.md.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np

from crypto_mcp.analysis.findings import Rows
from crypto_mcp.analysis.kernels import Bars
from crypto_mcp.compiling import compiled
from crypto_mcp.models.candles import Floats, Ints

Event = Literal[
    "fill_10", "fill_50", "fill_200", "swing_stands", "break_holds", "block_holds", "level_reached", "sweep_turns"
]
FILL_HORIZONS = (10, 50, 200)

# The figures that the odds of each kind of finding are asked by, in the order of the columns.
FILL = ("size_atr", "distance_atr", "volatility", "displacement_atr", "volume_z", "age")
SWING = ("distance_atr", "prominence_atr", "reach", "volatility")
BREAK = ("beyond_atr", "volume_z", "body_share", "kind", "reach", "volatility")
BLOCK = (
    "displacement_atr", "volume_z", "volume_share", "rejection", "height_atr", "kind", "reach", "volatility"
)  # fmt: skip
LEVEL = ("distance_atr", "touches", "volatility")
SWEEP = ("back_atr", "beyond_atr", "volume_z", "volatility")
FIGURES: dict[Event, tuple[str, ...]] = {
    "fill_10": FILL,
    "fill_50": FILL,
    "fill_200": FILL,
    "swing_stands": SWING,
    "break_holds": BREAK,
    "block_holds": BLOCK,
    "level_reached": LEVEL,
    "sweep_turns": SWEEP,
}


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Terms of a logistic model: column of the figure, half, weight. The first of `weights` is the intercept."""

    columns: Ints
    halves: Floats
    weights: Floats

    @classmethod
    def of(cls, event: Event, intercept: float, terms: list[tuple[str, float, float]]) -> Model:
        """From (figure, half, weight); a half of 0 takes the figure as it is."""
        return cls(
            columns=np.array([FIGURES[event].index(name) for name, _, _ in terms], dtype=np.int64),
            halves=np.array([half for _, half, _ in terms], dtype=np.float64),
            weights=np.array([intercept, *(weight for _, _, weight in terms)], dtype=np.float64),
        )

    def chances(self, figures: Floats) -> Floats:
        """Chance, 0 to 1, for each row of `figures`, whose columns are those of `FIGURES`."""
        chances = np.empty(len(figures))
        weigh(figures, self.columns, self.halves, self.weights, 1.0, chances)
        return chances

    def rate(self, figures: Floats, rows: Rows) -> None:
        """Write 100 times the chances to the confidence of `rows`."""
        weigh(figures, self.columns, self.halves, self.weights, 100.0, rows["confidence"])


@cache
def models() -> dict[Event, Model]:
    """The models of this release."""
    stored = json.loads(files(__package__).joinpath("odds.json").read_bytes())
    return {event: Model.of(event, model["intercept"], model["terms"]) for event, model in stored.items()}


@compiled
def weigh(figures: Floats, columns: Ints, halves: Floats, weights: Floats, scale: float, chances: Floats) -> None:
    """scale / (1 + exp(-(w0 + sum of w_i x_i / (x_i + half_i)))), summed in one order whatever the number of rows."""
    for row in range(len(figures)):
        logit = weights[0]
        for i in range(len(columns)):
            x = figures[row, columns[i]]
            if halves[i] > 0:
                x = x / (x + halves[i]) if x > 0 else 0.0
            logit += weights[i + 1] * x
        chances[row] = scale / (1 + math.exp(-logit))


@compiled
def _in_atr(distance: float, bars: Bars, bar: int) -> float:
    return distance / bars.atr[bar] if bars.atr[bar] > 0 else 0.0


@compiled
def _volatility(bars: Bars, long_atr: Floats, bar: int) -> float:
    """ATR against that of 100 bars, 0 calm to 1 wild, one half where they are equal."""
    return bars.atr[bar] / (bars.atr[bar] + long_atr[bar]) if long_atr[bar] > 0 else 0.5


@compiled
def gap_figures(bars: Bars, long_atr: Floats, rows: Rows, bar: Ints) -> Floats:
    """For the odds that gaps still open at `bar` (one a gap, from `known_at` on) are filled.

    The distance is from the close to the far edge, which is what remains to be traded through.
    """
    table = np.empty((len(rows), 6))
    for i in range(len(rows)):
        row, now = rows[i], bar[i]
        away = bars.close[now] - row["bottom"] if row["direction"] > 0 else row["top"] - bars.close[now]
        table[i, 0], table[i, 1] = row["size_atr"], _in_atr(away, bars, now)
        table[i, 2], table[i, 3] = _volatility(bars, long_atr, now), row["displacement_atr"]
        table[i, 4], table[i, 5] = row["volume_z"], now - row["known_at"]
    return table


@compiled
def swing_figures(bars: Bars, long_atr: Floats, rows: Rows) -> Floats:
    """For the odds that a swing stands; the distance is from the close."""
    table = np.empty((len(rows), 4))
    for i in range(len(rows)):
        row, now = rows[i], rows[i]["known_at"]
        table[i, 0], table[i, 1] = _in_atr(abs(bars.close[now] - row["top"]), bars, now), row["prominence_atr"]
        table[i, 2], table[i, 3] = row["reach"], _volatility(bars, long_atr, now)
    return table


@compiled
def break_figures(bars: Bars, long_atr: Floats, rows: Rows) -> Floats:
    """For the odds that a break holds; kind is 0 for a BoS, 1 for a ChoCH."""
    table = np.empty((len(rows), 6))
    for i in range(len(rows)):
        row = rows[i]
        table[i, 0], table[i, 1], table[i, 2] = row["beyond_atr"], row["volume_z"], row["body_share"]
        table[i, 3], table[i, 4] = row["kind"], row["reach"]
        table[i, 5] = _volatility(bars, long_atr, row["at"])
    return table


@compiled
def block_figures(bars: Bars, long_atr: Floats, rows: Rows) -> Floats:
    """For the odds that an order block holds."""
    table = np.empty((len(rows), 8))
    for i in range(len(rows)):
        row, now = rows[i], rows[i]["known_at"]
        table[i, 0], table[i, 1] = row["displacement_atr"], row["volume_z"]
        table[i, 2], table[i, 3] = row["volume_share"], row["rejection"]
        table[i, 4], table[i, 5] = _in_atr(row["top"] - row["bottom"], bars, now), row["kind"]
        table[i, 6], table[i, 7] = row["reach"], _volatility(bars, long_atr, now)
    return table


@compiled
def level_figures(bars: Bars, long_atr: Floats, rows: Rows) -> Floats:
    """For the odds that a level is reached; the distance is from the close to the price that must be passed."""
    table = np.empty((len(rows), 3))
    for i in range(len(rows)):
        row, now = rows[i], rows[i]["known_at"]
        away = row["top"] - bars.close[now] if row["direction"] < 0 else bars.close[now] - row["bottom"]
        table[i, 0], table[i, 1] = _in_atr(away, bars, now), row["touches"]
        table[i, 2] = _volatility(bars, long_atr, now)
    return table


@compiled
def sweep_figures(bars: Bars, long_atr: Floats, rows: Rows) -> Floats:
    """For the odds that a sweep turns price."""
    table = np.empty((len(rows), 4))
    for i in range(len(rows)):
        row = rows[i]
        table[i, 0], table[i, 1], table[i, 2] = row["back_atr"], row["beyond_atr"], row["volume_z"]
        table[i, 3] = _volatility(bars, long_atr, row["at"])
    return table
