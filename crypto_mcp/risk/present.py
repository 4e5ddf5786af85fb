"""What the bars say of a market at present, as far as a trade's risk depends on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from crypto_mcp.models.analysis import Side
    from crypto_mcp.models.candles import Candles, Floats

ATR_BARS = 14
LEAST_BARS = 30
_DAY_MS = 86_400_000
_YEAR_MS = 365 * _DAY_MS


@dataclass(frozen=True, slots=True)
class Present:
    """Readings of closed bars.

    Attributes:
        close: last close, quote asset.
        atr: average true range, Wilder's over 14 bars, quote asset.
        annual_volatility: of logarithmic returns over all bars read, a share a year.
        surge: standard deviation of the last day's returns over that of all bars; 1 is usual.
        day_volume: traded in the last 24 hours, quote asset.
        worst_fall, worst_rise: largest move within one bar from the close before, shares, 0 or more.
    """

    close: float
    atr: float
    annual_volatility: float
    surge: float
    day_volume: float
    worst_fall: float
    worst_rise: float

    def worst_against(self, side: Side) -> float:
        """The worst move of one bar against a side, a share."""
        return self.worst_fall if side == "long" else self.worst_rise


def present(candles: Candles) -> Present:
    """Readings of at least `LEAST_BARS` closed bars."""
    before = candles.close[:-1]
    returns = np.diff(np.log(candles.close))
    day = max(2, _DAY_MS // candles.step)
    usual = float(returns.std())
    return Present(
        close=float(candles.close[-1]),
        atr=wilder_atr(candles),
        annual_volatility=usual * math.sqrt(_YEAR_MS / candles.step),
        surge=float(returns[-day:].std()) / usual if usual > 0 else 1.0,
        day_volume=float((candles.close * candles.volume)[-max(1, _DAY_MS // candles.step) :].sum()),
        worst_fall=max(0.0, float((1 - candles.low[1:] / before).max())),
        worst_rise=max(0.0, float((candles.high[1:] / before - 1).max())),
    )


def wilder_atr(candles: Candles, bars: int = ATR_BARS) -> float:
    """Average true range as Wilder (1978) smooths it: a mean of the first `bars`, then 1 / bars of each new one."""
    before = candles.close[:-1]
    ranges = np.maximum(candles.high[1:], before) - np.minimum(candles.low[1:], before)
    value = float(ranges[:bars].mean())
    keep = (bars - 1) / bars
    rest: Floats = ranges[bars:]
    weights = keep ** np.arange(len(rest) - 1, -1, -1) / bars
    return value * keep ** len(rest) + float(weights @ rest)
