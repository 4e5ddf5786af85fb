"""The words of the language besides the indicators, as data: what they take, give, and an example of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crypto_mcp.analysis.indicators import INDICATORS, PATTERNS, Indicator
from crypto_mcp.analysis.indicators.divergences import GAUGES
from crypto_mcp.conditions.plan import Kind

LONGEST_WINDOW = 500

# Series that stand by themselves.
SERIES = {
    "open": "open of the bar, quote asset",
    "high": "high of the bar, quote asset",
    "low": "low of the bar, quote asset",
    "close": "close of the bar, quote asset",
    "volume": "volume of the bar, base asset",
    "price": "the same as close",
}


@dataclass(frozen=True, slots=True)
class Argument:
    """What a function takes at one place.

    Attributes:
        name: by which it may be given.
        accepts: a `number` (any expression of numbers), a `condition`, a `whole` number or a `word` in quotes.
        default: what is taken where nothing is given; for a number, the name of a series. None: it must be given.
        low, high: bounds of a whole number.
        words: that are accepted.
    """

    name: str
    accepts: Literal["number", "condition", "whole", "word"]
    default: str | int | None = None
    low: int = 1
    high: int = LONGEST_WINDOW
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.default is None:
            return self.name
        return f'{self.name}="{self.default}"' if self.accepts == "word" else f"{self.name}={self.default}"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the language.

    Attributes:
        name, summary, example: for people.
        arguments: what it takes.
        result: kind of what it gives; None for that of its first argument.
        words: how it reads in a sentence, with its arguments by name.
    """

    name: str
    summary: str
    example: str
    arguments: tuple[Argument, ...]
    result: Kind | None
    words: str

    @property
    def signature(self) -> str:
        """As it is written."""
        return f"{self.name}({', '.join(map(str, self.arguments))})"


def _number(name: str, default: str | None = None) -> Argument:
    return Argument(name, "number", default)


def _bars(default: int | None = None, low: int = 1) -> Argument:
    return Argument("bars", "whole", default, low)


_A_B = (_number("a"), _number("b"))
_CONDITION = Argument("condition", "condition")
_ZONE = Argument("kind", "word", "any", words=("any", "demand", "supply"))
_WAY = Argument("direction", "word", "any", words=("any", "bullish", "bearish"))
_SCALE = Argument("scale", "word", "external", words=("external", "internal"))
_YES, _NUMBER, _RATIO = Kind.BOOLEAN, Kind.NUMBER, Kind.RATIO

CROSSING = (
    Function(
        "crosses_above",
        "a is above b, and was not a bar before",
        "crosses_above(ema(9), ema(21))",
        _A_B,
        _YES,
        "{a} crosses above {b}",
    ),
    Function(
        "crosses_below",
        "a is below b, and was not a bar before",
        "crosses_below(rsi(14), 70)",
        _A_B,
        _YES,
        "{a} crosses below {b}",
    ),
    Function("crosses", "either of the two", "crosses(close, rolling_vwap(24))", _A_B, _YES, "{a} crosses {b}"),
    Function(
        "between",
        "x is neither below low nor above high",
        "between(rsi(14), 40, 60)",
        (_number("x"), _number("low"), _number("high")),
        _YES,
        "{x} is between {low} and {high}",
    ),
    Function(
        "rising",
        "each of the last bars is above the one before",
        "rising(ema(50), 3)",
        (_number("x", "close"), _bars(1)),
        _YES,
        "{x} has risen on each of the last {bars} bars",
    ),
    Function(
        "falling",
        "each of the last bars is below the one before",
        "falling(close, 4)",
        (_number("x", "close"), _bars(1)),
        _YES,
        "{x} has fallen on each of the last {bars} bars",
    ),
)

WINDOWS = (
    Function(
        "change",
        "change against so many bars ago, in percent",
        "change(close, 24) > 5%",
        (_number("x", "close"), _bars(1)),
        Kind.PERCENT,
        "the change of {x} over {bars} bars",
    ),
    Function(
        "highest",
        "the highest of the last bars, this one included",
        "close > highest(high, 20)[1]",
        (_number("x", "high"), _bars()),
        None,
        "the highest value of {x} in {bars} bars",
    ),
    Function(
        "lowest",
        "the lowest of the last bars, this one included",
        "close < lowest(low, 20)[1]",
        (_number("x", "low"), _bars()),
        None,
        "the lowest value of {x} in {bars} bars",
    ),
    Function(
        "total",
        "the sum over the last bars, this one included",
        "total(volume, 24) > 1000000",
        (_number("x", "volume"), _bars()),
        None,
        "the sum of {x} over {bars} bars",
    ),
    Function(
        "within",
        "the condition was true on one of the last bars, this one included",
        "within(rsi(14) < 30, 10) and close > ema(20)",
        (_CONDITION, _bars()),
        _YES,
        "within the last {bars} bars, {condition}",
    ),
    Function(
        "always",
        "the condition was true on all of the last bars, this one included",
        "always(close > ema(200), 48)",
        (_CONDITION, _bars()),
        _YES,
        "on all of the last {bars} bars, {condition}",
    ),
    Function(
        "count",
        "on how many of the last bars, this one included, the condition was true",
        "count(close > open, 10) >= 7",
        (_CONDITION, _bars()),
        _NUMBER,
        "the number of the last {bars} bars on which {condition}",
    ),
    Function(
        "bars_since",
        "bars since the condition was last true, 0 on that bar; unknown beyond the limit",
        "bars_since(crosses_above(ema(9), ema(21))) < 5",
        (_CONDITION, Argument("limit", "whole", 500)),
        _NUMBER,
        "the number of bars since {condition}",
    ),
)

