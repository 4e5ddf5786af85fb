"""Query parameters checked as the exchange checks them, in its order and with its errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from crypto_mcp.sandbox import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crypto_mcp.sandbox.exchange import Exchange, Symbol


@dataclass(frozen=True, slots=True)
class KlinesQuery:
    """What `klines` was asked for."""

    symbol: Symbol
    interval: str
    start: int | None
    end: int | None
    limit: int


def klines_query(exchange: Exchange, query: Mapping[str, str]) -> KlinesQuery:
    """Checked, or a `WireError`."""
    symbol = one_symbol(exchange, query)
    interval = query.get("interval")
    if not interval:
        raise wire.missing("interval")
    if interval not in wire.INTERVALS:
        raise wire.INVALID_INTERVAL
    limit = _whole(query, "limit")
    if limit is not None and limit < 1:
        raise wire.BAD_LIMIT
    return KlinesQuery(
        symbol=symbol,
        interval=interval,
        start=_whole(query, "startTime"),
        end=_whole(query, "endTime"),
        limit=min(limit or wire.DEFAULT_ROWS, wire.MOST_ROWS),
    )


def one_symbol(exchange: Exchange, query: Mapping[str, str]) -> Symbol:
    """The symbol asked for, or a `WireError`."""
    name = query.get("symbol")
    if not name:
        raise wire.missing("symbol")
    return _known(exchange, name)


def asked_symbols(exchange: Exchange, query: Mapping[str, str]) -> list[Symbol] | None:
    """The symbols of `symbol` or `symbols=["A","B"]`; None if neither is given."""
    if query.get("symbol"):
        return [one_symbol(exchange, query)]
    if not query.get("symbols"):
        return None
    try:
        names = orjson.loads(query["symbols"])
    except orjson.JSONDecodeError:
        raise wire.malformed("symbols") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise wire.malformed("symbols")
    return [_known(exchange, name) for name in names]


def count_of(query: Mapping[str, str]) -> int | None:
    """How many symbols a request weighs as, before anything of it is checked; None: all."""
    if query.get("symbol"):
        return 1
    return query["symbols"].count(",") + 1 if query.get("symbols") else None


def _known(exchange: Exchange, name: str) -> Symbol:
    if not wire.SYMBOL.fullmatch(name):
        raise wire.ILLEGAL_SYMBOL
    if name not in exchange.symbols:
        raise wire.INVALID_SYMBOL
    return exchange.symbols[name]


def _whole(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise wire.malformed(name)
    return int(text)
