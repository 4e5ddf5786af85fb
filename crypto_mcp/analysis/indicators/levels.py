"""Prices of the day and week before, and the pivot points made of them.

Days are UTC, weeks open on Monday. A level is known from the first bar of the next day or week, and only where the one
before was seen from its beginning; bars longer than the period have none.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crypto_mcp.analysis.indicators.spec import DAY, Indicator, Output
from crypto_mcp.analysis.kernels import plain
from crypto_mcp.compiling import compiled
from crypto_mcp.models.candles import Candles, Floats, Ints

WEEK = 7 * DAY
# The epoch was a Thursday: three days after a Monday.
SINCE_MONDAY = 3 * DAY

Levels = tuple[Floats, ...]


def before(candles: Candles, period: int) -> tuple[Floats, Floats, Floats]:
    """High, low and close of the complete day or week before each bar's, NaN where it is not known."""
    if candles.step > period:
        unknown = np.full(len(candles), np.nan)
        return unknown, unknown, unknown
    since = plain(candles.open_time) + (SINCE_MONDAY if period == WEEK else 0)
    return _before(since, plain(candles.high), plain(candles.low), plain(candles.close), period)


@compiled
def _before(times: Ints, high: Floats, low: Floats, close: Floats, period: int) -> tuple[Floats, Floats, Floats]:
    highs, lows, closes = np.full(len(close), np.nan), np.full(len(close), np.nan), np.full(len(close), np.nan)
    whole = len(times) > 0 and times[0] % period == 0
    top, bottom = (high[0], low[0]) if len(times) else (0.0, 0.0)
    for bar in range(1, len(close)):
        if times[bar] // period == times[bar - 1] // period:
            highs[bar], lows[bar], closes[bar] = highs[bar - 1], lows[bar - 1], closes[bar - 1]
            top, bottom = max(top, high[bar]), min(bottom, low[bar])
            continue
        if whole:
            highs[bar], lows[bar], closes[bar] = top, bottom, close[bar - 1]
        whole, top, bottom = True, high[bar], low[bar]
    return highs, lows, closes


def _classic(high: Floats, low: Floats, close: Floats) -> Levels:
    pivot = (high + low + close) / 3
    span = high - low
    resistances = 2 * pivot - low, pivot + span, high + 2 * (pivot - low)
    supports = 2 * pivot - high, pivot - span, low - 2 * (high - pivot)
    return pivot, *resistances, *supports


def _fibonacci(high: Floats, low: Floats, close: Floats) -> Levels:
    pivot, span = (high + low + close) / 3, high - low
    return *(pivot + part * span for part in (0.382, 0.618, 1.0)), *(
        pivot - part * span for part in (0.382, 0.618, 1.0)
    )


def _camarilla(high: Floats, low: Floats, close: Floats) -> Levels:
    reach = 1.1 * (high - low)
    return *(close + reach / part for part in (12, 6, 4, 2)), *(close - reach / part for part in (12, 6, 4, 2))


def _pivots(formula: Callable[[Floats, Floats, Floats], Levels]) -> Callable[[Candles], Levels]:
    return lambda candles: formula(*before(candles, DAY))


def _days(step: int) -> int:
    return 2 * -(-DAY // step)


def _price(name: str, label: str) -> Output:
    return Output(name, label, "price")


def _steps(prefix: str, label: str, count: int) -> tuple[Output, ...]:
    sides = (("r", "resistance"), ("s", "support"))
    return tuple(
        _price(f"{prefix}_{letter}{i}", f"{label} {word} {i}") for letter, word in sides for i in range(1, count + 1)
    )


LEVELS = (
    Indicator(
        "previous_day",
        "High, low and close of the day before, UTC.",
        (
            _price("prev_day_high", "previous day's high"),
            _price("prev_day_low", "previous day's low"),
            _price("prev_day_close", "previous day's close"),
        ),
        (),
        lambda candles: before(candles, DAY),
        _days,
        "of the bars",
    ),
    Indicator(
        "previous_week",
        "High, low and close of the week before, Monday to Sunday UTC.",
        (
            _price("prev_week_high", "previous week's high"),
            _price("prev_week_low", "previous week's low"),
            _price("prev_week_close", "previous week's close"),
        ),
        (),
        lambda candles: before(candles, WEEK),
        lambda step: 2 * -(-WEEK // step),
        "of the bars",
    ),
    Indicator(
        "pivots",
        "Pivot points of the day before: the mean of its high, low and close, and what mirrors its range at it.",
        (_price("pivot", "pivot point"), *_steps("pivot", "pivot", 3)),
        (),
        _pivots(_classic),
        _days,
        "floor traders' formula",
    ),
    Indicator(
        "fibonacci_pivots",
        "Pivot point plus and minus 38.2, 61.8 and 100 % of the range of the day before.",
        _steps("fib", "Fibonacci pivot", 3),
        (),
        _pivots(_fibonacci),
        _days,
        "floor traders' formula",
    ),
    Indicator(
        "camarilla_pivots",
        "Close of the day before plus and minus parts of its range.",
        _steps("cam", "Camarilla pivot", 4),
        (),
        _pivots(_camarilla),
        _days,
        "Nick Scott (1989)",
    ),
)
