"""Binance spot, as the sandbox plays it. Source: see `wire`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crypto_mcp.sandbox import answers, queries, wire
from crypto_mcp.sandbox.binance import BinanceVenue
from crypto_mcp.sandbox.limits import WindowLimit

if TYPE_CHECKING:
    from collections.abc import Callable

    from crypto_mcp.sandbox.exchange import Exchange
    from crypto_mcp.sandbox.queries import Query


class Spot(BinanceVenue):
    """The spot market."""

    too_much, banned = wire.TOO_MUCH_WEIGHT, wire.BANNED

    def __init__(self, exchange: Exchange, clock: Callable[[], int], weight_limit: int) -> None:
        super().__init__(exchange, WindowLimit(clock, weight_limit))
        self.routes = {
            "/api/v3/ping": self._ping,
            "/api/v3/time": self._time,
            "/api/v3/exchangeInfo": self._exchange_info,
            "/api/v3/klines": self._klines,
            "/api/v3/depth": self._depth,
            "/api/v3/ticker/24hr": self._tickers,
            "/api/v3/ticker/price": self._prices,
            "/api/v3/ticker/bookTicker": self._offers,
        }

    def weight(self, path: str, query: Query) -> int:
        """See `BinanceVenue`."""
        if path == "/api/v3/depth":
            return wire.depth_weight(query.peek("limit"))
        return wire.WEIGHTS[path](query.weighs_as)

    def _exchange_info(self, query: Query, now: int) -> dict[str, Any]:
        symbols = queries.listing_query(self.exchange, query)
        return answers.exchange_info(symbols, now, self.limit.limit)

    def _klines(self, query: Query, now: int) -> list[list[Any]]:
        return self.klines(queries.klines_query(self.exchange, query), now)

    def _depth(self, query: Query, now: int) -> dict[str, Any]:
        symbol, limit = queries.depth_query(self.exchange, query)
        return answers.depth(symbol, self.exchange.last(symbol, now), min(limit, 5000), now)

    def _tickers(self, query: Query, now: int) -> Any:
        asked = queries.ticker_query(self.exchange, query, types=True)
        rows = [answers.ticker(s, self.exchange.day(s, now), now, mini=asked.mini) for s in asked.symbols]
        return rows[0] if asked.single else rows

    def _prices(self, query: Query, now: int) -> Any:
        asked = queries.ticker_query(self.exchange, query)
        rows = [answers.last_price(s, self.exchange.last(s, now)) for s in asked.symbols]
        return rows[0] if asked.single else rows

    def _offers(self, query: Query, now: int) -> Any:
        asked = queries.ticker_query(self.exchange, query)
        rows = [answers.book_ticker(s, self.exchange.last(s, now)) for s in asked.symbols]
        return rows[0] if asked.single else rows
