"""Random conditions out of the language's own tables: every function and every indicator can come up."""

from __future__ import annotations

from hypothesis import strategies as st

from crypto_mcp.analysis.indicators import Indicator
from crypto_mcp.conditions.functions import FUNCTIONS, OUTPUTS, Argument, Function

BASE = ("open", "high", "low", "close", "volume")
# Sums since the first bar depend on where bars begin.
ANCHORED = frozenset(name for name, (indicator, _) in OUTPUTS.items() if indicator.needs is None)
NUMBERS = tuple(n for n, (i, place) in OUTPUTS.items() if i.outputs[place].unit not in ("flag", "percent"))
FLAGS = tuple(n for n, (i, place) in OUTPUTS.items() if i.outputs[place].unit == "flag")
PERCENTAGES = tuple(n for n, (i, place) in OUTPUTS.items() if i.outputs[place].unit == "percent")
EVENTS = ("in_order_block", "in_fvg", "bos", "choch", "sweep", "pattern", "divergence")


def _settings(draw: st.DrawFn, indicator: Indicator) -> str:
    values = []
    for parameter in indicator.parameters:
        if parameter.whole:
            low, high = int(parameter.low), int(min(parameter.high, parameter.low + 25))
            values.append(str(draw(st.integers(low, high))))
        else:
            values.append(f"{draw(st.sampled_from([parameter.default, parameter.low])):g}")
    # The usual values when the drawn ones do not go together, as a fast average slower than the slow one.
    return ", ".join(values) if draw(st.booleans()) else ""


def _output(draw: st.DrawFn, names: tuple[str, ...]) -> str:
    name = draw(st.sampled_from(names))
    indicator, _ = OUTPUTS[name]
    settings = _settings(draw, indicator)
    if indicator.on_series and draw(st.booleans()):
        settings = ", ".join(filter(None, (draw(st.sampled_from(BASE)), settings)))
    return f"{name}({settings})"


def _word(draw: st.DrawFn, argument: Argument) -> str:
    return f'"{draw(st.sampled_from(argument.words))}"'


def _event(draw: st.DrawFn, function: Function) -> str:
    return f"{function.name}({', '.join(_word(draw, argument) for argument in function.arguments)})"


@st.composite
def numbers(draw: st.DrawFn, depth: int = 2, anchored: bool = True) -> str:
    """An expression that is a plain number, not a constant."""
    names = NUMBERS if anchored else tuple(n for n in NUMBERS if n not in ANCHORED)
    kinds = ["series", "output"] + (["sum", "product", "rolling", "shift", "abs", "pair", "since"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "series":
        return draw(st.sampled_from(BASE))
    if kind == "output":
        return _output(draw, names)
    inner = draw(numbers(depth - 1, anchored))
    bars = draw(st.integers(1, 30))
    if kind == "sum":
        return f"({inner} {draw(st.sampled_from('+-'))} {draw(numbers(depth - 1, anchored))})"
    if kind == "product":
        return f"({draw(st.sampled_from(['2', '0.5', '105%', '-1']))} * {inner})"
    if kind == "shift":
        return f"{inner}[{bars}]"
    if kind == "abs":
        return f"abs({inner})"
    if kind == "pair":
        return f"{draw(st.sampled_from(['min', 'max']))}({inner}, {draw(numbers(depth - 1, anchored))})"
    if kind == "since":
        name = draw(st.sampled_from(["count", "bars_since"]))
        return f"{name}({draw(conditions(depth - 1, anchored))}, {bars})"
    return f"{draw(st.sampled_from(['highest', 'lowest', 'total']))}({inner}, {bars})"


@st.composite
def conditions(draw: st.DrawFn, depth: int = 2, anchored: bool = True) -> str:
    """A condition."""
    simple = ["compare", "percent", "event", "flag", "direction"]
    kinds = simple + (["and", "or", "not", "window", "tf", "cross", "between", "shift"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "event":
        return _event(draw, FUNCTIONS[draw(st.sampled_from(EVENTS))])
    if kind == "flag":
        return _output(draw, FLAGS) if FLAGS else "close > open"
    if kind == "percent":
        series = draw(st.sampled_from(["change(close, 24)", "change(volume, 3)", "output"]))
        left = _output(draw, PERCENTAGES) if series == "output" else series
        return f"{left} {draw(st.sampled_from(['>', '<', '>=', '<=', '!=']))} {draw(st.integers(-5, 60))}%"
    less = max(0, depth - 1)
    first = draw(numbers(less, anchored))
    if kind == "direction":
        return f"{draw(st.sampled_from(['rising', 'falling']))}({first}, {draw(st.integers(1, 4))})"
    second = draw(numbers(less, anchored))
    if kind == "compare":
        return f"{first} {draw(st.sampled_from(['>', '<', '>=', '<=', '==', '!=']))} {second}"
    if kind == "cross":
        return f"{draw(st.sampled_from(['crosses', 'crosses_above', 'crosses_below']))}({first}, {second})"
    if kind == "between":
        return f"between({first}, {second}, close)"
    inner = draw(conditions(less, anchored))
    if kind in ("and", "or"):
        return f"({inner} {kind} {draw(conditions(less, anchored))})"
    if kind == "not":
        return f"not ({inner})"
    if kind == "shift":
        return f"({inner})[{draw(st.integers(0, 20))}]"
    if kind == "tf" and "tf(" not in inner:
        return f'tf("{draw(st.sampled_from(["1h", "2h", "4h", "1d", "1w"]))}", {inner})'
    return f"{draw(st.sampled_from(['within', 'always']))}({inner}, {draw(st.integers(1, 30))})"
