"""Inside an hour: sixty minutes that aggregate to exactly its open, high, low, close and volume.

Generated, also for recorded symbols; the sandbox says so.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from crypto_mcp.sandbox.hours import CLOSE, HIGH, LOW, OPEN, VOLUME, Bars

MINUTES = 60


@lru_cache(maxsize=5000)
def minutes_of(bar: tuple[int, int, int, int, int], seed: tuple[int, int]) -> Bars:
    """The minutes of one hourly bar, as a bridge from its open to its close that touches high and low once."""
    open_, high, low, close, volume = bar
    random = np.random.Generator(np.random.PCG64(list(seed)))
    walk = np.concatenate([[0.0], np.cumsum(random.standard_normal(MINUTES))])
    share = np.linspace(0, 1, MINUTES + 1)
    bridge = (walk - share * walk[-1]) * (high - low) / np.sqrt(MINUTES)
    path = np.clip(np.rint(open_ + share * (close - open_) + bridge), low, high)
    path[0], path[-1] = open_, close
    rows = np.empty((MINUTES, 5), dtype=np.int64)
    rows[:, OPEN], rows[:, CLOSE] = path[:-1], path[1:]
    rows[:, HIGH] = np.maximum(path[:-1], path[1:])
    rows[:, LOW] = np.minimum(path[:-1], path[1:])
    rows[rows[:, HIGH].argmax(), HIGH] = high
    rows[rows[:, LOW].argmin(), LOW] = low
    weights = random.exponential(size=MINUTES)
    parts = np.floor(volume * weights / weights.sum()).astype(np.int64)
    parts[0] += volume - parts.sum()
    rows[:, VOLUME] = parts
    return rows
