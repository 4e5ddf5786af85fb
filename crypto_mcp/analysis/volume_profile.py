"""Volume by price: point of control, value area, nodes of high and low volume.

Each bar's volume is spread evenly over its range, as bars do not tell where inside it was traded. The value area grows
from the point of control by the larger of the next two rows above and below until it holds 70 % of the volume (J.
Peter Steidlmayer's Market Profile; CBOT Market Profile Handbook, 1991).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crypto_mcp.analysis.kernels import plain
from crypto_mcp.compiling import compiled
from crypto_mcp.models.candles import Candles, Floats, Ints

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
    edges, volume = _spread(plain(candles.high), plain(candles.low), plain(candles.volume), rows)
    poc, first, last = _value_area(volume, value_area)
    high_nodes, low_nodes = _nodes(volume)
    middles = (edges[:-1] + edges[1:]) / 2
    return VolumeProfile(
        edges=edges,
        volume=volume,
        poc=float(middles[poc]),
        value_area_high=float(edges[last + 1]),
        value_area_low=float(edges[first]),
        high_volume_nodes=tuple(middles[high_nodes[np.argsort(-volume[high_nodes], kind="stable")]].tolist()),
        low_volume_nodes=tuple(middles[low_nodes[np.argsort(volume[low_nodes], kind="stable")]].tolist()),
    )


@compiled
def _spread(high: Floats, low: Floats, volume: Floats, rows: int) -> tuple[Floats, Floats]:
    bottom, top = low.min(), high.max()
    rows = rows if top > bottom else 1
    edges = np.linspace(bottom, top, rows + 1)
    scale = rows / (top - bottom) if top > bottom else 0.0
    spread = np.zeros(rows)
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
    return edges, spread


@compiled
def _value_area(volume: Floats, share: float) -> tuple[int, int, int]:
    """Rows of the point of control, and the first and last of the value area."""
    poc, count = int(np.argmax(volume)), len(volume)
    first = last = poc
    held, wanted = volume[poc], share * volume.sum()
    while held < wanted and (first > 0 or last < count - 1):
        above, below = volume[last + 1 : last + 3].sum(), volume[max(0, first - 2) : first].sum()
        if first == 0 or (above >= below and last < count - 1):
            held, last = held + above, min(last + 2, count - 1)
        else:
            held, first = held + below, max(first - 2, 0)
    return poc, first, last


@compiled
def _nodes(volume: Floats) -> tuple[Ints, Ints]:
    high, low = [0 for _ in range(0)], [0 for _ in range(0)]
    mean = volume.mean()
    for row in range(NODE_REACH, len(volume) - NODE_REACH):
        is_high, is_low = volume[row] > mean, volume[row] < mean / 2
        for step in range(1, NODE_REACH + 1):
            before, after = volume[row - step], volume[row + step]
            is_high = is_high and volume[row] > max(before, after)
            is_low = is_low and volume[row] < min(before, after)
        if is_high:
            high.append(row)
        elif is_low:
            low.append(row)
    return np.array(high, dtype=np.int64), np.array(low, dtype=np.int64)
