"""What would change the recommendation: the nearest close of the next bar at which the action is another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from crypto_mcp.analysis.rounding import decimals, mean, significant
from crypto_mcp.analysis.score import ACTION_EDGES, action_for
from crypto_mcp.models.analysis import Flip
from crypto_mcp.models.candles import Candles, Floats, Ints

REACH_ATR = 2.0
REFINEMENTS = 3
OVERSHOOT = 0.03
# An action's change is placed no finer than this, in ATR.
FINE_ENOUGH = 0.1
USUAL_VOLUME = 20

Series = TypeVar("Series", Floats, Ints)


class NextBar:
    """The candles and one bar more, that opens at the last close and goes straight to its own, on usual volume."""

    def __init__(self, candles: Candles) -> None:
        self._before = float(candles.close[-1])
        self._longer = Candles(
            open_time=_longer(candles.open_time, candles.open_time[-1] + candles.step),
            open=_longer(candles.open, self._before),
            high=_longer(candles.high, self._before),
            low=_longer(candles.low, self._before),
            close=_longer(candles.close, self._before),
            volume=_longer(candles.volume, mean(candles.volume[-USUAL_VOLUME:])),
            step=candles.step,
        )

    def closing_at(self, close: float) -> Candles:
        """With that bar closed at a price."""
        return replace(
            self._longer,
            high=_ending(self._longer.high, max(self._before, close)),
            low=_ending(self._longer.low, min(self._before, close)),
            close=_ending(self._longer.close, close),
        )


def _longer(series: Series, value: float) -> Series:
    longer = np.empty(len(series) + 1, dtype=series.dtype)
    longer[:-1], longer[-1] = series, value
    return longer


def _ending(series: Floats, value: float) -> Floats:
    ending = series.copy()
    ending[-1] = value
    return ending


def find_flips(price: float, atr: float, score: float, score_at: Callable[[float], float]) -> list[Flip]:
    """The nearest price with another action below and above, if within 2 ATR; the nearer of them first.

    A price is shown only after the score there was asked for. At most 8 calls of `score_at`.

    Args:
        score: the score now.
        score_at: the score if the next bar closes at a price.
    """
    found = [_flip(price, side * REACH_ATR * atr, score, score_at) for side in (-1, 1)] if atr > 0 else []
    return sorted((flip for flip in found if flip), key=lambda flip: abs(flip.distance_percent))


def _flip(price: float, reach: float, score: float, score_at: Callable[[float], float]) -> Flip | None:
    """Regula falsi between here and `reach`, aimed a little beyond the score at which the action changes."""
    if price + reach <= 0:
        return None
    action, changed = action_for(score), action_for(far_score := score_at(price + reach))
    if changed == action:
        return None
    edge = _edge(score, far_score)
    near, far, near_score = 0.0, 1.0, score
    for _ in range(REFINEMENTS):
        if (far - near) * REACH_ATR < FINE_ENOUGH:
            break
        aim = (edge - near_score) / (far_score - near_score) + OVERSHOOT
        place = near + min(0.9, max(0.1, aim)) * (far - near)
        there = score_at(price + place * reach)
        if action_for(there) == action:
            near, near_score = place, there
        else:
            far, far_score, changed = place, there, action_for(there)
    at = price + far * reach
    return Flip(action=changed, price=significant(at), distance_percent=decimals(100 * (at / price - 1)))


def _edge(score: float, towards: float) -> float:
    """The first score on the way at which the action changes."""
    if towards > score:
        return min(edge for edge in ACTION_EDGES if edge >= score)
    return max(edge for edge in ACTION_EDGES if edge <= score)
