"""Volume by price: point of control, value area, nodes of high and low volume.

Each bar's volume is spread evenly over its range, as bars do not tell where inside it was traded. The value area grows
from the point of control by the larger of the next two rows above and below until it holds 70 % of the volume (J.
Peter Steidlmayer's Market Profile; CBOT Market Profile Handbook, 1991).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crypto_mcp.analysis.kernels import compiled, plain
from crypto_mcp.models.candles import Candles, Floats

ROWS, VALUE_AREA = 60, 0.70
# Rows on either side that a node must stand out from.
NODE_REACH = 2


@dataclass(frozen=True, slots=True, eq=False)
class VolumeProfile:
    """Volume by price over some bars; prices in quote asset, volume in base asset.

    Attributes:
        edges: bounds of the rows from below, one more than rows.
        volume: of each row.
        poc: point of control, middle of the row with the most volume; the lowest of equals.
        value_area_high, value_area_low: bounds of the rows around it that hold 70 % of the volume.
        high_volume_nodes: middles of rows above the mean that stand out from two rows on either side, largest first.
        low_volume_nodes: middles of rows below half the mean that two rows on either side exceed, smallest first.
    """

    edges: Floats
    volume: Floats
    poc: float
    value_area_high: float
    value_area_low: float
    high_volume_nodes: tuple[float, ...]
    low_volume_nodes: tuple[float, ...]


def volume_profile(candles: Candles, rows: int = ROWS, value_area: float = VALUE_AREA) -> VolumeProfile | None:
    """The profile of these bars in `rows` rows of one height; None where nothing was traded."""
    if not candles.volume.any():
        return None
    bottom, top = float(candles.low.min()), float(candles.high.max())
    edges = np.linspace(bottom, top, rows + 1) if top > bottom else np.array((bottom, top))
    volume = _spread(plain(candles.high), plain(candles.low), plain(candles.volume), bottom, top, len(edges) - 1)
    middles = (edges[:-1] + edges[1:]) / 2
    first, last = _value_area(volume, value_area)
    high_nodes, low_nodes = _nodes(volume)
    return VolumeProfile(
        edges=edges,
        volume=volume,
        poc=float(middles[np.argmax(volume)]),
        value_area_high=float(edges[last + 1]),
        value_area_low=float(edges[first]),
        high_volume_nodes=tuple(middles[high_nodes].tolist()),
        low_volume_nodes=tuple(middles[low_nodes].tolist()),
    )


@compiled
def _spread(high: Floats, low: Floats, volume: Floats, bottom: float, top: float, rows: int) -> Floats:
    spread = np.zeros(rows)
    scale = rows / (top - bottom) if top > bottom else 0.0
    for bar in range(len(volume)):
        begin, end = (low[bar] - bottom) * scale, (high[bar] - bottom) * scale
        first, last = min(int(begin), rows - 1), min(int(end), rows - 1)
        if first == last:
            spread[first] += volume[bar]
            continue
        density = volume[bar] / (end - begin)
        spread[first] += density * (first + 1 - begin)
        spread[last] += density * (end - last)
        for row in range(first + 1, last):
            spread[row] += density
    return spread


def _value_area(volume: Floats, share: float) -> tuple[int, int]:
    first = last = int(np.argmax(volume))
    held, wanted = float(volume[first]), share * float(volume.sum())
    while held < wanted and (first > 0 or last < len(volume) - 1):
        above, below = float(volume[last + 1 : last + 3].sum()), float(volume[max(0, first - 2) : first].sum())
        if first == 0 or (above >= below and last < len(volume) - 1):
            held, last = held + above, min(last + 2, len(volume) - 1)
        else:
            held, first = held + below, max(first - 2, 0)
    return first, last


def _nodes(volume: Floats) -> tuple[list[int], list[int]]:
    if len(volume) < 2 * NODE_REACH + 1:
        return [], []
    windows = np.lib.stride_tricks.sliding_window_view(volume, 2 * NODE_REACH + 1)
    middle, around = windows[:, NODE_REACH], np.delete(windows, NODE_REACH, axis=1)
    mean = volume.mean()
    high = NODE_REACH + np.flatnonzero((middle > around.max(1)) & (middle > mean))
    low = NODE_REACH + np.flatnonzero((middle < around.min(1)) & (middle < mean / 2))
    return (
        high[np.argsort(-volume[high], kind="stable")].tolist(),
        low[np.argsort(volume[low], kind="stable")].tolist(),
    )
