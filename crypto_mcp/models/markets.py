"""What is known of a market beside its candles: trading rules, the last day, offers, derivatives, coins."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

TRADING = "TRADING"
_NONE = Decimal(0)


@dataclass(frozen=True, slots=True)
class SymbolRules:
    """A pair as its exchange lists it, and what an order on it must keep to. A rule of zero does not apply.

    Attributes:
        symbol, base, quote: `BTCUSDT`, `BTC`, `USDT`.
        status: `TRADING`, or the exchange's word for why it does not trade.
        tick_size: step of the price, quote asset.
        step_size, min_quantity, max_quantity: of the quantity, base asset.
        min_notional: least price times quantity, quote asset.
        contract: `PERPETUAL`, `CURRENT_QUARTER` ... for futures, None for spot.
    """

    symbol: str
    base: str
    quote: str
    status: str = TRADING
    tick_size: Decimal = _NONE
    step_size: Decimal = _NONE
    min_quantity: Decimal = _NONE
    max_quantity: Decimal = _NONE
    min_notional: Decimal = _NONE
    contract: str | None = None

    @property
    def trades(self) -> bool:
        """Whether it can be traded at present."""
        return self.status == TRADING

    def price(self, wanted: Decimal) -> Decimal:
        """The nearest price the exchange takes."""
        return _stepped(wanted, self.tick_size, ROUND_HALF_EVEN)

    def quantity(self, wanted: Decimal) -> Decimal:
        """The largest quantity the exchange takes that is not above `wanted`; zero if that is below its least.

        Whether price times quantity reaches `min_notional` is for the caller to see: it knows the price.
        """
        most = min(wanted, self.max_quantity) if self.max_quantity else wanted
        found = _stepped(most, self.step_size, ROUND_DOWN)
        return found if found >= self.min_quantity else _NONE


def _stepped(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    return (value / step).to_integral_value(rounding) * step if step else value


@dataclass(frozen=True, slots=True)
class Ticker24h:
    """The last 24 hours of one pair, rolling to the minute; not the day of the calendar.

    Attributes:
        last: newest price, quote asset.
        open, high, low: quote asset.
        change_percent: of last against open.
        volume, quote_volume: traded in base and in quote asset.
        trades: how many.
        at: end of the 24 hours, UTC.
        source: who said so; `sandbox` whenever a sandbox did.
    """

    symbol: str
    last: Decimal
    open: float
    high: float
    low: float
    volume: float
    quote_volume: float
    trades: int
    at: datetime
    source: str

    @property
    def change_percent(self) -> float:
        """Of the last price against the one 24 hours before; 0 if that is not known."""
        return (float(self.last) / self.open - 1) * 100 if self.open > 0 else 0.0


@dataclass(frozen=True, slots=True)
class BookTicker:
    """The best offers: prices in quote asset, quantities in base asset."""

    symbol: str
    bid: Decimal
    bid_quantity: Decimal
    ask: Decimal
    ask_quantity: Decimal

    @property
    def spread_percent(self) -> float:
        """Of the middle between the offers; 0 where there is none."""
        middle = (self.bid + self.ask) / 2
        return float((self.ask - self.bid) / middle * 100) if middle else 0.0


Level = tuple[Decimal, Decimal]
"""Price in quote asset, quantity in base asset."""


@dataclass(frozen=True, slots=True)
class Depth:
    """The order book, best offers first. `update` is the exchange's number of that state."""

    symbol: str
    bids: list[Level]
    asks: list[Level]
    update: int


@dataclass(frozen=True, slots=True)
class MarkPrice:
    """A perpetual's price for liquidations, and its funding.

    Attributes:
        mark, index: price in quote asset, of the contract and of spot markets.
        funding_rate: as a part (0.0001 is 0.01 %), for one interval; longs pay shorts if positive. None if it has none.
        next_funding_at: when it is paid.
        at: of the reading, UTC.
    """

    symbol: str
    mark: Decimal
    index: Decimal
    funding_rate: float | None
    next_funding_at: datetime | None
    at: datetime


@dataclass(frozen=True, slots=True)
class FundingRate:
    """Funding that was paid: `rate` as a part, at `at`."""

    symbol: str
    rate: float
    at: datetime


@dataclass(frozen=True, slots=True)
class OpenInterest:
    """Contracts held at a time: `quantity` in base asset."""

    symbol: str
    quantity: float
    at: datetime
