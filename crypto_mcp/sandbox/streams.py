"""Events of the exchange's WebSocket streams, made from the same bars that REST answers with.

Source: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams, as of July 2026.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crypto_mcp.sandbox import answers, wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crypto_mcp.sandbox.exchange import Exchange, Symbol

_NAME = re.compile(r"([a-z0-9\-_.]{1,50})@(?:(kline)_(\w+)|(miniTicker|bookTicker|aggTrade))")
ALL_MINI_TICKERS = "!miniTicker@arr"
SHUTDOWN = "!serverShutdown"

_EVERY = {"kline": 2000, "miniTicker": 1000, "bookTicker": 100, "aggTrade": 100}
"""Milliseconds between two events of a stream; what is real time at the exchange is ten times a second here."""


@dataclass(slots=True)
class Subscription:
    """One stream of one connection: what of it was already sent. A stream of nothing is acknowledged and silent."""

    name: str
    kind: str
    symbols: list[Symbol]
    interval: str = ""
    due: int = 0
    open_time: int | None = None
    sent: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def to(cls, name: str, exchange: Exchange) -> Subscription:
        """To a stream by its name; whatever does not exist or does not trade gives nothing."""
        if name == ALL_MINI_TICKERS:
            return cls(name, "miniTicker@arr", [s for s in exchange.symbols.values() if s.status == "TRADING"])
        match = _NAME.fullmatch(name)
        symbol = exchange.symbols.get(match[1].upper()) if match else None
        if match is None or symbol is None or symbol.status != "TRADING" or match[3] not in (None, *wire.INTERVALS):
            return cls(name, "", [])
        return cls(name, match[2] or match[4], [symbol], match[3] or "")

    def events(self, exchange: Exchange, now: int) -> Iterator[Any]:
        """What the stream has to say at `now`, in order. A bar that closed is said at once, each that did."""
        if not self.symbols:
            return
        if self.kind == "kline":
            yield from self._klines(exchange, self.symbols[0], now)
        elif now >= self.due:
            self.due = now + _EVERY.get(self.kind, 1000)
            if self.kind == "miniTicker@arr":
                changed = [event for symbol in self.symbols if (event := self._mini_ticker(exchange, symbol, now))]
                if changed:
                    yield changed
            elif self.kind == "miniTicker":
                yield from filter(None, [self._mini_ticker(exchange, self.symbols[0], now)])
            else:
                make = self._book_ticker if self.kind == "bookTicker" else self._trade
                yield from filter(None, [make(exchange, self.symbols[0], now)])

    def _klines(self, exchange: Exchange, symbol: Symbol, now: int) -> Iterator[dict[str, Any]]:
        step = wire.INTERVALS[self.interval]
        closed = self.open_time is not None and now >= self.open_time + step
        if not closed and now < self.due:
            return
        table = exchange.candles(symbol, self.interval, now, start=self.open_time, end=None, limit=wire.MOST_ROWS)
        for row in answers.klines(symbol, table, step)[0 if self.open_time is not None else -1 :]:
            self.open_time = row[0]
            yield _kline(symbol.name, self.interval, row, now)
        self.due = now + _EVERY["kline"]

    def _mini_ticker(self, exchange: Exchange, symbol: Symbol, now: int) -> dict[str, Any] | None:
        day = answers.ticker(symbol, exchange.day(symbol, now), now, mini=True)
        said = (day["lastPrice"], day["count"])
        if self.sent.get(symbol.name) == said:
            return None
        self.sent[symbol.name] = said
        return {
            "e": "24hrMiniTicker",
            "E": now,
            "s": symbol.name,
            "c": day["lastPrice"],
            "o": day["openPrice"],
            "h": day["highPrice"],
            "l": day["lowPrice"],
            "v": day["volume"],
            "q": day["quoteVolume"],
        }

    def _book_ticker(self, exchange: Exchange, symbol: Symbol, now: int) -> dict[str, Any] | None:
        offers = answers.book_ticker(symbol, exchange.last(symbol, now))
        if self.sent.get(symbol.name) == offers:
            return None
        self.sent[symbol.name] = offers
        return {
            "u": now,
            "s": symbol.name,
            "b": offers["bidPrice"],
            "B": offers["bidQty"],
            "a": offers["askPrice"],
            "A": offers["askQty"],
        }

    def _trade(self, exchange: Exchange, symbol: Symbol, now: int) -> dict[str, Any] | None:
        """All that was traded since the last event, as one trade at the last price."""
        row = answers.klines(
            symbol, exchange.candles(symbol, "1m", now, start=None, end=None, limit=1), wire.INTERVALS["1m"]
        )[0]
        before, self.sent[symbol.name] = self.sent.get(symbol.name), (row[0], float(row[5]))
        traded = float(row[5]) - (before[1] if before and before[0] == row[0] else 0)
        if before is None or traded <= 0:
            return None
        return {
            "e": "aggTrade",
            "E": now,
            "s": symbol.name,
            "a": now,
            "p": row[4],
            "q": answers.number(traded),
            "f": now,
            "l": now,
            "T": now,
            "m": False,
            "M": True,
        }


def closes_bar(event: Any) -> bool:
    """Whether it is the last event of a bar."""
    return isinstance(event, dict) and event.get("e") == "kline" and event["k"]["x"]


def _kline(name: str, interval: str, row: list[Any], now: int) -> dict[str, Any]:
    time, open_, high, low, close, volume, until, quote, trades, taker_base, taker_quote, unused = row
    bar = {
        "t": time,
        "T": until,
        "s": name,
        "i": interval,
        "f": time if trades else -1,
        "L": time + trades - 1 if trades else -1,
        "o": open_,
        "c": close,
        "h": high,
        "l": low,
        "v": volume,
        "n": trades,
        "x": now > until,
        "q": quote,
        "V": taker_base,
        "Q": taker_quote,
        "B": unused,
    }
    return {"e": "kline", "E": now, "s": name, "k": bar}
