"""Binance USD-M futures, as the sandbox plays it: perpetuals on the symbols of its spot market.

Source: https://developers.binance.com/docs/derivatives/usds-margined-futures, as of August 2026; weights where the page
is silent are those measured in October 2026.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crypto_mcp.sandbox import answers, derivatives, wire
from crypto_mcp.sandbox.binance import BinanceVenue
from crypto_mcp.sandbox.limits import WindowLimit
from crypto_mcp.sandbox.queries import KlinesQuery, known

if TYPE_CHECKING:
    from collections.abc import Callable

    from crypto_mcp.sandbox.exchange import Exchange, Symbol
    from crypto_mcp.sandbox.queries import Query

_FIVE_MINUTES = 5 * wire.MINUTE
_HALF = 150_000
"""Where the windows of five minutes begin is not published; here they begin where nobody would guess."""

_FUNDING, _STATISTICS = ("/fapi/v1/fundingRate", "/fapi/v1/fundingInfo"), ("/futures/data/openInterestHist",)
_LEVELS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}
_PERIODS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
_SINGLE_AND_ALL = {
    "/fapi/v1/ticker/24hr": (1, 40),
    "/fapi/v1/ticker/price": (1, 2),
    "/fapi/v2/ticker/price": (1, 2),
    "/fapi/v1/ticker/bookTicker": (2, 5),
    "/fapi/v1/premiumIndex": (1, 10),
}


class Futures(BinanceVenue):
    """The futures market. Every fifth generated symbol has no perpetual."""

    too_much = (
        "Too many requests; current limit of IP(127.0.0.1) is {limit} requests per minute. "
        "Please use the websocket for live updates to avoid polling the API."
    )
    banned = (
        "Way too many requests; IP(127.0.0.1) banned until {until}. "
        "Please use the websocket for live updates to avoid bans."
    )

    def __init__(self, exchange: Exchange, clock: Callable[[], int], weight_limit: int) -> None:
        super().__init__(exchange, WindowLimit(clock, weight_limit))
        self._funding_limit = WindowLimit(clock, 500, _FIVE_MINUTES, _HALF)
        self._statistics_limit = WindowLimit(clock, 1000, _FIVE_MINUTES, _HALF)
        self._symbols = {name: symbol for name, symbol in exchange.symbols.items() if not derivatives.spot_only(symbol)}
        self.routes = {
            "/fapi/v1/ping": self._ping,
            "/fapi/v1/time": self._time,
            "/fapi/v1/exchangeInfo": self._exchange_info,
            "/fapi/v1/klines": self._klines,
            "/fapi/v1/depth": self._depth,
            "/fapi/v1/ticker/24hr": self._of(self._ticker, trading_only=True),
            "/fapi/v1/ticker/price": self._of(self._price),
            "/fapi/v2/ticker/price": self._of(self._price),
            "/fapi/v1/ticker/bookTicker": self._of(self._offers),
            "/fapi/v1/premiumIndex": self._of(self._premium),
            "/fapi/v1/openInterest": self._open_interest,
            _FUNDING[0]: self._funding_rate,
            _FUNDING[1]: self._funding_info,
            _STATISTICS[0]: self._open_interest_history,
        }

    def weight(self, path: str, query: Query) -> int:
        """See `BinanceVenue`."""
        limit = query.peek("limit") or ""
        rows = int(limit) if limit.isascii() and limit.isdigit() else None
        if path == "/fapi/v1/klines":
            if rows is None:
                return 5
            return next((weight for most, weight in ((100, 1), (500, 2), (1000, 5)) if rows <= most), 10)
        if path == "/fapi/v1/depth":
            return 1 if rows is None else _LEVELS.get(rows, 2)
        single, everything = _SINGLE_AND_ALL.get(path, (1, 1))
        return single if query.peek("symbol") else everything

    def limit_of(self, path: str) -> WindowLimit:
        """See `BinanceVenue`."""
        if path in _FUNDING:
            return self._funding_limit
        return self._statistics_limit if path in _STATISTICS else self.limit

    def _known(self, name: str) -> Symbol:
        symbol = known(self.exchange, name.upper())  # this host accepts lower case
        if symbol.name not in self._symbols:
            raise wire.INVALID_SYMBOL
        return symbol

    def _of(
        self, row: Callable[[Symbol, int], dict[str, Any]], *, trading_only: bool = False
    ) -> Callable[[Query, int], Any]:
        """A route that answers for `symbol`, or with a list for all."""

        def answer(query: Query, now: int) -> Any:
            name = query.text("symbol")
            query.done()
            if name is not None:
                return row(self._known(name), now)
            listed = (s for s in self._symbols.values() if s.status == "TRADING" or not trading_only)
            return [row(symbol, now) for symbol in listed]

        return answer

    def _ticker(self, symbol: Symbol, now: int) -> dict[str, Any]:
        full = answers.ticker(symbol, self.exchange.day(symbol, now), now)
        spot_only = {"prevClosePrice", "bidPrice", "bidQty", "askPrice", "askQty"}
        return {name: value for name, value in full.items() if name not in spot_only}

    def _price(self, symbol: Symbol, now: int) -> dict[str, Any]:
        return answers.last_price(symbol, self.exchange.last(symbol, now)) | {"time": now}

    def _offers(self, symbol: Symbol, now: int) -> dict[str, Any]:
        return answers.book_ticker(symbol, self.exchange.last(symbol, now)) | {"lastUpdateId": now, "time": now}

    def _premium(self, symbol: Symbol, now: int) -> dict[str, Any]:
        return derivatives.premium(self.exchange, symbol, now)

    def _exchange_info(self, query: Query, now: int) -> dict[str, Any]:
        query.done()
        return derivatives.exchange_info(self._symbols.values(), now, self.limit.limit)

    def _klines(self, query: Query, now: int) -> list[list[Any]]:
        symbol = self._known(query.mandatory("symbol"))
        interval = query.mandatory("interval")
        if interval not in wire.INTERVALS:
            raise wire.INVALID_INTERVAL
        limit = query.whole("limit")
        if limit == 0 or (limit or 0) > 1500:
            raise wire.invalid("limit")
        start, end = query.whole("startTime"), query.whole("endTime")
        if start is not None and end is not None and start > end:
            raise wire.START_AFTER_END
        query.done()
        return self.klines(KlinesQuery(symbol, interval, start, end, limit or wire.DEFAULT_ROWS), now)

    def _depth(self, query: Query, now: int) -> dict[str, Any]:
        symbol = self._known(query.mandatory("symbol"))
        limit = query.whole("limit") or 500
        query.done()
        if limit not in _LEVELS:
            raise wire.WireError(400, -4021, f"{limit} is not valid depth limit")
        return answers.depth(symbol, self.exchange.last(symbol, now), limit, now) | {"E": now, "T": now}

    def _open_interest(self, query: Query, now: int) -> dict[str, Any]:
        symbol = self._known(query.mandatory("symbol"))
        query.done()
        held = derivatives.open_interest(self.exchange, symbol, now)
        return {"openInterest": f"{held:.3f}", "symbol": symbol.name, "time": now}

    def _funding_rate(self, query: Query, now: int) -> list[dict[str, Any]]:
        name = query.text("symbol")
        limit = query.whole("limit")
        start, end = query.whole("startTime"), query.whole("endTime")
        query.done()
        if limit == 0 or (limit or 0) > 1000:
            raise wire.invalid("limit")
        symbols = [self._known(name)] if name else list(self._symbols.values())[:20]
        return derivatives.paid_funding(self.exchange, symbols, min(end or now, now), limit or 100, start)

    def _funding_info(self, query: Query, _: int) -> list[dict[str, Any]]:
        query.done()
        return [derivatives.funding_info(s) for s in self._symbols.values() if derivatives.funding_hours(s) != 8]

    def _open_interest_history(self, query: Query, now: int) -> list[dict[str, Any]]:
        name, period = query.mandatory("symbol"), query.mandatory("period")
        if period not in _PERIODS:
            raise wire.WireError(400, -1130, "parameter 'period' is invalid.")
        limit = min(query.whole("limit") or 30, 500)
        query.whole("startTime")
        query.whole("endTime")
        query.done()
        symbol = self._symbols.get(name.upper())
        if symbol is None:
            return []
        return derivatives.interest_history(self.exchange, symbol, wire.INTERVALS[period], limit, now)
