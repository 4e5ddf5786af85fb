"""Leverage of perpetuals: maintenance margin by tiers and the price at which a position is liquidated.

Source: Binance, "How to Calculate Liquidation Price of USD-M Futures Contracts" and "Leverage and Margin of USD-M
Futures": maintenance margin is notional times the tier's rate less the tier's cumulative amount, which makes it
continuous where tiers meet. Isolated margin, one-way mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

from crypto_mcp.risk.rounding import ZERO

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class MarginTier:
    """One step of the ladder: up to this notional, at most this leverage, this maintenance rate (a share)."""

    up_to: Decimal
    max_leverage: Decimal
    rate: Decimal


def _tier(up_to: str, leverage: str, rate: str) -> MarginTier:
    return MarginTier(Decimal(up_to), Decimal(leverage), Decimal(rate))


ASSUMED_TIERS: tuple[MarginTier, ...] = (
    _tier("50000", "50", "0.01"),
    _tier("250000", "25", "0.02"),
    _tier("1000000", "10", "0.05"),
    _tier("5000000", "5", "0.1"),
    _tier("20000000", "4", "0.125"),
    _tier("100000000", "2", "0.25"),
    _tier("1000000000000000", "1", "0.5"),
)
"""A cautious ladder in the shape Binance uses for middling contracts. A contract's own is behind a signed request of
the account (`/fapi/v1/leverageBracket`), so this one is assumed, and results that use it say so."""


def cumulative(tiers: Sequence[MarginTier]) -> list[Decimal]:
    """The amount deducted in each tier: c[0] = 0, c[i] = c[i-1] + up_to[i-1] * (rate[i] - rate[i-1])."""
    amounts = [ZERO]
    for lower, upper in pairwise(tiers):
        amounts.append(amounts[-1] + lower.up_to * (upper.rate - lower.rate))
    return amounts


def tier_of(notional: Decimal, tiers: Sequence[MarginTier] = ASSUMED_TIERS) -> int:
    """Index of the tier a notional falls in; the last for whatever is larger."""
    return next((i for i, tier in enumerate(tiers) if notional <= tier.up_to), len(tiers) - 1)


def maintenance_margin(notional: Decimal, tiers: Sequence[MarginTier] = ASSUMED_TIERS) -> Decimal:
    """Quote asset that must remain so that a position of this notional is not liquidated."""
    i = tier_of(notional, tiers)
    return notional * tiers[i].rate - cumulative(tiers)[i]


def liquidation_price(
    quantity: Decimal, entry: Decimal, margin: Decimal, tiers: Sequence[MarginTier] = ASSUMED_TIERS
) -> Decimal | None:
    """Mark price at which an isolated position has just its maintenance margin left.

    Solves margin + q * (P - entry) = |q| * P * rate - c over the tiers, and takes the solution that lies in its tier.

    Args:
        quantity: of the base asset, negative for a short.
        margin: quote asset that belongs to the position.

    Returns:
        None if no price above zero liquidates it: a long that is paid for in full.
    """
    size = abs(quantity)
    amounts = cumulative(tiers)
    for i, tier in enumerate(tiers):
        slope = size * tier.rate - quantity
        if slope == 0:
            continue
        price = (margin - quantity * entry + amounts[i]) / slope
        if price > 0 and tier_of(size * price, tiers) == i:
            return price
    return None


def max_leverage(notional: Decimal, tiers: Sequence[MarginTier] = ASSUMED_TIERS) -> Decimal:
    """The highest leverage the ladder allows at a notional."""
    return tiers[tier_of(notional, tiers)].max_leverage
