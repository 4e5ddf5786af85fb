"""The condition language of alerts, screens and strategies.

    condition = parse("rsi(14) < 30 and close > ema(200)")
    evaluate(condition, candles)             # bool, one a bar
    evaluate_last(condition, candles)        # at the newest bar
    lookback(condition, Timeframe.H1)        # bars to fetch
    explain(condition)                       # as a sentence

Text is checked against a white list and compiled to array operations; nothing of it is ever run as Python.
docs/conditions.md lists every word.
"""

from __future__ import annotations

from crypto_mcp.conditions.condition import (
    Condition,
    evaluate,
    evaluate_last,
    explain,
    lookback,
    parse,
    timeframes,
)
from crypto_mcp.conditions.errors import ConditionError

__all__ = [
    "Condition",
    "ConditionError",
    "evaluate",
    "evaluate_last",
    "explain",
    "lookback",
    "parse",
    "timeframes",
]
