"""What is not a condition: an error that says where, what, and what to write instead; never another exception."""

from __future__ import annotations

import pytest
from grammar import conditions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto_mcp.conditions import ConditionError, lookback, parse
from crypto_mcp.models.timeframes import Timeframe
from tests.conditions.fuzz import examine, read, strings

TABLE = [
    # text, column, part of the message, part of the hint
    ("", 1, "there is no condition", "For example"),
    ("rsii(14) < 30", 1, "there is no rsii", "Did you mean rsi?"),
    ("close > 1 and Volume > 3", 15, "there is no Volume", "Did you mean volume?"),
    ("zzzzzz > 3", 1, "there is no zzzzzz", "For example"),
    ("close", 1, "close is a number", "Compare it"),
    ("rsi(14) and close > 1", 1, "rsi(...) is a number", "Compare it"),
    ("(close > 1) + 2 > 3", 2, "a number is wanted", "For example"),
    ("close > 1 and rsi(14", 18, "cannot be read", "1 opening and 0 closing"),
    ("close = 5", 7, "cannot be read", "Compare with =="),
    ("close > 1 && volume > 2", 11, "'&&'", "Write 'and'"),
    ("close > 1 & volume > 2", 9, "of arithmetic there is", "Write and"),
    ("close ≥ 1", 7, "'≥'", "Write >="),
    ("close > 1,000", 1, "a comma", "Write 1000."),
    ("close > 45,050", None, "cannot be read", "Write 45050."),
    ("price > 45k", 9, "'45k' is not a number", "Write 45000."),
    ("volume > 2x sma(volume, 20)", 10, "'2x' is not a number", "Write 2 *."),
    ("4h: close > ema(50)", 1, "'4h' is not a number", 'tf("4h", close > ema(50))'),
    ("rsi(14, '4h') < 30", 9, "rsi takes no timeframe", 'Write tf("4h", rsi ...).'),
    ('rsi(14, timeframe="4h") < 30', 19, "rsi takes no timeframe", 'Write tf("4h", rsi ...).'),
    ("price above 45000", 7, "cannot be read at 'above'", "Write > for above."),
    ("price is below ema(20)", None, "cannot be read", "Write < for below."),
    ("ema(9) crosses above ema(21)", 8, "cannot be read at 'crosses'", "Write crosses_above(ema(9), ema(21))."),
    ("close > 1 AND volume > 2", 11, "cannot be read at 'AND'", "small letters"),
    ("rsi 14 < 30", 5, "cannot be read", "Arguments stand in brackets"),
    ("close > $45000", 9, "cannot be read", "without its currency"),
    ("close.shift(1) > open", 1, "not a function", "close[1]"),
    ("close > 0x10", 9, "'0x10' is not a number", "1500.5"),
    ("close > 1e99", 9, "is not a number up to", ""),
    ("1 < 2", 1, "never changes", ""),
    ("close / 0 * 2 < 1 / 0", 17, "divides by zero", ""),
    ("rsi(0) > 1", 1, "from 2 to 500", "rsi(14)"),
    ("rsi(14.5) > 1", 1, "whole number", "rsi(14)"),
    ("rsi(14, 3) > 1", 9, "no such argument", "rsi(14)"),
    ("rsi(length=14, size=3) > 1", 1, "no parameter size", "rsi(14)"),
    ("rsi(volume > 1) > 1", 5, "is a condition", ""),
    ("sma(close, volume) > 1", 12, "is a plain number", "sma(20)"),
    ("close() > 1", 1, "takes no arguments", "close[1]"),
    ("close[-1] > 1", 7, "how many bars ago", "close > close[1]"),
    ("close[1.5] > 1", 7, "how many bars ago", ""),
    ("close[1:2] > 1", 7, "how many bars ago", ""),
    ("close[501] > 1", 7, "0 to 500", ""),
    ("change(close, 24) > 5", 1, "plain number", "Write 5%"),
    ("close > 5%", 1, "compared with a number", "percentages with percentages"),
    ("close + 5% > 1", 1, "cannot be added", "close * 105%"),
    ("close % 5 > 1", 1, "of arithmetic there is", "5%"),
    ("within(close > 1, 0)", 19, "whole number from 1 to 500", "within("),
    ("within(close, 5)", 8, "close is a number", ""),
    ("within(close > 1)", 1, "bars is missing", "within("),
    ("crosses_above(close)", 1, "b is missing", "crosses_above(ema(9), ema(21))"),
    ("crosses_above(close, 1, 2)", 25, "too many arguments", ""),
    ("highest(5, 5) > 1", 12, "too many arguments", ""),
    ('bos("bulish")', 5, "is one of", "Did you mean bullish?"),
    ("bos(bullish)", 5, "is one of", ""),
    ('tf("4x", close > 1)', 4, "not a timeframe", "4h"),
    ('tf("4h", tf("1d", close > 1))', 10, "inside tf", ""),
    ('tf("4h")', 1, "tf takes a timeframe", 'tf("4h"'),
    ("close.real > 1", 1, "a dot", ""),
    ("(lambda: 1)() > 1", 1, "not a function", ""),
    ("__import__('os').system('x') > 1", 1, "not a function", ""),
    ("[close for close in volume] > 1", 1, "does not belong", ""),
    ("close if volume else open", 1, "if ... else", ""),
    ("True", 1, "does not stand by itself", ""),
    ("close > None", 9, "does not stand by itself", ""),
    ("change() > 5%and close > 1", 14, "a space is missing", ""),
    ("close > 1e-5and volume > 1", 9, "is not a number", ""),
    (f"close > {'9' * 400}", 9, "is not a number up to", ""),
    (f"sma(close, {'9' * 400}) > 1", 12, "plain number", ""),
    (f"close[{'9' * 400}] > 1", 7, "0 to 500", ""),
    ("close is volume", 1, "is and in", ""),
    ("rsi(*close) > 1", 1, "* does not belong", ""),
    ("-" * 400 + "close > 1", 31, "nested more than", ""),
    ("(" * 300 + "close" + ")" * 300 + " > 1", None, "cannot be read", ""),
    (" or ".join(["close>1"] * 80), None, "more than 200 parts", ""),
    ("close > 1 or " * 100 + "close > 2", 1001, "characters", ""),
    ("tema(tema(tema(close, 500), 500), 500) > 1", 1, "bars of history", ""),
]


