"""What each step of a plan does to whole series at once.

Numbers are float64 series, or one float64 for a constant; NaN is unknown. Conditions are bool series, False where
unknown. Nothing raises on division by zero or overflow: the result is unknown there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from crypto_mcp.analysis.findings import Bools
from crypto_mcp.analysis.indicators import INDICATORS
from crypto_mcp.analysis.ta import talib
from crypto_mcp.conditions.alignment import aligned, as_timeframe
from crypto_mcp.conditions.events import Bars
from crypto_mcp.conditions.plan import Plan
from crypto_mcp.models.candles import Candles, Floats
from crypto_mcp.models.timeframes import Timeframe

Value = Any  # Floats, Bools, a float64, or the tuple of an indicator's outputs


class Context(Bars):
    """The bars a plan is run on, and what several of its steps share."""

    def __init__(self, candles: Candles, higher: Mapping[Timeframe, Candles]) -> None:
        super().__init__(candles)
        self.higher = higher
        self._on: dict[Timeframe, Context] = {}

    def on(self, timeframe: Timeframe, column: int) -> Context:
        """The bars of a longer timeframe."""
        if timeframe not in self._on:
            self._on[timeframe] = Context(as_timeframe(self.candles, timeframe, self.higher, column), {})
        return self._on[timeframe]


def run(plan: Plan, context: Context) -> Value:
    """The result of the last step."""
    found: list[Value] = []
    with np.errstate(all="ignore"):
        for step in plan.steps:
            found.append(OPERATIONS[step.operation](context, [found[i] for i in step.inputs], *step.options))
    return found[-1]


def _number(_: Context, __: list[Value], value: float) -> Value:
    return np.float64(value)


def _column(context: Context, _: list[Value], name: str) -> Floats:
    column: Floats = getattr(context.candles, name)
    return column


def _indicator(context: Context, inputs: list[Value], name: str, settings: tuple[float, ...]) -> Value:
    bars = len(context.candles)
    indicator = INDICATORS[name]
    if not bars:
        return tuple(np.empty(0) for _ in indicator.outputs)
    return indicator.compute(context.candles, settings, inputs[0] if inputs else None)


def _pick(_: Context, inputs: list[Value], place: int) -> Floats:
    series: Floats = np.asarray(inputs[0][place], dtype=np.float64)
    return series


def _arithmetic(_: Context, inputs: list[Value], operator: str) -> Value:
    left, right = inputs
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    found = left * right if operator == "*" else left / right
    endless = np.isinf(found)
    return np.where(endless, np.nan, found) if endless.any() else found


def _compare(_: Context, inputs: list[Value], sign: str) -> Bools:
    left, right = inputs
    if sign == "!=":
        # Alone among the signs it holds of NaN.
        return np.asarray((left < right) | (left > right))
    return np.asarray(_SIGNS[sign](left, right))


_SIGNS: dict[str, Callable[[Value, Value], Value]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
}


def _shift(_: Context, inputs: list[Value], bars: int) -> Value:
    series = inputs[0]
    moved = np.full(len(series), False if series.dtype == np.bool_ else np.nan)
    moved[bars:] = series[: max(0, len(series) - bars)]
    return moved


def _since(condition: Bools) -> Floats:
    """Bars since the last True; infinite before the first."""
    place = np.arange(len(condition), dtype=np.float64)
    return place - np.maximum.accumulate(np.where(condition, place, -np.inf))


def _within(_: Context, inputs: list[Value], bars: int) -> Bools:
    return np.asarray(_since(inputs[0]) < bars)


def _always(_: Context, inputs: list[Value], bars: int) -> Bools:
    place = np.arange(len(inputs[0]), dtype=np.float64)
    return np.asarray((_since(~inputs[0]) >= bars) & (place >= bars - 1))


def _count(_: Context, inputs: list[Value], bars: int) -> Floats:
    total = np.concatenate(([0], np.cumsum(inputs[0])))
    found = np.full(len(inputs[0]), np.nan)
    found[bars - 1 :] = total[bars:] - total[: max(0, len(total) - bars)]
    return found


def _bars_since(_: Context, inputs: list[Value], limit: int) -> Floats:
    since = _since(inputs[0])
    return np.where(since <= limit, since, np.nan)


def _change(context: Context, inputs: list[Value], bars: int) -> Floats:
    before = _shift(context, inputs, bars)
    return np.where(before == 0, np.nan, 100 * (inputs[0] - before) / np.abs(before))


def _rolling(function: Callable[[Floats, int], Floats], filler: float) -> Callable[..., Floats]:
    def rolling(_: Context, inputs: list[Value], bars: int) -> Floats:
        series: Floats = inputs[0]
        if not len(series) or bars == 1:
            return series
        unknown = np.isnan(series)
        found = function(np.where(unknown, filler, series), bars)
        if unknown.any():
            # Unknown as long as the window holds an unknown value.
            found = np.where(_since(unknown) < bars, np.nan, found)
        return found

    return rolling


def _total(series: Floats, bars: int) -> Floats:
    found = np.full(len(series), np.nan)
    if len(series) >= bars:
        # Each window by itself: a running sum would keep the rounding of what has left it.
        found[bars - 1 :] = np.lib.stride_tricks.sliding_window_view(series, bars).sum(axis=1)
    return found


def _highest(series: Floats, bars: int) -> Floats:
    found: Floats = talib.MAX(series, bars)
    return found


def _lowest(series: Floats, bars: int) -> Floats:
    found: Floats = talib.MIN(series, bars)
    return found


def _higher(context: Context, _: list[Value], timeframe: str, plan: Plan, column: int) -> Value:
    higher = context.on(Timeframe(timeframe), column)
    return aligned(run(plan, higher), higher.candles, context.candles)


OPERATIONS: dict[str, Callable[..., Value]] = {
    "number": _number,
    "column": _column,
    "indicator": _indicator,
    "pick": _pick,
    "arithmetic": _arithmetic,
    "compare": _compare,
    "and": lambda _, inputs: inputs[0] & inputs[1],
    "or": lambda _, inputs: inputs[0] | inputs[1],
    "not": lambda _, inputs: ~inputs[0],
    "negative": lambda _, inputs: -inputs[0],
    "abs": lambda _, inputs: np.abs(inputs[0]),
    "min": lambda _, inputs: np.minimum(*inputs),
    "max": lambda _, inputs: np.maximum(*inputs),
    "shift": _shift,
    "within": _within,
    "always": _always,
    "count": _count,
    "bars_since": _bars_since,
    "change": _change,
    "highest": _rolling(_highest, -np.inf),
    "lowest": _rolling(_lowest, np.inf),
    "total": _rolling(_total, 0.0),
    "event": lambda context, _, name, *options: context.event(name, options),
    "tf": _higher,
}
