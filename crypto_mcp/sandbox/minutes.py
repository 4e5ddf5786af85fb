"""Inside an hour: sixty minutes that aggregate to exactly its open, high, low, close and volume.

Generated, also for recorded symbols; the sandbox says so.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.sandbox.hours import CLOSE, HIGH, LOW, OPEN, VOLUME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crypto_mcp.sandbox.hours import Bars

MINUTES = 60
_SHARE = np.arange(MINUTES + 1) / MINUTES


@lru_cache(maxsize=1000)
def minutes_of(bar: tuple[int, int, int, int, int], seed: tuple[int, int]) -> Bars:
    """The minutes of one hourly bar, as a bridge from its open to its close that touches high and low.

    It turns round at them: one that was cut off there would stand still for minutes, and no alert would fire.
    """
    open_, high, low, close, volume = bar
    random = np.random.default_rng(seed)
    walk = np.concatenate([[0.0], np.cumsum(random.standard_normal(MINUTES))])
    bridge = (walk - _SHARE * walk[-1]) * (high - low) / np.sqrt(MINUTES)
    path = _turned_round(np.rint(open_ + _SHARE * (close - open_) + bridge), low, high)
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
    rows.flags.writeable = False
    return rows


def _turned_round(path: NDArray[np.float64], low: int, high: int) -> NDArray[np.float64]:
    """A path that turns round at its bounds as often as it comes to them."""
    if low == high:
        return np.full_like(path, low)
    beyond_low = np.mod(path - low, 2 * (high - low))
    turned: NDArray[np.float64] = low + np.minimum(beyond_low, 2 * (high - low) - beyond_low)
    return turned


def begun(minute: NDArray[np.int64], elapsed: float) -> NDArray[np.int64]:
    """A minute of which the share `elapsed` (0 to 1) has passed, as the exchange shows it then.

    Price goes in thirds from open over the nearer extreme and the farther one to the close, so highs only rise, lows
    only fall, and at the end it is the minute itself.
    """
    open_, high, low, close, volume = minute.tolist()
    turns = [open_, high, low, close] if high - open_ < open_ - low else [open_, low, high, close]
    third, within = divmod(min(elapsed, 1.0) * 3, 1)
    seen = turns[: int(third) + 1]
    if int(third) < len(turns) - 1:
        seen.append(round(turns[int(third)] + (turns[int(third) + 1] - turns[int(third)]) * within))
    return np.array([open_, max(seen), min(seen), seen[-1], math.ceil(volume * elapsed)], dtype=np.int64)