def is_condition(text: str) -> bool:
    try:
        return bool(parse(text))
    except ConditionError:
        return False


@pytest.mark.parametrize(("text", "column", "message", "hint"), TABLE, ids=[row[0][:30] for row in TABLE])
def test_an_error_says_where_what_and_what_instead(text: str, column: int | None, message: str, hint: str) -> None:
    with pytest.raises(ConditionError) as raised:
        parse(text)
    error = raised.value
    assert message in error.message
    assert hint in error.hint
    assert f"For example: {error.example}" in error.hint
    assert is_condition(error.example) or is_condition(f"{error.example} > 1")
    assert column in (None, error.column)
    assert error.message.startswith(f"column {error.column}: ")
    assert (error.code, error.http_status) == ("bad_condition", 422)


def test_nothing_is_built_beyond_its_bounds() -> None:
    """Parts that use a part twice, inside each other, are still each built once."""
    text = "close > 1"
    for _ in range(9):
        text = f"crosses(count({text}, 9), 3)"
    steps = len(parse(text).plan.steps)
    assert steps < 150
    assert lookback(parse(text), Timeframe.H1) == 9 * 9 + 1


@pytest.mark.filterwarnings("error")
def test_thousands_of_strings_give_a_condition_or_a_condition_error() -> None:
    """`python -m tests.conditions.fuzz` reads as many as one likes."""
    valid = sum(examine(text) is not None for text in strings(5000, seed=17))
    assert 100 < valid < 4900


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(conditions())
def test_drawn_conditions_parse_or_say_why_not(text: str) -> None:
    condition = read(text)
    assert condition is None or condition.sentence.endswith(".")


@settings(max_examples=300)
@given(st.text(max_size=60))
def test_any_text_at_all(text: str) -> None:
    read(text)
    assert read(text + " §") is None
