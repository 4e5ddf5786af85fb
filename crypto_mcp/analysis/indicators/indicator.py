"""What an indicator is: a row of a table that knows its parameters, outputs, units, needed history and source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import numpy as np

from crypto_mcp.errors import InvalidRequest
from crypto_mcp.models.candles import Candles, Floats

Number = int | float
Column = Literal["series", "open", "high", "low", "close", "volume", "candles"]


class Unit(StrEnum):
    """What an output is measured in, and so what it may be compared with."""

    PRICE = "quote asset"
    VOLUME = "base asset"
    MONEY = "quote asset times base asset"
    PERCENT = "percent"
    BOUNDED = "0 to 100"
    SIGNED = "-100 to 100"
    RATIO = "ratio"
    PLAIN = "number"
    BARS = "bars"
    FLAG = "1 or 0"
    SIGN = "1 or -1"


# How outputs grow with prices and with volume.
_SCALES: Mapping[Unit, tuple[int, int]] = {Unit.PRICE: (1, 0), Unit.VOLUME: (0, 1), Unit.MONEY: (1, 1)}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that an indicator takes; whole where its default is an int."""

    name: str
    default: Number
    low: Number
    high: Number

    @property
    def whole(self) -> bool:
        """Whether only whole numbers will do."""
        return isinstance(self.default, int)

    def checked(self, value: Number) -> Number:
        """The value, or InvalidRequest naming the bounds."""
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high
        if not fits or (self.whole and value != int(value)):
            kind = "a whole number" if self.whole else "a number"
            raise InvalidRequest(
                f"{self.name} must be {kind} from {self.low} to {self.high}, not {value!r}",
                hint=f"The usual value is {self.default}.",
            )
        return int(value) if self.whole else float(value)


@dataclass(frozen=True, slots=True)
class Output:
    """One series that an indicator gives, under the name by which conditions call it."""

    name: str
    unit: Unit
    summary: str


@dataclass(frozen=True, slots=True)
class Indicator:
    """A classical indicator.

    Attributes:
        name: of the whole; that of its output where there is one only.
        family: module it stands in.
        source: function of TA-Lib, or paper or book of the formula.
        inputs: columns that `function` takes; `series` is the close unless another series is given.
        parameters: that it takes after them.
        outputs: what it gives, in order.
        function: arrays of the inputs, then parameters; one array or a tuple of them.
        needs: bars before the first that is worth reading, given the parameters: those without a value, and for
            averages that never forget, those until the first bar weighs less than a millionth.
    """

    name: str
    family: str
    source: str
    inputs: tuple[Column, ...]
    parameters: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    function: Callable[..., Any]
    needs: Callable[..., int]

    @property
    def takes_series(self) -> bool:
        """Whether it can be taken of another series than the close."""
        return "series" in self.inputs

    def settings(self, *values: Number, **named: Number) -> tuple[Number, ...]:
        """All parameters in order, checked, with defaults for those not given."""
        if len(values) > len(self.parameters) or not named.keys() <= {p.name for p in self.parameters}:
            raise InvalidRequest(f"{self.name} has no such parameter", hint=f"It takes: {self.signature}.")
        given = dict(zip((p.name for p in self.parameters), values, strict=False)) | named
        return tuple(p.checked(given.get(p.name, p.default)) for p in self.parameters)

    @property
    def signature(self) -> str:
        """Its parameters with their defaults, as in `fast=12, slow=26, signal=9`."""
        return ", ".join(f"{p.name}={p.default}" for p in self.parameters) or "nothing"

    def history(self, *values: Number, **named: Number) -> int:
        """Bars that must have gone before a bar for its values to be worth reading."""
        return self.needs(*self.settings(*values, **named))

    def compute(self, candles: Candles, *values: Number, series: Floats | None = None, **named: Number) -> Outputs:
        """Its outputs by name, float64 of one value a bar, NaN where history is too short.

        Args:
            candles: closed bars, any number.
            values, named: parameters; InvalidRequest where they are out of bounds.
            series: what to take it of instead of the close, one value a bar, NaN where unknown.
        """
        parameters = self.settings(*values, **named)
        names = [output.name for output in self.outputs]
        if not len(candles):
            return {name: np.empty(0) for name in names}
        taken = candles.close if series is None else np.asarray(series, dtype=np.float64)
        price = _unit(taken if self.takes_series else candles.close)
        volume = _unit(candles.volume)
        arrays = [self._input(column, candles, taken, price, volume) for column in self.inputs]
        found = self.function(*arrays, *parameters)
        found = found if isinstance(found, tuple) else (found,)
        return {
            output.name: _scaled(array, output.unit, price, volume)
            for output, array in zip(self.outputs, found, strict=True)
        }

    def _input(self, column: Column, candles: Candles, series: Floats, price: float, volume: float) -> Any:
        if column == "candles":
            return candles
        if column == "series":
            return series / price
        return getattr(candles, column) / (volume if column == "volume" else price)


Outputs = dict[str, Floats]


def _unit(series: Floats) -> float:
    """The power of two nearest to the first figure that is not zero.

    TA-Lib takes what is under 1e-14 for zero, so it must not see the price of a coin that costs 1e-8. Dividing by a
    power of two and multiplying with it again changes no bit of a result.
    """
    known = np.isfinite(series) & (series != 0)
    first = int(np.argmax(known))
    return float(2.0 ** np.round(np.log2(abs(series[first])))) if known[first] else 1.0


def _scaled(array: Any, unit: Unit, price: float, volume: float) -> Floats:
    by_price, by_volume = _SCALES.get(unit, (0, 0))
    series: Floats = np.asarray(array, dtype=np.float64) * (price**by_price * volume**by_volume)
    series[np.isinf(series)] = np.nan
    return series
