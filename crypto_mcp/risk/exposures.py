"""The part of a portfolio whose risk can be computed: exposures with the daily returns behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.risk.concentration import Principal, effective_bets, principal
from crypto_mcp.risk.covariance import Shrunk, ledoit_wolf
from crypto_mcp.risk.tail import DEFAULT_METHOD, LEAST_BARS, TailMethod, scenarios, tail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from crypto_mcp.models.candles import Candles
    from crypto_mcp.risk.tail import Tail
    from crypto_mcp.risk.valuation import Priced

    Floats = NDArray[np.float64]

_FULL_HISTORY = 180
"""Days below which a symbol is left out where others have as many: it would cut their history to its own."""


@dataclass(frozen=True, eq=False)
class Returns:
    """Daily simple returns (days by symbols) on days that all symbols have, oldest first."""

    symbols: tuple[str, ...]
    table: Floats

    @cached_property
    def shrunk(self) -> Shrunk:
        """Their covariance, shrunk."""
        return ledoit_wolf(self.table)

    @cached_property
    def principal(self) -> Principal:
        """The principal portfolios of the covariance."""
        return principal(self.shrunk.covariance)

    @cached_property
    def index(self) -> dict[str, int]:
        """Column by symbol."""
        return {symbol: i for i, symbol in enumerate(self.symbols)}

    def column(self, symbol: str) -> Floats:
        """Of one symbol."""
        return np.asarray(self.table[:, self.index[symbol]])


def aligned(days: Mapping[str, Candles]) -> Returns:
    """Returns from daily candles by symbol; symbols with too short a history are left out."""
    lengths = {symbol: len(candles) - 1 for symbol, candles in days.items()}
    least = _FULL_HISTORY if max(lengths.values(), default=0) >= _FULL_HISTORY else LEAST_BARS
    kept = [symbol for symbol, length in lengths.items() if length >= least]
    if not kept:
        return Returns((), np.empty((0, 0)))
    times = [days[symbol].open_time for symbol in kept]
    common = times[0]
    if any(len(each) != len(common) or not np.array_equal(each, common) for each in times[1:]):
        common = reduce(lambda a, b: np.intersect1d(a, b, assume_unique=True), times)
    if len(common) <= LEAST_BARS:
        return Returns((), np.empty((0, 0)))
    closes = [
        days[symbol].close if len(at) == len(common) else days[symbol].close[np.searchsorted(at, common)]
        for symbol, at in zip(kept, times, strict=True)
    ]
    table = np.column_stack(closes)
    return Returns(tuple(kept), table[1:] / table[:-1] - 1)


@dataclass(frozen=True, eq=False)
class Exposures:
    """Positions with returns: amounts (negative for shorts) and the returns of each (days by positions)."""

    positions: tuple[Priced, ...]
    amounts: Floats
    returns: Floats
    market: Returns

    @property
    def effective_bets(self) -> float:
        """Number of uncorrelated bets among the positions."""
        by_symbol = np.zeros(len(self.market.symbols))
        np.add.at(by_symbol, [self.market.index[each.position.symbol] for each in self.positions], self.amounts)
        return effective_bets(self.market.principal, by_symbol)

    @property
    def profit(self) -> Floats:
        """What the present positions would have gained each day."""
        return np.asarray(self.returns @ self.amounts)

    @cached_property
    def scenes(self) -> Floats:
        """The returns as the default method scales them."""
        return scenarios(self.returns, self.amounts, DEFAULT_METHOD)

    def tails(
        self, confidences: Sequence[float] = (0.95, 0.99), method: TailMethod = DEFAULT_METHOD
    ) -> tuple[Tail, ...]:
        """VaR and ES at each confidence."""
        scenes = self.scenes if method == DEFAULT_METHOD else scenarios(self.returns, self.amounts, method)
        return tuple(tail(scenes, self.amounts, confidence, method) for confidence in confidences)

    def var_with(self, amounts: Floats, confidence: float = 0.95) -> float:
        """VaR with the positions in other sizes, in the same scenarios."""
        return tail(self.scenes, amounts, confidence, DEFAULT_METHOD).var

    def scene_of(self, returns: Floats) -> Floats:
        """Another asset's returns of the same days, as the default method scales a day's."""
        place = np.argmax(np.abs(self.returns), axis=1)[:, np.newaxis]
        before = np.take_along_axis(self.returns, place, axis=1)[:, 0]
        after = np.take_along_axis(self.scenes, place, axis=1)[:, 0]
        return np.asarray(returns * np.divide(after, before, out=np.ones(len(before)), where=before != 0))

    def single_losses(self, confidence: float) -> Floats:
        """VaR of each position alone, in the same scenarios."""
        losses = -(self.scenes * self.amounts)
        place = len(losses) - max(1, math.floor(len(losses) * (1 - confidence) + 1e-9))
        return np.asarray(np.partition(losses, place, axis=0)[place])


def exposures(priced: Sequence[Priced], returns: Returns) -> tuple[Exposures, list[str]]:
    """The positions that have returns, and the symbols of those that have none."""
    index = returns.index
    kept = tuple(each for each in priced if each.position.symbol in index)
    missing = sorted({each.position.symbol for each in priced if each.position.symbol not in index})
    columns = [index[each.position.symbol] for each in kept]
    amounts = np.array([float(each.value) for each in kept])
    return Exposures(kept, amounts, returns.table[:, columns], returns), missing
