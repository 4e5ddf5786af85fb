"""Answers of `/api/v3/ticker/price` as prices: checked strictly, never corrected."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from crypto_mcp.market.candles import bad_data


def as_prices(body: Any) -> dict[str, Decimal]:
    """Last price by symbol, in quote assets. Symbols that never traded have a price of zero and are left out."""
    try:
        prices = {row["symbol"]: Decimal(row["price"]) for row in body}
    except (KeyError, TypeError, InvalidOperation) as error:
        raise bad_data("no list of prices") from error
    if not all(price.is_finite() and price >= 0 for price in prices.values()):
        raise bad_data("a price that cannot be")
    return {symbol: price for symbol, price in prices.items() if price}
