"""Longer bars seen from shorter ones: a bar counts from its close, never before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from crypto_mcp.analysis.resample import resample
from crypto_mcp.conditions.errors import ConditionError
from crypto_mcp.models.candles import Candles
from crypto_mcp.models.timeframes import Timeframe

# Weeks begin on Monday; the epoch was a Thursday.
_MONDAY = 4 * Timeframe.D1.milliseconds


def as_timeframe(candles: Candles, timeframe: Timeframe, given: Mapping[Timeframe, Candles], column: int) -> Candles:
    """The candles of a longer timeframe: those given, else made of these.

    ConditionError where bars of that length cannot be made of these.
    """
    if timeframe in given:
        return given[timeframe]
    factor, rest = divmod(timeframe.milliseconds, candles.step)
    if rest or not factor:
        raise ConditionError(
            f"bars of {timeframe} cannot be made of bars of {candles.step // 60_000} minutes",
            column=column,
            found=str(timeframe),
            advice="Take a longer timeframe in tf, or shorter candles.",
        )
    if factor == 1:
        return candles
    if timeframe is not Timeframe.W1:
        return resample(candles, factor)
    moved = resample(replace(candles, open_time=candles.open_time - _MONDAY), factor)
    return replace(moved, open_time=moved.open_time + _MONDAY)


def aligned(values: Any, higher: Candles, candles: Candles) -> Any:
    """For each bar the value of the newest longer bar that had closed with it or before; unknown before the first."""
    place = np.searchsorted(higher.close_time, candles.close_time, side="right") - 1
    known = place >= 0
    unknown: Any = False if values.dtype == np.bool_ else np.nan
    found = np.full(len(candles), unknown, dtype=values.dtype)
    found[known] = values[place[known]]
    return found
