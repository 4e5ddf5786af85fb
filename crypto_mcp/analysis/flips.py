"""What would change the recommendation: the nearest close of the next bar at which the action is another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from crypto_mcp.analysis.rounding import decimals, significant
from crypto_mcp.analysis.score import action_for
from crypto_mcp.models.analysis import Action, Flip
from crypto_mcp.models.candles import Candles

STEPS_ATR = (1.0, 2.5)
HALVINGS = 3


def with_next_bar(candles: Candles, close: float) -> Candles:
    """The candles and one bar more, that opens at the last close, goes straight to `close`, on usual volume."""
    before = float(candles.close[-1])
    return replace(
        candles,
        open_time=np.append(candles.open_time, candles.open_time[-1] + candles.step),
        open=np.append(candles.open, before),
        high=np.append(candles.high, max(before, close)),
        low=np.append(candles.low, min(before, close)),
        close=np.append(candles.close, close),
        volume=np.append(candles.volume, np.median(candles.volume[-20:])),
    )


def find_flips(price: float, atr: float, action: Action, score_at: Callable[[float], float]) -> list[Flip]:
    """The nearest price with another action below and above, if within 2.5 ATR; the nearer of them first.

    Looks at two prices a side, then halves the way three times: at most 10 calls of `score_at`, and a price within an
    eighth of the step in which the action changes.

    Args:
        action: the action now.
        score_at: the score if the next bar closes at a price.
    """
    found = [_flip(price, side * atr, action, score_at) for side in (-1, 1)] if atr > 0 else []
    return sorted((flip for flip in found if flip), key=lambda flip: abs(flip.distance_percent))


def _flip(price: float, unit: float, action: Action, score_at: Callable[[float], float]) -> Flip | None:
    near = 0.0
    for far in STEPS_ATR:
        if price + far * unit <= 0:
            return None
        changed = action_for(score_at(price + far * unit))
        if changed != action:
            return _nearer(price, unit, (near, far), action, changed, score_at)
        near = far
    return None


def _nearer(
    price: float,
    unit: float,
    bracket: tuple[float, float],
    action: Action,
    changed: Action,
    score_at: Callable[[float], float],
) -> Flip:
    near, far = bracket
    for _ in range(HALVINGS):
        middle = (near + far) / 2
        there = action_for(score_at(price + middle * unit))
        if there == action:
            near = middle
        else:
            far, changed = middle, there
    at = price + far * unit
    return Flip(action=changed, price=significant(at), distance_percent=decimals(100 * (at / price - 1)))
