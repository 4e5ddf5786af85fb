"""Query parameters checked as the exchange checks them, and refused with its errors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from crypto_mcp.sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crypto_mcp.sandbox.exchange import Exchange, Symbol


class Query:
    """Parameters of one request. It knows which were read: the exchange refuses a request with one it does not know."""

    def __init__(self, sent: Iterable[tuple[str, str]]) -> None:
        self._sent = list(sent)
        self._values = dict(self._sent)
        self._read: set[str] = set()

    def text(self, name: str) -> str | None:
        """The value, or None if it was not sent."""
        value = self._values.get(name)
        if value is not None:
            self._read.add(name)
        if value == "":
            raise wire.empty(name)
        return value

    def mandatory(self, name: str) -> str:
        """The value; without one the request is refused."""
        if not self._values.get(name):
            raise wire.missing(name)
        self._read.add(name)
        return self._values[name]

    def whole(self, name: str) -> int | None:
        """The value as a number without sign."""
        text = self.text(name)
        if text is None:
            return None
        if not text.isascii() or not text.isdigit() or len(text) > 20:
            raise wire.illegal(name, wire.WHOLE)
        return int(text)

    def peek(self, name: str) -> str | None:
        """The value, looked at without counting as read."""
        return self._values.get(name)

    def done(self) -> None:
        """Every parameter was read, and sent once."""
        if len(self._values) < len(self._sent):
            raise wire.SENT_TWICE
        if len(self._read) < len(self._values):
            raise wire.unread(len(self._read), len(self._values))

    @property
    def weighs_as(self) -> int | None:
        """For how many symbols the request is charged, before anything of it is checked; None: all."""
        if self._values.get("symbol"):
            return 1
        symbols = self._values.get("symbols")
        return symbols.count(",") + 1 if symbols else None


@dataclass(frozen=True, slots=True)
class KlinesQuery:
    """What `klines` was asked for."""

    symbol: Symbol
    interval: str
    start: int | None
    end: int | None
    limit: int


def klines_query(exchange: Exchange, query: Query) -> KlinesQuery:
    """Checked, or a `WireError`."""
    symbol = known(exchange, query.mandatory("symbol"))
    interval = query.mandatory("interval")
    if interval not in wire.INTERVALS:
        raise wire.INVALID_INTERVAL
    limit = query.whole("limit")
    if limit == 0:
        raise wire.invalid("limit")
    if query.text("timeZone") not in (None, "0", "0:00", "00:00"):
        raise wire.invalid("timeZone")
    found = KlinesQuery(
        symbol=symbol,
        interval=interval,
        start=query.whole("startTime"),
        end=query.whole("endTime"),
        limit=min(limit or wire.DEFAULT_ROWS, wire.MOST_ROWS),
    )
    query.done()
    return found


def depth_query(exchange: Exchange, query: Query) -> tuple[Symbol, int]:
    """Symbol and number of levels a side."""
    symbol = known(exchange, query.mandatory("symbol"))
    limit = query.whole("limit")
    if limit == 0:
        raise wire.invalid("limit")
    query.done()
    return symbol, limit or wire.DEFAULT_LEVELS


@dataclass(frozen=True, slots=True)
class TickerQuery:
    """What one of the tickers was asked for. `single`: the answer is one object, no list."""

    symbols: list[Symbol]
    single: bool
    mini: bool


def ticker_query(exchange: Exchange, query: Query, *, types: bool = False) -> TickerQuery:
    """Checked, or a `WireError`. Without symbols: all that are listed. `types`: whether FULL or MINI may be chosen."""
    kind = query.text("type") if types else None
    if kind not in (None, "FULL", "MINI"):
        raise wire.INVALID_TICKER_TYPE
    asked, single = _asked_symbols(exchange, query)
    symbols = _of_status(query, list(exchange.symbols.values()) if asked is None else asked, single=single)
    query.done()
    return TickerQuery(symbols, single, mini=kind == "MINI")


def listing_query(exchange: Exchange, query: Query) -> list[Symbol]:
    """The symbols that `exchangeInfo` was asked for."""
    query.text("permissions")  # every symbol has the permission to be traded on spot
    query.text("showPermissionSets")
    asked, single = _asked_symbols(exchange, query)
    symbols = list(exchange.symbols.values()) if asked is None else asked
    found = _of_status(query, symbols, single=single) if asked is None else symbols
    query.done()
    return found


def _asked_symbols(exchange: Exchange, query: Query) -> tuple[list[Symbol] | None, bool]:
    """The symbols of `symbol` or of `symbols=["A","B"]`, None for all; and whether it was the first."""
    one, many = query.text("symbol"), query.text("symbols")
    if one and many:
        raise wire.BOTH_SYMBOLS
    if one:
        return [known(exchange, one)], True
    return (_several(exchange, many) if many else None), False


def _several(exchange: Exchange, text: str) -> list[Symbol]:
    malformed = wire.illegal("symbols", wire.MANY_SYMBOLS)
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise malformed from None
    if not isinstance(names, list) or not all(isinstance(name, str) and wire.SYMBOL.fullmatch(name) for name in names):
        raise malformed
    if max(Counter(names).values(), default=1) > 1:
        raise wire.SYMBOL_TWICE
    return [known(exchange, name) for name in names]


def _of_status(query: Query, symbols: list[Symbol], *, single: bool) -> list[Symbol]:
    status = query.text("symbolStatus")
    if status is None:
        return symbols
    if status not in wire.STATUSES:
        raise wire.INVALID_STATUS
    found = [symbol for symbol in symbols if symbol.status == status]
    if single and not found:
        raise wire.OTHER_STATUS
    return found


def known(exchange: Exchange, name: str) -> Symbol:
    """The symbol, or a `WireError`."""
    if not wire.SYMBOL.fullmatch(name):
        raise wire.illegal("symbol", wire.ONE_SYMBOL)
    if name not in exchange.symbols:
        raise wire.INVALID_SYMBOL
    return exchange.symbols[name]