ARITHMETIC = (
    Function("abs", "without its sign", "abs(change(close)) > 2%", (_number("x"),), None, "the size of {x}"),
    Function("min", "the smaller of the two", "low < min(ema(20), ema(50))", _A_B, None, "the smaller of {a} and {b}"),
    Function("max", "the larger of the two", "close > max(ema(20), ema(50))", _A_B, None, "the larger of {a} and {b}"),
)

STRUCTURE = (
    Function(
        "in_order_block",
        "the close lies in an order block that was known before and no close has broken",
        'in_order_block("demand") and rsi(14) < 40',
        (_ZONE,),
        _YES,
        "the close lies in an order block ({kind})",
    ),
    Function(
        "in_fvg",
        "the close lies in a fair value gap that was known before and is not inverted",
        'in_fvg("bullish")',
        (_WAY,),
        _YES,
        "the close lies in a fair value gap ({direction})",
    ),
    Function(
        "new_order_block",
        "an order block became known on this bar",
        'new_order_block("demand") and close > ema(200)',
        (_ZONE,),
        _YES,
        "an order block becomes known ({kind})",
    ),
    Function(
        "new_fvg",
        "a fair value gap became known on this bar",
        'new_fvg("bullish")',
        (_WAY,),
        _YES,
        "a fair value gap becomes known ({direction})",
    ),
    Function(
        "bos",
        "this bar broke structure in the direction of its trend",
        'within(bos("bullish"), 5)',
        (_WAY, _SCALE),
        _YES,
        "structure breaks ({direction}, {scale})",
    ),
    Function(
        "choch",
        "this bar broke structure against its trend: a change of character",
        'choch("bullish", "internal")',
        (_WAY, _SCALE),
        _YES,
        "the character of structure changes ({direction}, {scale})",
    ),
    Function(
        "sweep",
        "this bar took liquidity beyond a level and closed back",
        'sweep("bullish")',
        (_WAY,),
        _YES,
        "liquidity is swept ({direction})",
    ),
    Function(
        "structure_trend",
        "1 while structure rises, -1 while it falls, 0 before its first break",
        "structure_trend() == 1",
        (_SCALE,),
        _NUMBER,
        "the trend of {scale} structure",
    ),
    Function(
        "range_position",
        "place of the close in the dealing range, 0 at its bottom, 1 at its top",
        "range_position() < 50%",
        (),
        _RATIO,
        "the place in the dealing range",
    ),
)

CANDLESTICKS = (
    Function(
        "pattern",
        "this bar completed a candlestick pattern",
        'pattern("engulfing", "bullish")',
        (Argument("name", "word", words=tuple(PATTERNS)), _WAY),
        _YES,
        "a candlestick pattern is completed ({name}, {direction})",
    ),
    Function(
        "divergence",
        "on this bar a divergence of price and an indicator became known",
        'divergence("rsi", "bullish")',
        (
            Argument("gauge", "word", "any", words=("any", *GAUGES)),
            _WAY,
            Argument("kind", "word", "regular", words=("regular", "hidden")),
        ),
        _YES,
        "a divergence becomes known ({gauge}, {direction}, {kind})",
    ),
)

FAMILIES = {
    "Crossing and comparing": CROSSING,
    "Looking back": WINDOWS,
    "Arithmetic": ARITHMETIC,
    "Market structure": STRUCTURE,
    "Candlesticks and divergences": CANDLESTICKS,
}
FUNCTIONS = {f.name: f for family in FAMILIES.values() for f in family}
# Found by engines of their own rather than by an operation on series.
EVENTS = frozenset(f.name for f in (*STRUCTURE, *CANDLESTICKS))
# Every series that an indicator gives is a function of its own.
OUTPUTS: dict[str, tuple[Indicator, int]] = {
    output.name: (indicator, place)
    for indicator in INDICATORS.values()
    for place, output in enumerate(indicator.outputs)
}
TF = "tf"
NAMES = (*SERIES, *FUNCTIONS, *OUTPUTS, TF)
