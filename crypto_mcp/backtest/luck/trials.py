"""What is kept of every trial: enough to judge all of them together, little enough to try tens of thousands.

A trial's equity is measured once and let go. What stays are its figures and the sums of its returns over parts of the
data (a few hundred bytes), from which overfitting and the odds of the best are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from io import BytesIO
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from crypto_mcp.analysis.kernels import plain
from crypto_mcp.backtest.luck.measuring import Floats32, measure
from crypto_mcp.models.candles import Floats, Ints
from crypto_mcp.models.luck import Objective, Trial

BLOCKS = 16
"""Parts of the data for cross-validation (Bailey et al. 2017 use 16), each of up to eight buckets."""

_BUCKETS_A_BLOCK = 8
_BARS_A_BUCKET = 4


class TrialRun(NamedTuple):
    """One run as the search sees it.

    Attributes:
        equity: float64, value of the account at every bar's close, in quote asset.
        start: capital before the first bar.
        trades: closed trades.
    """

    equity: Floats
    start: float
    trades: int


RunTrial = Callable[[Mapping[str, float], int, int], TrialRun]
"""Runs the strategy with these parameters over bars `first` to `last` (excluded), flat at both ends.

Indicators may use the bars before `first`; equity has `last - first` values.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """The bars a search runs over.

    Attributes:
        first, last: bars, `last` excluded.
        bars_per_year: of the data.
        market: float64, return of holding the market over each bar of the whole data (see `market_returns`).
    """

    first: int
    last: int
    bars_per_year: float
    market: Floats

    @property
    def bars(self) -> int:
        """Length."""
        return self.last - self.first

    @property
    def held(self) -> Floats:
        """Returns of holding the market over these bars."""
        return self.market[self.first : self.last]


def market_returns(close: Floats) -> Floats:
    """Return of each bar of an account that holds all symbols alike; `close` is (symbols, bars). The first is 0."""
    changes = np.zeros(close.shape)
    np.divide(np.diff(close, axis=1), close[:, :-1], out=changes[:, 1:], where=close[:, :-1] > 0)
    mean: Floats = changes.mean(axis=0)
    return mean


class Progress(NamedTuple):
    """How far a search is; `table` holds the trials made so far."""

    tried: int
    planned: int
    table: TrialTable


Proceed = Callable[[Progress], bool]
"""Told now and then how far the search is; False ends it with what it has."""


