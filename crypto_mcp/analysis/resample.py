"""Longer bars out of shorter ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crypto_mcp.models.candles import Candles


def resample(candles: Candles, factor: int) -> Candles:
    """Bars `factor` times as long, on the exchange's grid (starts are multiples of the length since the epoch).

    Only complete groups count: a group that began before the first bar, or whose last bar has not closed, is left
    out. Bars missing inside a group are tolerated.
    """
    step = candles.step * factor
    group = candles.open_time // step
    begins = np.flatnonzero(np.diff(group, prepend=group[:1] - 1))
    ends = np.append(begins[1:], len(candles))
    if len(begins) and candles.open_time[0] % step:
        begins, ends = begins[1:], ends[1:]
    if len(begins) and candles.open_time[-1] % step != step - candles.step:
        begins, ends = begins[:-1], ends[:-1]
    if not len(begins):
        return replace(candles[:0], step=step)
    stop = int(ends[-1])
    return Candles(
        open_time=group[begins] * step,
        open=candles.open[begins],
        high=np.maximum.reduceat(candles.high[:stop], begins),
        low=np.minimum.reduceat(candles.low[:stop], begins),
        close=candles.close[ends - 1],
        volume=np.add.reduceat(candles.volume[:stop], begins),
        step=step,
    )
