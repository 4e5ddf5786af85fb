"""Offers: answers of `ticker/bookTicker` and `depth`, checked strictly."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from crypto_mcp.market.candles import bad_data
from crypto_mcp.models.markets import BookTicker, Depth

Amount = Annotated[Decimal, Field(ge=0)]


class _Offers(BaseModel):
    symbol: str
    bid: Amount = Field(validation_alias="bidPrice")
    bid_quantity: Amount = Field(validation_alias="bidQty")
    ask: Amount = Field(validation_alias="askPrice")
    ask_quantity: Amount = Field(validation_alias="askQty")


class _Depth(BaseModel):
    update: int = Field(validation_alias="lastUpdateId")
    bids: list[tuple[Amount, Amount]]
    asks: list[tuple[Amount, Amount]]


_OFFERS = TypeAdapter(list[_Offers])


def as_book_tickers(body: Any) -> dict[str, BookTicker]:
    """Best offers by symbol, without symbols that have none."""
    try:
        rows = _OFFERS.validate_python(body)
    except ValidationError as error:
        raise bad_data(f"no list of offers ({error.error_count()} faults)") from error
    found = (BookTicker(row.symbol, row.bid, row.bid_quantity, row.ask, row.ask_quantity) for row in rows)
    offers = {offer.symbol: offer for offer in found if offer.bid and offer.ask}
    if any(offer.ask < offer.bid for offer in offers.values()):
        raise bad_data("an ask below the bid")
    return offers


def as_depth(symbol: str, body: Any) -> Depth:
    """The order book, best first."""
    try:
        book = _Depth.model_validate(body)
    except ValidationError as error:
        raise bad_data(f"no order book ({error.error_count()} faults)") from error
    bids, asks = [price for price, _ in book.bids], [price for price, _ in book.asks]
    if bids != sorted(bids, reverse=True) or asks != sorted(asks) or (bids and asks and bids[0] >= asks[0]):
        raise bad_data("an order book out of order")
    return Depth(symbol, book.bids, book.asks, book.update)
