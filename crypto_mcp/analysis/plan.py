"""A trade that fits the score: where to enter, where one was wrong, where to take profit."""

from __future__ import annotations

from collections.abc import Sequence

from crypto_mcp.analysis.landscape import Landscape
from crypto_mcp.analysis.rounding import decimals, significant
from crypto_mcp.models.analysis import Side, TradePlan

# In ATR: how far a structure may lie to carry the stop, the room left behind it, the stop where there is none.
NEAREST_STOP, FURTHEST_STOP, ROOM, DEFAULT_STOP = 0.75, 3.0, 0.25, 2.0
# In risks: where structure may carry the second target, and the second target where there is none.
NEAREST_TARGET, FURTHEST_TARGET, DEFAULT_TARGET = 1.5, 4.0, 2.0
HORIZON_BARS = 48


def trade_plan(side: Side, price: float, atr: float, landscape: Landscape) -> TradePlan:
    """Stop behind the nearest structure, first target as far as the stop, second at structure beyond.

    Args:
        side: the way price is to go.
        price: the last close.
        atr: average true range, above 0.
        landscape: where structure lies.
    """
    if side == "long":
        return _plan("long", price, atr, landscape.floors(), landscape.obstacles_above())
    return _plan("short", price, atr, landscape.ceilings(), landscape.obstacles_below())


def _plan(side: Side, price: float, atr: float, behind: Sequence[float], ahead: Sequence[float]) -> TradePlan:
    sign = 1 if side == "long" else -1
    stops = [x for x in (sign * (price - level) / atr for level in behind) if NEAREST_STOP <= x <= FURTHEST_STOP]
    risk = min(atr * (min(stops) + ROOM if stops else DEFAULT_STOP), 0.4 * price)
    targets = [x for x in (sign * (level - price) / risk for level in ahead) if NEAREST_TARGET <= x <= FURTHEST_TARGET]
    reward = min(min(targets, default=DEFAULT_TARGET), 0.9 * price / risk)
    stop, pullback = price - sign * risk, price - sign * risk / 4
    return TradePlan(
        side=side,
        entry_low=significant(min(price, pullback)),
        entry_high=significant(max(price, pullback)),
        stop=significant(stop),
        target_1=significant(price + sign * risk),
        target_2=significant(price + sign * reward * risk),
        risk_percent=decimals(100 * risk / price),
        reward_risk=decimals(reward),
        invalidation=f"A close {'below' if side == 'long' else 'above'} {stop:.6g} ends the idea.",
        valid_for_bars=HORIZON_BARS,
    )
