"""Hourly bars of the sandbox's symbols: recorded ones, replayed, and generated ones.

Both are functions of the hour alone: the same hour is the same bar whenever it is asked for, and after a restart too
(recorded ones as long as the replay has the same end).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Bars = NDArray[np.int64]
"""Rows of open, high, low, close in ticks and volume in steps: whole numbers, so that sums are exact."""

OPEN, HIGH, LOW, CLOSE, VOLUME = range(5)

BLOCK = 1024
FIRST_HOUR = 482_136
"""2025-01-01 00:00 UTC in hours since the epoch: no generated history is older."""

_KEPT = 0.7
"""Share of the distance from the start price that is left after a block."""


class HourlyBars(Protocol):
    """Where a symbol's hours come from."""

    def read(self, first: int, last: int) -> Bars:
        """Bars of the hours `first`..`last`, both included; fewer if history begins later."""
        ...

    @property
    def begins(self) -> int:
        """The oldest hour there is."""
        ...


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded stretch of hours whose last bar is the hour `ends`; then its movements are replayed from the start.

    The replay goes on from the last price: repeated bars are scaled by last close over first open, so none jumps.
    """

    bars: Bars
    ends: int

    @property
    def begins(self) -> int:
        """The oldest hour there is."""
        return self.ends - len(self.bars) + 1

    def read(self, first: int, last: int) -> Bars:
        """See `HourlyBars`."""
        places = np.arange(max(first, self.begins), last + 1) - self.begins
        turn, place = np.divmod(places, len(self.bars))
        rows = self.bars[place].copy()
        growth = self.bars[-1, CLOSE] / self.bars[0, OPEN]
        scale = growth**turn
        rows[:, :VOLUME] = np.maximum(np.rint(rows[:, :VOLUME] * scale[:, None]), 1)
        return rows


@dataclass(frozen=True, slots=True)
class Generated:
    """A random walk with clustered volatility and heavy tails; nothing of it was ever a price.

    Log returns of an hour are Student t (4 degrees of freedom) times a volatility that wanders slowly. Each block of
    1,024 hours is drawn from a seed of its own, and the price is pulled back a little towards its start over each
    block, so that it keeps its order of magnitude.
    """

    seed: int
    number: int
    start_ticks: int
    hourly_volatility: float
    volume: float
    quiet_share: float
    begins: int = FIRST_HOUR

    def read(self, first: int, last: int) -> Bars:
        """See `HourlyBars`."""
        first = max(first, self.begins)
        blocks = range((first - self.begins) // BLOCK, (last - self.begins) // BLOCK + 1)
        rows = np.concatenate([_block(self, block) for block in blocks])
        offset = first - self.begins - blocks[0] * BLOCK
        return rows[offset : offset + last - first + 1]


def _moves(symbol: Generated, block: int) -> tuple[NDArray[np.float64], np.random.Generator]:
    """Log returns of a block's hours, and the generator to go on drawing from."""
    random = np.random.Generator(np.random.PCG64([symbol.seed, symbol.number, block]))
    mood = np.cumsum(random.standard_normal(BLOCK) * 0.06)
    mood = np.exp(mood - np.linspace(0, mood[-1], BLOCK))  # ends where it began: blocks join without a step
    shocks = random.standard_t(4, BLOCK) / np.sqrt(2)
    return np.clip(shocks * mood * symbol.hourly_volatility, -0.2, 0.2), random


@cache
def _level(symbol: Generated, block: int) -> float:
    """Log price over the start price at the start of a block."""
    if block == 0:
        return 0.0
    return _KEPT * (_level(symbol, block - 1) + float(_moves(symbol, block - 1)[0].sum()))


@lru_cache(maxsize=2000)
def _block(symbol: Generated, block: int) -> Bars:
    returns, random = _moves(symbol, block)
    begin, end = _level(symbol, block), _level(symbol, block + 1)
    path = begin + np.concatenate([[0.0], np.cumsum(returns + (end - begin - returns.sum()) / BLOCK)])
    ticks = np.maximum(np.rint(np.exp(path) * symbol.start_ticks), 10)
    open_, close = ticks[:-1], ticks[1:]
    reach = np.abs(random.standard_normal((2, BLOCK))) * 0.4 * symbol.hourly_volatility * open_
    volume = np.rint(symbol.volume * random.lognormal(0, 0.5, BLOCK) * (1 + 40 * np.abs(returns)))
    quiet = random.random(BLOCK) < symbol.quiet_share
    reach[:, quiet] = 0
    volume[quiet] = 0
    high = np.rint(np.maximum(open_, close) + reach[0])
    low = np.maximum(np.rint(np.minimum(open_, close) - reach[1]), 1)
    return np.stack([open_, high, low, close, volume], 1).astype(np.int64)
