"""Random conditions out of the language's own tables: every function and every indicator can come up."""

from __future__ import annotations

from hypothesis import strategies as st

from crypto_mcp.analysis.indicators import Indicator
from crypto_mcp.conditions.functions import FUNCTIONS, OUTPUTS

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


@st.composite
def outputs(draw: st.DrawFn, names: tuple[str, ...]) -> str:
    """A series of an indicator, of the close or of another series."""
    name = draw(st.sampled_from(names))
    indicator, _ = OUTPUTS[name]
    settings = _settings(draw, indicator)
    if indicator.on_series and draw(st.booleans()):
        settings = ", ".join(filter(None, (draw(st.sampled_from(BASE)), settings)))
    return f"{name}({settings})"


def events(name: str) -> st.SearchStrategy[str]:
    """A term that an engine of its own finds."""
    words = (st.sampled_from(argument.words).map('"{}"'.format) for argument in FUNCTIONS[name].arguments)
    return st.tuples(*words).map(lambda chosen: f"{name}({', '.join(chosen)})")


def numbers(depth: int = 2, anchored: bool = True) -> st.SearchStrategy[str]:
    """Expressions that are a plain number, not a constant."""
    names = NUMBERS if anchored else tuple(n for n in NUMBERS if n not in ANCHORED)
    leaves = st.sampled_from(BASE) | outputs(names)
    if not depth:
        return leaves
    inner, yes = st.deferred(lambda: numbers(depth - 1, anchored)), st.deferred(lambda: conditions(depth - 1, anchored))
    bars, factor = st.integers(1, 30), st.sampled_from(["2", "0.5", "105%", "-1"])
    return st.one_of(
        leaves,
        st.builds("({} {} {})".format, inner, st.sampled_from("+-"), inner),
        st.builds("({} * {})".format, factor, inner),
        st.builds("{}({}, {})".format, st.sampled_from(["highest", "lowest", "total"]), inner, bars),
        st.builds("{}[{}]".format, inner, bars),
        st.builds("abs({})".format, inner),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner),
        st.builds("{}({}, {})".format, st.sampled_from(["count", "bars_since"]), yes, bars),
    )


def conditions(depth: int = 2, anchored: bool = True) -> st.SearchStrategy[str]:
    """Conditions."""
    number = numbers(max(0, depth - 1), anchored)
    change = st.sampled_from(["change(close, 24)", "change(volume, 3)"]) | outputs(PERCENTAGES)
    simple = st.one_of(
        st.builds("{} {} {}".format, number, st.sampled_from([">", "<", ">=", "<=", "==", "!="]), number),
        st.builds("{} {} {}%".format, change, st.sampled_from([">", "<", ">=", "<=", "!="]), st.integers(-5, 60)),
        st.sampled_from(EVENTS).flatmap(events),
        outputs(FLAGS),
        st.builds("{}({}, {})".format, st.sampled_from(["rising", "falling"]), number, st.integers(1, 4)),
    )
    if not depth:
        return simple
    inner = st.deferred(lambda: conditions(depth - 1, anchored))
    timeframe = st.sampled_from(["1h", "2h", "4h", "1d", "1w"])
    return st.one_of(
        simple,
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
        st.builds("not ({})".format, inner),
        st.builds("{}({}, {})".format, st.sampled_from(["within", "always"]), inner, st.integers(1, 30)),
        st.builds('tf("{}", {})'.format, timeframe, inner.filter(lambda text: "tf(" not in text)),
        st.builds("crosses{}({}, {})".format, st.sampled_from(["", "_above", "_below"]), number, number),
        st.builds("between({}, {}, close)".format, number, number),
        st.builds("({})[{}]".format, inner, st.integers(0, 20)),
    )
