"""Positions at market. What has no price is left out of every sum and ratio, and named: it never counts as zero."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

from crypto_mcp.risk.margin import liquidation_price
from crypto_mcp.risk.rounding import ZERO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crypto_mcp.risk.book import Book, Position

PERCENT = Decimal(100)


@dataclass(frozen=True, slots=True)
class Priced:
    """A position with its price. Amounts in quote asset.

    Attributes:
        cost: quantity times average entry, of the quantity's sign.
        value: quantity times price, negative for a short: what moves with the market.
        gain: unrealised, before fees.
        counted: what it adds to equity: its value on spot, its gain for a perpetual.
    """

    position: Position
    price: Decimal
    cost: Decimal
    value: Decimal
    gain: Decimal

    @property
    def counted(self) -> Decimal:
        return self.gain if self.position.market == "perpetual" else self.value

    @property
    def gain_percent(self) -> float:
        """Unrealised gain over cost."""
        return float(self.gain / abs(self.cost) * PERCENT) if self.cost else 0.0

    @property
    def liquidation(self) -> Decimal | None:
        """Price at which a perpetual is liquidated, isolated at its initial margin."""
        held = self.position
        if held.market == "spot":
            return None
        return liquidation_price(held.quantity, held.entry_price, held.margin)


@dataclass(frozen=True)
class Valuation:
    """A book at market.

    Attributes:
        priced: held positions with a price, largest value first.
        unpriced: those without.
        equity: cash and what the priced positions count for.
    """

    book: Book
    priced: tuple[Priced, ...]
    unpriced: tuple[Position, ...]

    @cached_property
    def equity(self) -> Decimal:
        return self.book.cash + sum((each.counted for each in self.priced), ZERO)

    @cached_property
    def unrealised(self) -> Decimal:
        """Of priced positions."""
        return sum((each.gain for each in self.priced), ZERO)


def value(book: Book, prices: Mapping[str, Decimal]) -> Valuation:
    """The book at these prices by symbol; a price that is missing, or not above zero, is none."""
    priced, unpriced = [], []
    for position in book.held:
        price = prices.get(position.symbol)
        if price is None or price <= 0:
            unpriced.append(position)
            continue
        amount, cost = position.quantity * price, position.cost
        priced.append(Priced(position, price, cost, amount, amount - cost))
    priced.sort(key=lambda each: -abs(each.value))
    return Valuation(book, tuple(priced), tuple(unpriced))
