"""Falls from a peak. Equity is float64 (bars), at closes; the start capital counts as the first peak."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from crypto_mcp.models.candles import Floats


class Fall(NamedTuple):
    """A drawdown by bar numbers.

    Attributes:
        peak: bar of the peak, -1 for the start capital.
        trough: bar of the deepest close.
        end: first bar at or above the peak again, or the number of bars where there was none.
        depth: share of the peak.
    """

    peak: int
    trough: int
    end: int
    depth: float


def depths(equity: Floats, start: float) -> Floats:
    """How far equity lies below its highest value so far, as a share of that, for every bar."""
    peaks = np.maximum(np.maximum.accumulate(equity), start)
    below: Floats = 1 - equity / peaks
    return below


def falls(below: Floats) -> list[Fall]:
    """All drawdowns in their order; `below` is what `depths` gives."""
    under = np.concatenate([[False], below > 0, [False]])
    turns = np.flatnonzero(np.diff(under.astype(np.int8)))
    found = []
    for first, end in zip(turns[::2].tolist(), turns[1::2].tolist(), strict=True):
        trough = first + int(np.argmax(below[first:end]))
        found.append(Fall(first - 1, trough, end, float(below[trough])))
    return found


def ulcer_index(below: Floats) -> float:
    """Root mean square of the drawdowns of all bars, as a share (Martin & McCann 1989 give it in percent)."""
    return float(np.sqrt(np.mean(np.square(below)))) if len(below) else 0.0
