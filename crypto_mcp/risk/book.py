"""The book of a portfolio: what is held, at which cost, and what was gained, as events made it.

Events are facts, never changed afterwards; the book is what they add up to. At all times

    equity - contributions = realised + unrealised - fees + funding

where equity is cash, spot holdings at market and the unrealised gain of perpetuals. Positions net: a sale of more than
is held turns a perpetual short, and is refused on spot.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, NamedTuple

from crypto_mcp.errors import InvalidRequest
from crypto_mcp.risk.rounding import ZERO

if TYPE_CHECKING:
    from datetime import datetime

    from crypto_mcp.models.risk import MarketKind

CostMethod = Literal["fifo", "lifo", "average"]
MOST_POSITIONS = 1000


class InsufficientCash(InvalidRequest):
    """The portfolio cannot pay for it."""

    code = "insufficient_cash"


class InsufficientPosition(InvalidRequest):
    """Less is held than is to be sold."""

    code = "insufficient_position"


class UnknownPosition(InvalidRequest):
    """The portfolio does not hold it."""

    code = "unknown_position"
    http_status = 404


class TooManyPositions(InvalidRequest):
    """More positions than a portfolio may have."""

    code = "too_many_positions"


class Fill(NamedTuple):
    """One trade as it happened. `fee` in quote asset; `id` is the exchange's, unique in a portfolio, or None."""

    symbol: str
    market: MarketKind
    buys: bool
    quantity: Decimal
    price: Decimal
    fee: Decimal
    at: datetime
    id: str | None = None
    leverage: Decimal | None = None


@dataclass(slots=True)
class Lot:
    """A part of a position bought (or sold short: negative) at one price."""

    quantity: Decimal
    price: Decimal


@dataclass(slots=True)
class Position:
    """What is held of one symbol on one market, oldest lot first; all lots have one sign.

    `realised`, `fees` and `funding` add up over the position's whole life, closed parts included.
    """

    symbol: str
    market: MarketKind
    lots: list[Lot] = field(default_factory=list)
    leverage: Decimal = Decimal(1)
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    sector: str | None = None
    opened_at: datetime | None = None

    @property
    def quantity(self) -> Decimal:
        """Of the base asset, negative for a short."""
        return sum((lot.quantity for lot in self.lots), ZERO)

    @property
    def cost(self) -> Decimal:
        """Quantity times average entry, quote asset, of the quantity's sign."""
        return sum((lot.quantity * lot.price for lot in self.lots), ZERO)

    @property
    def entry_price(self) -> Decimal:
        """Average price of what is still held; zero if nothing is."""
        quantity = self.quantity
        return self.cost / quantity if quantity else ZERO

    @property
    def margin(self) -> Decimal:
        """Initial margin of a perpetual at its entry price; zero on spot."""
        return abs(self.cost) / self.leverage if self.market == "perpetual" else ZERO

    def add(self, quantity: Decimal, price: Decimal, method: CostMethod) -> None:
        """More of the same sign."""
        if method == "average" and self.lots:
            held, cost = self.quantity + quantity, self.cost + quantity * price
            self.lots = [Lot(held, cost / held)]
        else:
            self.lots.append(Lot(quantity, price))

    def reduce(self, quantity: Decimal, price: Decimal, method: CostMethod) -> Decimal:
        """Takes `quantity` (of the lots' sign, no more than is held) off at a price; the gain before fees."""
        gained, left = ZERO, quantity
        while left:
            lot = self.lots[-1 if method == "lifo" else 0]
            part = left if abs(left) < abs(lot.quantity) else lot.quantity
            gained += part * (price - lot.price)
            lot.quantity -= part
            left -= part
            if not lot.quantity:
                self.lots.remove(lot)
        return gained


Key = tuple[str, str]


