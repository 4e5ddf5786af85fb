"""Hourly bars of the sandbox's symbols: recorded ones, replayed, and generated ones.

Both are functions of the hour alone: the same hour is the same bar whenever it is asked for, and after a restart too
(recorded ones as long as the replay has the same end).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Bars = NDArray[np.int64]
"""Rows of open, high, low, close in ticks and volume in steps: whole numbers, so that sums are exact."""

OPEN, HIGH, LOW, CLOSE, VOLUME = range(5)

BLOCK = 512
FIRST_HOUR = 447_072
"""2021-01-01 00:00 UTC in hours since the epoch: no generated history is older."""

_LEVELS = 512
"""Levels drawn for a symbol; after so many blocks, which is thirty years, they come again."""

_RAMP = np.arange(BLOCK) / (BLOCK - 1)

_EVERYBODY = 0
"""Number under which the moves that all symbols share are drawn; symbols count from 1."""


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
        rows = self.bars[place]
        growth = self.bars[-1, CLOSE] / self.bars[0, OPEN]
        rows[:, :VOLUME] = np.maximum(np.rint(rows[:, :VOLUME] * (growth**turn)[:, None]), 1)
        return rows


@dataclass(frozen=True, slots=True)
class Generated:
    """A random walk with clustered volatility and heavy tails; nothing of it was ever a price.

    Log returns are Student t (4 degrees of freedom) times a volatility that wanders slowly; a part of them (`beta`) is
    shared by all symbols. Hours are drawn in blocks of 512 from seeds of their own, and each block is bent to lead
    from its own level to that of the next: any block can be drawn without those before it, and price keeps its order
    of magnitude. `volume` is the median of an hour, in steps; `quiet_share` of the hours have no trade.
    """

    seed: int
    number: int
    start_ticks: int
    hourly_volatility: float
    beta: float
    volume: float
    quiet_share: float = 0.0

    @property
    def begins(self) -> int:
        """The oldest hour there is."""
        return FIRST_HOUR

    def read(self, first: int, last: int) -> Bars:
        """See `HourlyBars`."""
        first = max(first, self.begins)
        if last < first:
            return np.empty((0, 5), dtype=np.int64)
        blocks = range(first // BLOCK, last // BLOCK + 1)
        rows = np.concatenate([_block(self, block) for block in blocks])
        offset = first - blocks[0] * BLOCK
        return rows[offset : offset + last - first + 1]

    def mixed(self, shared: NDArray[np.float64] | float, own: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """What everybody does and what only this symbol does, in the proportion of `beta`; variance is kept."""
        return np.asarray(self.beta * shared + np.sqrt(1 - self.beta**2) * own)


@lru_cache(maxsize=900)
def _block(symbol: Generated, block: int) -> Bars:
    """512 hours. The cache holds the two newest blocks of every symbol, in 18 MB."""
    random = np.random.default_rng([symbol.seed, symbol.number, block])
    moves, mood = _moves(random)
    shared = _shared_moves(symbol.seed, block)
    returns = np.clip(symbol.mixed(shared, moves) * symbol.hourly_volatility, -0.2, 0.2)
    quiet = random.random(BLOCK) < symbol.quiet_share  # no secret # nosec B311
    returns[quiet] = 0
    begin, end = _level(symbol, block), _level(symbol, block + 1)
    path = begin + np.concatenate([[0.0], np.cumsum(returns + (end - begin - returns.sum()) * ~quiet / (~quiet).sum())])
    ticks = np.maximum(np.rint(np.exp(path) * symbol.start_ticks), 10)
    open_, close = ticks[:-1], ticks[1:]
    reach = np.abs(random.standard_normal((2, BLOCK))) * 0.4 * symbol.hourly_volatility * mood * open_ * ~quiet
    volume = np.ceil(symbol.volume * random.lognormal(0, 0.5, BLOCK) * (1 + 40 * np.abs(returns))) * ~quiet
    high = np.rint(np.maximum(open_, close) + reach[0])
    low = np.maximum(np.rint(np.minimum(open_, close) - reach[1]), 1)
    return np.stack([open_, high, low, close, volume], 1).astype(np.int64)


@lru_cache(maxsize=100)
def _shared_moves(seed: int, block: int) -> NDArray[np.float64]:
    return _moves(np.random.default_rng([seed, _EVERYBODY, block]))[0]


def _moves(random: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A block of standardised moves, and the volatility they were drawn with."""
    walk = np.cumsum(random.standard_normal(BLOCK) * 0.08)
    mood = np.exp(walk - walk[-1] * _RAMP)  # ends where it began: blocks join without a step
    return random.standard_t(4, BLOCK) / np.sqrt(2) * mood, mood


def _level(symbol: Generated, block: int) -> float:
    """Log price over the start price at the start of a block: as far as a random walk of that volatility would go."""
    shared, own = (_draws(symbol.seed, number)[block % _LEVELS] for number in (_EVERYBODY, symbol.number))
    return float(symbol.mixed(shared, own) * symbol.hourly_volatility * np.sqrt(BLOCK))


@lru_cache(maxsize=500)
def _draws(seed: int, number: int) -> NDArray[np.float64]:
    return np.random.default_rng([seed, number]).standard_normal(_LEVELS)
