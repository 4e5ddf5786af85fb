"""What Binance's spot and futures markets have in common: weights charged first, errors in its words, bans."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from crypto_mcp.sandbox import answers, wire
from crypto_mcp.sandbox.limits import Refused
from crypto_mcp.sandbox.queries import Query
from crypto_mcp.sandbox.venue import TurnedAway, firewall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from crypto_mcp.sandbox.exchange import Exchange, Symbol
    from crypto_mcp.sandbox.faults import Fault
    from crypto_mcp.sandbox.limits import WindowLimit
    from crypto_mcp.sandbox.queries import KlinesQuery
    from crypto_mcp.sandbox.venue import Call


class BinanceVenue(ABC):
    """One of its markets. `too_much` and `banned` are its messages, with `{limit}` and `{until}`."""

    too_much: ClassVar[str]
    banned: ClassVar[str]
    routes: Mapping[str, Callable[[Query, int], Any]]

    def __init__(self, exchange: Exchange, limit: WindowLimit) -> None:
        self.exchange = exchange
        self.limit = limit

    def paths(self) -> Iterable[str]:
        """See `Venue`."""
        return self.routes

    @abstractmethod
    def weight(self, path: str, query: Query) -> int:
        """What a request counts for, told before anything of it is checked."""

    def limit_of(self, path: str) -> WindowLimit:
        """The allowance a route counts for."""
        return self.limit

    def answer(self, call: Call) -> Any:
        """See `Venue`."""
        query = Query(call.params)
        limit = self.limit_of(call.path)
        try:
            used = limit.charge(call.address, self.weight(call.path, query))
        except Refused as refused:
            raise self._refusal(refused, limit) from None
        if limit is self.limit:
            call.said |= _weight(used)
        delisted = "delisted" in call.faults and call.faults["delisted"].symbol == query.peek("symbol")
        try:
            if delisted and not call.path.endswith("/exchangeInfo"):
                raise wire.INVALID_SYMBOL
            body = self.routes[call.path](query, call.now)
        except wire.WireError as error:
            raise _turned_away(error) from None
        call.said |= self._shift(query.peek("symbol"))
        return body

    def failure(self, fault: Fault) -> TurnedAway:
        """See `Venue`."""
        status = fault.status
        after = {"retry-after": str(fault.retry_after)} if status in (418, 429, 503) else {}
        if status == 403:
            return firewall()
        bodies = {
            418: (-1003, self.banned.format(until=self.limit.now() + fault.retry_after * 1000)),
            429: (-1003, self.too_much.format(limit=self.limit.limit)),
            451: (0, wire.FORBIDDEN_HERE),
        }
        return _turned_away(wire.WireError(status, *bodies.get(status, (-1001, wire.INTERNAL))), after)

    def klines(self, asked: KlinesQuery, now: int) -> list[list[Any]]:
        """The rows asked for."""
        table = self.exchange.candles(
            asked.symbol, asked.interval, now, start=asked.start, end=asked.end, limit=asked.limit
        )
        return answers.klines(asked.symbol, table, wire.INTERVALS[asked.interval])

    def _refusal(self, refused: Refused, limit: WindowLimit) -> TurnedAway:
        until = refused.banned_until
        message = self.too_much.format(limit=limit.limit) if until is None else self.banned.format(until=until)
        headers = {"retry-after": str(refused.retry_after)}
        if limit is self.limit:
            headers |= _weight(refused.used)
        return _turned_away(wire.WireError(429 if until is None else 418, -1003, message), headers)

    def _shift(self, name: str | None) -> dict[str, str]:
        symbol: Symbol | None = self.exchange.symbols.get(name or "")
        if symbol is None or symbol.shift_ms is None:
            return {}
        return {"x-sandbox-shift-ms": str(symbol.shift_ms)}

    def _ping(self, query: Query, _: int) -> dict[str, Any]:
        query.done()
        return {}

    def _time(self, query: Query, now: int) -> dict[str, Any]:
        query.done()
        return {"serverTime": now}


def _weight(used: int) -> dict[str, str]:
    return {"x-mbx-used-weight": str(used), "x-mbx-used-weight-1m": str(used)}


def _turned_away(error: wire.WireError, headers: Mapping[str, str] | None = None) -> TurnedAway:
    return TurnedAway(error.status, {"code": error.code, "msg": error.message}, headers)
