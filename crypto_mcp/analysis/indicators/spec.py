"""What an indicator is: parameters with bounds, outputs with units, the function, and how much history it needs.

Values are float64, one a bar, NaN where history is too short or the figure has no meaning (an oscillator of a price
that stands still). TA-Lib computes wherever it has the indicator: https://ta-lib.org/functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from crypto_mcp.errors import InvalidRequest
from crypto_mcp.models.candles import Candles, Floats

Unit = Literal["price", "volume", "percent", "plain", "source", "flag"]

LONGEST = 500
# What recursive indicators may still owe to bars before the history they are given, as part of the first of them.
REMAINDER = 1e-9
DAY = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that an indicator takes; a whole one where its default is an int."""

    name: str
    default: float
    low: float
    high: float

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are accepted."""
        return isinstance(self.default, int)

    def checked(self, value: float) -> float:
        """The value, as int where only whole numbers are accepted. InvalidRequest where it is out of bounds."""
        if not self.low <= value <= self.high or (self.whole and value != int(value)):
            number = "a whole number" if self.whole else "a number"
            raise InvalidRequest(
                f"{self.name} must be {number} from {self.low:g} to {self.high:g}, not {value:g}",
                hint=f"The usual value is {self.default:g}.",
            )
        return int(value) if self.whole else float(value)


def length(default: int = 14, low: int = 2, name: str = "length") -> Parameter:
    """A number of bars."""
    return Parameter(name, default, low, LONGEST)


@dataclass(frozen=True, slots=True)
class Output:
    """One series that an indicator gives.

    Attributes:
        name: unique among all outputs.
        label: the name in words.
        unit: `price` and `volume` in quote and base asset; `percent` with 5.0 for 5 %; `plain` for everything without
            a unit; `source` that of the series it is computed on; `flag` 1.0 or 0.0.
    """

    name: str
    label: str
    unit: Unit


@dataclass(frozen=True, slots=True, eq=False)
class Indicator:
    """An indicator as data.

    Attributes:
        name: unique among indicators.
        summary: what it is, in one line.
        outputs: at least one.
        parameters: in the order in which `function` takes them.
        function: takes a series (`on_series`) or candles, then the parameters; gives an array or a tuple of them.
        needs: bars of history for a value at the newest bar within 1e-6 of that of the whole history; takes the bars'
            length in milliseconds, then the parameters. None for sums since the first bar: those depend on where
            history begins, so that only their changes mean anything.
        source: where the formula is from.
        on_series: whether it is computed on any series, the close by default, or on candles.
    """

    name: str
    summary: str
    outputs: tuple[Output, ...]
    parameters: tuple[Parameter, ...]
    function: Callable[..., Any]
    needs: Callable[..., int] | None
    source: str
    on_series: bool = False

    def values(self, given: Mapping[str, float]) -> tuple[float, ...]:
        """Every parameter in order, from those given and the defaults. InvalidRequest for what it does not take."""
        unknown = given.keys() - {parameter.name for parameter in self.parameters}
        if unknown:
            raise InvalidRequest(
                f"{self.name} has no parameter {min(unknown)}",
                hint=f"It takes {', '.join(parameter.name for parameter in self.parameters) or 'none'}.",
            )
        return tuple(p.checked(given.get(p.name, p.default)) for p in self.parameters)

    def compute(self, candles: Candles, values: tuple[float, ...], source: Floats | None = None) -> tuple[Floats, ...]:
        """Each output, in order, for parameters as `values` gives them; on the close, or on `source`."""
        if not self.on_series:
            found = self.function(candles, *values)
            return found if isinstance(found, tuple) else (found,)
        if source is None or _is_whole(source):
            found = self.function(candles.close if source is None else source, *values)
            return found if isinstance(found, tuple) else (found,)
        return self._in_runs(source, values)

    def of(self, candles: Candles, source: Floats | None = None, **given: float) -> dict[str, Floats]:
        """Each output by name."""
        names = (output.name for output in self.outputs)
        return dict(zip(names, self.compute(candles, self.values(given), source), strict=True))

    def _in_runs(self, source: Floats, values: tuple[float, ...]) -> tuple[Floats, ...]:
        """Afresh after each hole: one NaN inside would spoil everything after it."""
        found = tuple(np.full(len(source), np.nan) for _ in self.outputs)
        known = np.isfinite(source)
        edges = np.flatnonzero(np.diff(known, prepend=False, append=False))
        for begin, end in edges.reshape(-1, 2):
            part = self.function(np.ascontiguousarray(source[begin:end]), *values)
            for whole, piece in zip(found, part if isinstance(part, tuple) else (part,), strict=True):
                whole[begin:end] = piece
        return found


def _is_whole(source: Floats) -> bool:
    """Whether nothing is missing after the first value; TA-Lib skips what is missing before it."""
    known = np.isfinite(source)
    return bool(known.all()) or bool(known[int(np.argmax(known)) :].all())


@lru_cache(maxsize=512)
def memory(alpha: float, order: int = 1) -> int:
    """Bars until `order` exponential averages of weight `alpha`, one upon the other, keep 1e-9 of what was before.

    What is left after k bars is the chance of fewer than `order` successes in k trials of probability alpha.
    """
    if alpha >= 1:
        return order
    odds, bars, left = alpha / (1 - alpha), 0, 1.0
    step = max(1, int(0.05 / alpha))
    while left > REMAINDER:
        bars += step
        log_none = bars * math.log1p(-alpha)
        left = sum(math.exp(log_none + i * math.log(odds)) * math.comb(bars, i) for i in range(order))
    return bars


def exponential(bars: float, order: int = 1) -> int:
    """Bars that an exponential average over `bars` needs: those of its first mean, and its memory."""
    return int(order * bars) + memory(2 / (bars + 1), order)


def wilder(bars: float, order: int = 1) -> int:
    """The same for Wilder's average."""
    return int(order * bars) + memory(1 / bars, order)


def unmoved(moves: np.ndarray[Any, np.dtype[np.bool_]], bars: int) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """Where none of the last `bars` values of `moves` is True; None where that is nowhere, which is cheap to see."""
    if moves[1:].all():
        return None
    place = np.arange(len(moves))
    return np.asarray(place - np.maximum.accumulate(np.where(moves, place, -1)) >= bars)


def blanked(found: Floats, moves: np.ndarray[Any, np.dtype[np.bool_]], bars: int, linger: int = 0) -> Floats:
    """`found` with NaN where nothing moved for `bars` bars, or had not until `linger` bars ago."""
    still = unmoved(moves, bars)
    if still is None or not still.any():
        return found
    for _ in range(linger):
        still[1:] |= still[:-1].copy()
    return np.where(still, np.nan, found)


def changes(series: Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Where a series differs from its value a bar before."""
    moved = np.zeros(len(series), dtype=np.bool_)
    np.not_equal(series[1:], series[:-1], out=moved[1:])
    return moved