@dataclass(slots=True)
class Book:
    """Everything the events add up to. Amounts in quote asset.

    Attributes:
        contributions: deposits less withdrawals, positions brought in at their cost included.
        by_day: realised gain less fees plus funding by UTC day, ISO date.
        trades: how many were booked.
    """

    method: CostMethod = "fifo"
    cash: Decimal = ZERO
    contributions: Decimal = ZERO
    positions: dict[Key, Position] = field(default_factory=dict)
    by_day: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    trades: int = 0

    @property
    def held(self) -> list[Position]:
        """Positions with a quantity."""
        return [position for position in self.positions.values() if position.lots]

    @property
    def realised(self) -> Decimal:
        """Gains of everything closed, before fees and funding."""
        return sum((position.realised for position in self.positions.values()), ZERO)

    @property
    def fees(self) -> Decimal:
        """All fees paid."""
        return sum((position.fees for position in self.positions.values()), ZERO)

    @property
    def funding(self) -> Decimal:
        """All funding received, less what was paid."""
        return sum((position.funding for position in self.positions.values()), ZERO)

    @property
    def free_cash(self) -> Decimal:
        """Cash that is not margin of a perpetual."""
        return self.cash - sum((position.margin for position in self.positions.values()), ZERO)

    def position(self, symbol: str, market: MarketKind) -> Position:
        """A position that is held, or `UnknownPosition`."""
        found = self.positions.get((symbol, market))
        if found is None or not found.lots:
            held = ", ".join(sorted({position.symbol for position in self.held})[:5]) or "nothing"
            raise UnknownPosition(f"no {market} position in {symbol} is held", hint=f"Held: {held}.")
        return found

    def move_cash(self, amount: Decimal) -> None:
        """A deposit, or a withdrawal (negative) that free cash must cover."""
        if amount < 0 and self.free_cash + amount < 0:
            raise InsufficientCash(
                f"the withdrawal is {-amount - self.free_cash:f} more than the free cash of {self.free_cash:f}",
                hint="Withdraw less, or close a position first.",
            )
        self.cash += amount
        self.contributions += amount

    def bring_in(
        self, symbol: str, market: MarketKind, quantity: Decimal, price: Decimal, leverage: Decimal, at: datetime
    ) -> Position:
        """A position that exists already is taken over at its cost; a perpetual brings its initial margin as cash."""
        position = self._opened(symbol, market, at)
        if position.lots and (position.quantity > 0) != (quantity > 0):
            raise InvalidRequest(
                f"a {market} position of the other side is held in {symbol}", hint="Close it, or record a trade."
            )
        if market == "perpetual":
            position.leverage = leverage
            self.cash += abs(quantity) * price / leverage
            self.contributions += abs(quantity) * price / leverage
        else:
            self.contributions += quantity * price
        position.add(quantity, price, self.method)
        return position

    def correct(self, position: Position, quantity: Decimal, price: Decimal) -> None:
        """Quantity and entry as they should have been recorded; a spot position's difference in cost is brought in."""
        before = position.cost
        position.lots = [Lot(quantity, price)]
        if position.market == "spot":
            self.contributions += position.cost - before

    def fund(self, position: Position, amount: Decimal, day: str) -> None:
        """Funding received, or paid (negative)."""
        position.funding += amount
        self.cash += amount
        self.by_day[day] = self.by_day.get(day, ZERO) + amount

    def fill(self, fill: Fill, *, advance: bool = False) -> Decimal:
        """Applies a trade; the cash that had to be brought in for it, always zero unless `advance` allows it.

        Raises:
            InsufficientPosition: a spot sale of more than is held.
            InsufficientCash: free cash does not cover it.
        """
        position = self._opened(fill.symbol, fill.market, fill.at)
        signed = fill.quantity if fill.buys else -fill.quantity
        held = position.quantity
        closing = signed if held and (held > 0) != (signed > 0) else ZERO
        closing = max(closing, -held) if closing < 0 else min(closing, -held) if closing > 0 else ZERO
        if fill.market == "spot" and held + signed < 0:
            self._forget(position)
            raise InsufficientPosition(
                f"{fill.quantity:f} {fill.symbol} are to be sold and {held:f} are held",
                hint="Sell less, or bring the missing part in with add_position.",
            )
        opening = signed - closing
        short_of = self._shortfall(position, fill, closing, opening)
        if short_of > 0 and not advance:
            self._forget(position)
            raise InsufficientCash(
                f"the trade needs {short_of:f} more than the free cash of {self.free_cash:f}",
                hint="Deposit first, or bring the position in with add_position.",
            )
        if short_of > 0:
            self.move_cash(short_of)
        self._book(position, fill, closing, opening)
        return max(short_of, ZERO)

    def _shortfall(self, position: Position, fill: Fill, closing: Decimal, opening: Decimal) -> Decimal:
        if not opening:
            return ZERO  # leaving is always possible, even at a loss larger than the cash
        if fill.market == "spot":
            return opening * fill.price + fill.fee - self.free_cash
        leverage = fill.leverage or position.leverage
        freed = position.margin if closing else ZERO
        gained = position.quantity * fill.price - position.cost if closing else ZERO  # who opens has closed all
        return abs(opening) * fill.price / leverage + fill.fee - freed - gained - self.free_cash

    def _book(self, position: Position, fill: Fill, closing: Decimal, opening: Decimal) -> None:
        day = f"{fill.at:%Y-%m-%d}"
        gained = position.reduce(-closing, fill.price, self.method) if closing else ZERO
        if opening:
            if not position.lots:
                position.opened_at = fill.at
            position.add(opening, fill.price, self.method)
            position.leverage = fill.leverage or position.leverage
        if fill.market == "spot":
            self.cash -= (closing + opening) * fill.price
        else:
            self.cash += gained
        position.realised += gained
        position.fees += fill.fee
        self.cash -= fill.fee
        self.by_day[day] = self.by_day.get(day, ZERO) + gained - fill.fee
        self.trades += 1

    def _opened(self, symbol: str, market: MarketKind, at: datetime) -> Position:
        key = (symbol, market)
        if key not in self.positions:
            if len(self.positions) >= MOST_POSITIONS:
                raise TooManyPositions(
                    f"a portfolio has at most {MOST_POSITIONS} positions", hint="Use a second portfolio."
                )
            self.positions[key] = Position(symbol, market, opened_at=at)
        return self.positions[key]

    def _forget(self, position: Position) -> None:
        """Drops a position that a refused trade had opened."""
        if not position.lots and not (position.realised or position.fees or position.funding):
            del self.positions[position.symbol, position.market]
