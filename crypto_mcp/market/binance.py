"""Binance spot. Public market data, no key.

Source: https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crypto_mcp.market.binance_http import spot_http
from crypto_mcp.market.binance_market import BinanceMarket, Routes

if TYPE_CHECKING:
    from crypto_mcp.market.sharing import Sharing
    from crypto_mcp.settings import MarketSettings


def _depth_weight(limit: int) -> int:
    return next(weight for most, weight in ((100, 5), (500, 25), (1000, 50), (5000, 250)) if limit <= most)


_SPOT = Routes(
    source="binance",
    prefix="/api/v3",
    prices="/api/v3/ticker/price",
    rows_at_once=1000,
    klines_weight=lambda _: 2,
    listing=20,
    tickers=80,
    prices_weight=4,
    book=4,
    depth_weight=_depth_weight,
    depth_limits=(20, 100, 500, 1000, 5000),
    ticker_params={"type": "MINI"},
)


class BinanceSpot(BinanceMarket):
    """The spot market."""

    def __init__(self, settings: MarketSettings, sharing: Sharing | None = None) -> None:
        super().__init__(spot_http(settings, sharing), _SPOT)