@dataclass(frozen=True, slots=True)
class TrialTable:
    """Trials as columns of one length `n`, in the order they were made.

    Attributes:
        names: of the parameters.
        bars, bars_per_year: of the data all trials ran over.
        market_mean, market_variance: of the bar returns of holding the market.
        market_sums: float64 (buckets), those returns summed over equal parts of the data.
        parameters: float64 (n, names).
        total_return, max_drawdown, calmar: float64 (n).
        sharpe, sortino: float64 (n), per bar; NaN where returns do not vary.
        skewness, kurtosis: float64 (n), of bar returns; a normal distribution has 0 and 3.
        shared: float64 (n), mean product of a trial's bar returns with those of the market.
        trades: int64 (n).
        sums: float32 (n, buckets), returns summed over equal parts of the data.
        squares: float32 (n, 16), squared returns summed over the blocks.
    """

    names: tuple[str, ...]
    bars: int
    bars_per_year: float
    market_mean: float
    market_variance: float
    market_sums: Floats
    parameters: Floats
    total_return: Floats
    max_drawdown: Floats
    calmar: Floats
    sharpe: Floats
    sortino: Floats
    skewness: Floats
    kurtosis: Floats
    shared: Floats
    trades: Ints
    sums: Floats32
    squares: Floats32

    def __len__(self) -> int:
        return len(self.parameters)

    def __getitem__(self, part: slice) -> TrialTable:
        """Some of the trials, without copying."""
        columns: dict[str, Any] = {name: column[part] for name, column in self.columns.items()}
        return replace(self, **columns)

    @classmethod
    def blank(cls, names: Sequence[str], rows: int, span: Span) -> Self:
        """Room for that many trials, to be filled by `record`."""
        edges = bucket_edges(span.bars)
        buckets = len(edges) - 1
        nothing = np.full(rows, np.nan)
        return cls(
            names=tuple(names),
            bars=span.bars,
            bars_per_year=span.bars_per_year,
            market_mean=float(np.mean(span.held)),
            market_variance=float(np.var(span.held)),
            market_sums=np.diff(np.concatenate([[0.0], np.cumsum(span.held)])[edges]),
            parameters=np.full((rows, len(names)), np.nan),
            total_return=nothing,
            max_drawdown=nothing.copy(),
            calmar=nothing.copy(),
            sharpe=nothing.copy(),
            sortino=nothing.copy(),
            skewness=nothing.copy(),
            kurtosis=nothing.copy(),
            shared=nothing.copy(),
            trades=np.zeros(rows, dtype=np.int64),
            sums=np.zeros((rows, buckets), dtype=np.float32),
            squares=np.zeros((rows, BLOCKS), dtype=np.float32),
        )

    @classmethod
    def joined(cls, parts: Sequence[TrialTable]) -> TrialTable:
        """Parts of one search as one table."""
        columns = [part.columns for part in parts]
        whole: dict[str, Any] = {name: np.concatenate([part[name] for part in columns]) for name in _COLUMNS}
        return replace(parts[0], **whole)

    def record(self, row: int, values: Sequence[float] | Floats, run: TrialRun, span: Span) -> None:
        """Measures a run over that span into a row."""
        self.parameters[row] = values
        self.trades[row] = run.trades
        figures, edges, held = np.empty(7), bucket_edges(self.bars), plain(span.held)
        measure(plain(run.equity), float(run.start), held, edges, figures, self.sums[row], self.squares[row])
        self.total_return[row], self.max_drawdown[row] = figures[0], figures[1]
        self.sharpe[row], self.sortino[row], self.skewness[row], self.kurtosis[row] = figures[2:6]
        self.shared[row] = figures[6]
        self.calmar[row] = _calmar(figures[0], figures[1], self.bars_per_year / self.bars)

    def objective(self, kind: Objective) -> Floats:
        """What a search compares, ratios per year; NaN where it is not defined."""
        if kind in {Objective.SHARPE, Objective.SORTINO}:
            ratio: Floats = getattr(self, kind.value) * np.sqrt(self.bars_per_year)
            return ratio
        values: Floats = getattr(self, kind.value)
        return values

    @property
    def beta(self) -> Floats:
        """How much of the market each trial held on average, by regression of its bar returns (n)."""
        if self.market_variance <= 0:
            return np.zeros(len(self))
        mean = self.sums.sum(axis=1, dtype=np.float64) / self.bars
        slope: Floats = (self.shared - mean * self.market_mean) / self.market_variance
        return slope

    def best(self, kind: Objective, least_trades: int) -> int | None:
        """The row of the best trial that traded often enough; of equals the first."""
        values = np.where(self.trades >= least_trades, self.objective(kind), np.nan)
        return None if np.isnan(values).all() else int(np.nanargmax(values))

    def trial(self, row: int) -> Trial:
        """One row as it is answered."""
        return Trial(
            parameters=self.values(row),
            sharpe=_figure(self.objective(Objective.SHARPE)[row]),
            sortino=_figure(self.objective(Objective.SORTINO)[row]),
            calmar=_figure(self.calmar[row]),
            total_return=float(self.total_return[row]),
            max_drawdown=float(self.max_drawdown[row]),
            trades=int(self.trades[row]),
        )

    def values(self, row: int) -> dict[str, float]:
        """The parameters of a row by name."""
        return dict(zip(self.names, map(float, self.parameters[row]), strict=True))

    def to_bytes(self) -> bytes:
        """As a compressed archive without pickles, to be sent between workers."""
        out = BytesIO()
        head: dict[str, Any] = {"names": np.array(self.names), "market_sums": self.market_sums}
        head["data"] = np.array([self.bars, self.bars_per_year, self.market_mean, self.market_variance])
        np.savez_compressed(out, **(head | self.columns))
        return out.getvalue()

    @classmethod
    def from_bytes(cls, packed: bytes) -> Self:
        """What `to_bytes` made."""
        with np.load(BytesIO(packed), allow_pickle=False) as archive:
            names = tuple(str(name) for name in archive["names"])
            bars, bars_per_year, mean, variance = map(float, archive["data"])
            market_sums = archive["market_sums"]
            columns: dict[str, Any] = {name: archive[name] for name in _COLUMNS}
        return cls(names, int(bars), bars_per_year, mean, variance, market_sums, **columns)

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """Every column by name."""
        return {name: getattr(self, name) for name in _COLUMNS}


_COLUMNS = tuple(f.name for f in fields(TrialTable))[6:]


@lru_cache(maxsize=64)
def bucket_edges(bars: int) -> Ints:
    """Borders of equal parts of the data, as bar numbers: 16 blocks of up to eight buckets of at least four bars."""
    a_block = min(_BUCKETS_A_BLOCK, max(1, bars // (BLOCKS * _BARS_A_BUCKET)))
    return np.linspace(0, bars, BLOCKS * a_block + 1).round().astype(np.int64)


def _calmar(total_return: float, drawdown: float, years_inverse: float) -> float:
    if drawdown <= 0 or total_return <= -1:
        return np.nan if drawdown <= 0 else -1.0
    return float(np.expm1(min(np.log1p(total_return) * years_inverse, 700.0)) / drawdown)


def _figure(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
