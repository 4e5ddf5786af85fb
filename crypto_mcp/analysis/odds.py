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
from crypto_mcp.analysis.kernels import compiled
from crypto_mcp.analysis.measures import Measures, in_atr
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
        chances: Floats = weighted(figures, self.columns, self.halves, self.weights)
        return chances


@cache
def models() -> dict[Event, Model]:
    """The models of this release."""
    stored = json.loads(files(__package__).joinpath("odds.json").read_bytes())
    return {event: Model.of(event, model["intercept"], model["terms"]) for event, model in stored.items()}


@compiled
def weighted(figures: Floats, columns: Ints, halves: Floats, weights: Floats) -> Floats:
    """1 / (1 + exp(-(w0 + sum of w_i x_i / (x_i + half_i)))), summed in one order whatever the number of rows."""
    chances = np.empty(len(figures))
    for row in range(len(figures)):
        logit = weights[0]
        for i in range(len(columns)):
            x = figures[row, columns[i]]
            if halves[i] > 0:
                x = x / (x + halves[i]) if x > 0 else 0.0
            logit += weights[i + 1] * x
        chances[row] = 1 / (1 + math.exp(-logit))
    return chances


def gap_figures(measures: Measures, rows: Rows, bar: Ints) -> Floats:
    """For the odds that gaps still open at `bar` (one a gap, from `known_at` on) are filled.

    The distance is from the close to the far edge, which is what remains to be traded through.
    """
    close, atr = measures.bars.close[bar], measures.bars.atr[bar]
    far = np.where(rows["direction"] > 0, close - rows["bottom"], rows["top"] - close)
    return _table(
        rows["size_atr"],
        in_atr(far, atr),
        _volatility(measures, bar),
        rows["displacement_atr"],
        rows["volume_z"],
        bar - rows["known_at"],
    )


def swing_figures(measures: Measures, rows: Rows) -> Floats:
    """For the odds that a swing stands; the distance is from the close."""
    known_at = rows["known_at"]
    away = in_atr(np.abs(measures.bars.close[known_at] - rows["top"]), measures.bars.atr[known_at])
    return _table(away, rows["prominence_atr"], rows["reach"], _volatility(measures, known_at))


def break_figures(measures: Measures, rows: Rows) -> Floats:
    """For the odds that a break holds; kind is 0 for a BoS, 1 for a ChoCH."""
    own = (rows[name] for name in BREAK[:-1])
    return _table(*own, _volatility(measures, rows["at"]))


def block_figures(measures: Measures, rows: Rows) -> Floats:
    """For the odds that an order block holds."""
    known_at = rows["known_at"]
    height = in_atr(rows["top"] - rows["bottom"], measures.bars.atr[known_at])
    own = [rows[name] for name in BLOCK[:4]]
    return _table(*own, height, rows["kind"], rows["reach"], _volatility(measures, known_at))


def level_figures(measures: Measures, rows: Rows) -> Floats:
    """For the odds that a level is reached; the distance is from the close to the price that must be passed."""
    known_at = rows["known_at"]
    close = measures.bars.close[known_at]
    away = np.where(rows["direction"] < 0, rows["top"] - close, close - rows["bottom"])
    return _table(in_atr(away, measures.bars.atr[known_at]), rows["touches"], _volatility(measures, known_at))


def sweep_figures(measures: Measures, rows: Rows) -> Floats:
    """For the odds that a sweep turns price."""
    own = (rows[name] for name in SWEEP[:-1])
    return _table(*own, _volatility(measures, rows["at"]))


def _table(*figures: Floats | Ints) -> Floats:
    table = np.empty((len(figures[0]), len(figures)))
    for i, figure in enumerate(figures):
        table[:, i] = figure
    return table


def _volatility(measures: Measures, bar: Ints) -> Floats:
    """ATR against that of 100 bars, 0 calm to 1 wild, one half where they are equal."""
    atr, usual = measures.bars.atr[bar], measures.long_atr[bar]
    share: Floats = np.divide(atr, atr + usual, out=np.full(len(atr), 0.5), where=usual > 0)
    return share
