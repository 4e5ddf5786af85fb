"""Confidence: how often calls like this one came true on past bars, as counted by tests/calibration/fit_confidence.py.

A call is true when target 1, as far from the last close as the stop, is reached before the stop within 48 bars; a bar
that touches both counts as stopped. The table `confidence.json` holds one cell for each movement and band of score.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from crypto_mcp.analysis.rounding import decimals
from crypto_mcp.analysis.score import action_for
from crypto_mcp.models.analysis import Movement


@dataclass(frozen=True, slots=True)
class Cell:
    """Past calls of one movement and band of score.

    Attributes:
        calls: how many there were.
        hits: how many of them reached target 1 before the stop.
        chance: the share of hits, drawn to that of all calls where calls are few, and never falling with the score.
    """

    calls: int
    hits: int
    chance: float


@dataclass(frozen=True, slots=True)
class Table:
    """The counted past: `edges` part |score - 5| into bands, `cells` holds one cell for each."""

    edges: tuple[float, ...]
    cells: dict[Movement, tuple[Cell, ...]]

    def cell(self, movement: Movement, score: float) -> Cell:
        """The cell that a score falls into; both sides of 5 count alike."""
        return self.cells[movement][bisect_right(self.edges, abs(score - 5))]


@cache
def table() -> Table:
    """The table of this release."""
    stored = json.loads(files(__package__).joinpath("confidence.json").read_bytes())
    return Table(
        edges=tuple(stored["edges"]),
        cells={movement: tuple(Cell(**cell) for cell in row) for movement, row in stored["cells"].items()},
    )


def confidence(movement: Movement, score: float) -> float:
    """Percent: for a call the chance that it comes true; for HOLD that a trade to its leaning side would not."""
    chance = 100 * table().cell(movement, score).chance
    return decimals(100 - chance if action_for(score) == "HOLD" else chance, 1)
