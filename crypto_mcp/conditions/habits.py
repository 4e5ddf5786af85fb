"""What people write out of habit, and how it is written here."""

from __future__ import annotations

import re

from crypto_mcp.models.timeframes import Timeframe

_TIMES = {"k": 1e3, "m": 1e6, "b": 1e9}
_WRITTEN_OUT = re.compile(r"(\d+\.?\d*)([kmb])", re.IGNORECASE)
_TIMES_OF = re.compile(r"(\d+\.?\d*)x", re.IGNORECASE)
_SEPARATED = re.compile(r"(?<![\w.])\d{1,3}(?:,\d{3})+(?!\d)")

# Searched for in this order where a text cannot be read.
_HABITS = (
    (re.compile(r"\bcross\w*[ _]*(?:above|over)\b"), "Write crosses_above(ema(9), ema(21))."),
    (re.compile(r"\bcross\w*[ _]*(?:below|under)\b"), "Write crosses_below(ema(9), ema(21))."),
    (re.compile(r"\b(?:above|over|greater|more)\b", re.IGNORECASE), "Write > for above."),
    (re.compile(r"\b(?:below|under|less)\b", re.IGNORECASE), "Write < for below."),
    (re.compile(r"\b(?:AND|And|OR|Or|NOT|Not)\b"), "Write and, or, not in small letters."),
    (re.compile(r"\$ *\d"), "Write the amount without its currency."),
    (re.compile(r"\b[a-z_]\w* +\d"), "Arguments stand in brackets: rsi(14)."),
)


def of_number(text: str) -> str:
    """Advice for what looks like a number and is none: `45k`, `2x`, `4h`."""
    written = _WRITTEN_OUT.fullmatch(text)
    if text in list(Timeframe):
        return f'Other timeframes are written tf("{text}", close > ema(50)).'
    if written is not None:
        return f"Write {float(written[1]) * _TIMES[written[2].lower()]:.0f}."
    times = _TIMES_OF.fullmatch(text)
    if times is not None:
        return f"Write {times[1]} *."
    return "Write it as 1500.5."


def of_separator(text: str) -> str:
    """Advice for thousands that are set apart: `45,000`."""
    separated = _SEPARATED.search(text)
    return f"Write {separated[0].replace(',', '')}." if separated else ""


def of_words(text: str) -> str:
    """Advice for a text that cannot be read, strings left out; empty where no habit is seen."""
    return of_separator(text) or next((advice for habit, advice in _HABITS if habit.search(text)), "")
