"""docs/conditions.md, made of the language's own tables."""

from __future__ import annotations

from collections.abc import Iterator

from crypto_mcp.analysis.indicators import FAMILIES as INDICATOR_FAMILIES
from crypto_mcp.analysis.indicators import PATTERNS, Indicator
from crypto_mcp.conditions.functions import FAMILIES, SERIES, Function
from crypto_mcp.conditions.parser import MAX_DEPTH, MAX_LOOKBACK, MAX_NODES, MAX_SHIFT
from crypto_mcp.conditions.source import LONGEST_SOURCE
from crypto_mcp.models.timeframes import Timeframe

_INTRODUCTION = f"""<!-- Made by `crypto-mcp conditions --markdown`; change the tables, not this page. -->
# The condition language

One language for alerts, screens and strategies. A condition is true or false at the close of every bar.

```
price > 45000
rsi(14) < 30 and close > ema(200)
crosses_above(ema(9), ema(21)) and volume > 2 * sma(volume, 20)
tf("4h", close > ema(50)) and change(close, 24) > 5%
close[1] < bb_lower(20, 2) and in_order_block("demand")
```

```python
from crypto_mcp.conditions import evaluate, explain, lookback, parse

condition = parse("rsi(14) < 30 and close > ema(200)")
explain(condition)  # The RSI (14) is below 30, and the close is above the exponential moving average (200).
evaluate(condition, candles)  # bool, one a bar
```

## How it is written

- **Series**: {", ".join(f"`{name}`" for name in SERIES)}. `close[1]` is the close a bar ago; likewise
  `rsi(14)[1]`, `bos()[1]`.
- **Comparing**: `<` `<=` `>` `>=` `==` `!=`, also `30 < rsi(14) < 70`. **Joining**: `and`, `or`, `not`, brackets.
- **Arithmetic**: `+ - * /`. What divides by zero is unknown.
- **Percentages**: `5%`. They are compared with percentages (`change(close, 24) > 5%`) and ratios
  (`close / open > 101%`), and multiply prices (`close * 105%`); never with plain numbers, so `change(close) > 5` is an
  error instead of a surprise.
- **Arguments** have the defaults shown and may be named: `bb_upper(20, deviations=2.5)`. Where all have defaults the
  brackets may be left out. A function of a series takes the close, or another one given first: `sma(volume, 20)`.
- **Other timeframes**: `tf("4h", ...)` holds for any expression, and any multiple of the bars' own timeframe among
  {", ".join(str(t) for t in Timeframe)}. A longer bar counts from its close, never before. Weeks
  begin on Monday, UTC.

## What it promises

- **Nothing looks ahead**: what is said of the first *k* bars is what the first *k* bars alone say.
- **Unknown is neither true nor false**: before there is history enough, `rsi(14) < 30` and `not rsi(14) < 30` are both
  false; `a or b` is true if `a` is, whatever is unknown of `b`.
- **History is worked out**: `lookback(condition, timeframe)` says how many bars to fetch. `timeframes(condition)` says
  which longer bars it looks at, and how many of each; give them to `evaluate` to fetch less.
- **Nothing is run**: text is checked against the words below and compiled to array operations. At most
  {LONGEST_SOURCE} characters, {MAX_NODES} parts, {MAX_DEPTH} levels, {MAX_SHIFT} bars ago in square brackets,
  {MAX_LOOKBACK:,} bars of history.
- **An error** (`bad_condition`) names the column, what was found, the nearest valid name and an example.
"""


def reference() -> str:
    """The page."""
    return "\n".join((_INTRODUCTION, *_functions(), *_indicators(), *_patterns()))


def sections() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Title and entries of each family of words, an entry as it is written and what it means: for a terminal."""
    yield "Series", list(SERIES.items())
    for family, functions in FAMILIES.items():
        yield family, [(f.signature, f"{_gives(f)}: {f.summary}; {f.example}") for f in functions]
    for family, indicators in INDICATOR_FAMILIES.items():
        yield family, [(written, f"{words} ({unit})") for i in indicators for written, words, unit in _outputs(i)]
    yield "Candlestick patterns", [(f'pattern("{name}")', "") for name in PATTERNS]


def _gives(function: Function) -> str:
    return str(function.result) if function.result else "what it is given"


def _functions() -> Iterator[str]:
    for family, functions in FAMILIES.items():
        yield f"## {family}\n"
        yield "| function | gives | example |\n|---|---|---|"
        for function in functions:
            yield f"| `{function.signature}` | {_gives(function)}: {function.summary} | `{function.example}` |"
        yield ""


def _indicators() -> Iterator[str]:
    yield "## Indicators\n\nOf the close where they take a series and none is given."
    for family, indicators in INDICATOR_FAMILIES.items():
        yield f"\n### {family}\n"
        yield "| written | what it is | unit | source |\n|---|---|---|---|"
        for indicator in indicators:
            for written, words, unit in _outputs(indicator):
                yield f"| `{written}` | {words} | {unit} | {indicator.source} |"
    yield ""


def _outputs(indicator: Indicator) -> Iterator[tuple[str, str, str]]:
    """How each output is written, what it is, and its unit."""
    arguments = ["series=close"] if indicator.on_series else []
    arguments += [f"{p.name}={p.default:g}" for p in indicator.parameters]
    since = "" if indicator.needs else " Adds up from the first bar: compare it with itself only."
    for output in indicator.outputs:
        unit = {"flag": "condition", "source": "as the series"}.get(output.unit, output.unit)
        written = f"{output.name}({', '.join(arguments)})"
        yield written, f"{output.label}: {indicator.summary.rstrip('.')}.{since}", unit


def _patterns() -> Iterator[str]:
    yield "## Candlestick patterns\n"
    yield "For `pattern(name)`: " + ", ".join(f"`{name}`" for name in PATTERNS) + ".\n"
