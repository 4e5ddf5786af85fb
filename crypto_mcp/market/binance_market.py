"""What spot and futures have in common: candles, symbols, tickers, offers, on routes of the same shapes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from crypto_mcp.errors import NotEnoughData, SourceUnavailable
from crypto_mcp.market.binance_book import as_book_tickers, as_depth
from crypto_mcp.market.binance_clock import ExchangeClock
from crypto_mcp.market.binance_http import ILLEGAL_CHARACTERS, INVALID_SYMBOL
from crypto_mcp.market.binance_klines import as_candles, checked_rows, closed, describe_gaps, holes
from crypto_mcp.market.binance_listing import Listing
from crypto_mcp.market.binance_prices import as_prices
from crypto_mcp.market.binance_tickers import Tickers
from crypto_mcp.market.candles import MarketCandles
from crypto_mcp.market.prices import MarketPrices
from crypto_mcp.market.provider_http import Question
from crypto_mcp.market.refusals import SourceRefuses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crypto_mcp.market.provider_http import Params, ProviderHttp, Reply
    from crypto_mcp.models.candles import Candles
    from crypto_mcp.models.markets import BookTicker, Depth
    from crypto_mcp.models.timeframes import Timeframe

Rows = list[list[Any]]
T = TypeVar("T")

_BINANCE = (".binance.com", ".binance.vision")
_SILENT_FOR = 60.0
"""Seconds without a bar in progress after which it is looked up whether the symbol still trades."""

_SHARED_FOR = 2.0
"""Seconds for which the candles one process asked for serve the others."""

_HOLES_ASKED_FOR = 3
_HOLE_IS_A_FACT_FOR = 3600.0


@dataclass(frozen=True, slots=True)
class Routes:
    """Where a market answers, and what that costs.

    Attributes:
        source: as results name it.
        prefix: of its routes; `prices` is the whole path of last prices.
        rows_at_once: candles in one request, at the best price a row.
        klines_weight: by the `limit` asked for.
        listing, tickers, prices_weight, book: weight of each for the whole market.
        depth_weight: by the `limit` asked for; `depth_limits` are those it takes.
        ticker_params: that make the whole market's tickers short.
        venue_suffix: tells this market from the spot market of the same sandbox.
    """

    source: str
    prefix: str
    prices: str
    rows_at_once: int
    klines_weight: Callable[[int], int]
    listing: int
    tickers: int
    prices_weight: int
    book: int
    depth_weight: Callable[[int], int]
    depth_limits: tuple[int, ...]
    ticker_params: Params = field(default_factory=dict)
    venue_suffix: str = ""


class BinanceMarket:
    """One of Binance's markets. One for a process: it holds connections, the clock, the symbols and the tickers."""

    def __init__(self, http: ProviderHttp, routes: Routes) -> None:
        self._http = http
        self._routes = routes
        self._clock = ExchangeClock(http, f"{routes.prefix}/time")
        self.listing = Listing(http, f"{routes.prefix}/exchangeInfo", routes.listing)
        self.tickers = Tickers(http, f"{routes.prefix}/ticker/24hr", routes)
        self._venue = routes.source if http.host.endswith(_BINANCE) else None
        self._known_holes: dict[tuple[str, str, int], float] = {}
        http.introduce_by(self.listing.read)

    async def candles(self, symbol: str, timeframe: Timeframe, bars: int, *, least: int = 1) -> MarketCandles:
        """See `CandleSource`."""
        rows, headers, now = await self._newest_rows(symbol, timeframe, bars + 1)
        if not rows or rows[-1][6] / 1000 < now - _SILENT_FOR:
            await self.listing.require_trading(symbol)
        rows = await self._refilled(symbol, timeframe, rows)
        candles = closed(as_candles(rows, timeframe.milliseconds), now)[-bars:]
        if len(candles) < max(1, least):
            raise NotEnoughData(
                f"{symbol} has {len(candles)} closed bars of {timeframe}, {max(1, least)} are needed",
                hint="Choose a shorter timeframe, or a symbol that has traded for longer.",
            )
        return self._market(symbol, candles, headers, now)

    async def between(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> MarketCandles:
        """See `CandleSource`. The pages are windows of time, so they are asked for side by side."""
        now = await self._clock.now()
        step, at_once = timeframe.milliseconds, self._routes.rows_at_once
        end = min(end, int(now * 1000))
        first = await self._rows(symbol, timeframe, {"startTime": start, "endTime": end - 1, "limit": 1}, now)
        begins = range(first.body[0][0], end, at_once * step) if first.body else range(0)
        windows = (_window(begin, min(begin + begins.step, end), at_once) for begin in begins)
        pages = await asyncio.gather(*(self._rows(symbol, timeframe, window, now) for window in windows))
        now = min([now, *(page.stamp for page in pages)])
        rows = await self._refilled(symbol, timeframe, [row for page in pages for row in page.body])
        return self._market(symbol, closed(as_candles(rows, step), now), first.headers, now)

    async def venue(self) -> str:
        """See `CandleSource`: `binance`, `sandbox-` and its replay, or the host of who else speaks Binance's API."""
        if self._venue is None:
            question = Question(f"{self._routes.prefix}/ping", lambda body: body)
            self._venue = self._venue_of((await self._http.ask(question)).headers)
        return self._venue

    def _venue_of(self, headers: Mapping[str, str]) -> str:
        if "x-sandbox" in headers:
            return f"sandbox-{headers.get('x-sandbox-replay', 'unknown')}{self._routes.venue_suffix}"
        return self._routes.source if self._http.host.endswith(_BINANCE) else self._http.host

    async def now(self) -> float:
        """See `CandleSource`."""
        return await self._clock.now()

    def heed(self, heard: float) -> None:
        """The exchange was heard to say that it is so late (seconds since the epoch)."""
        self._clock.heed(heard)

    async def symbols(self) -> list[str]:
        """See `CandleSource`."""
        return [name for name, rules in (await self.listing.read()).items() if rules.trades]

    async def last_prices(self) -> MarketPrices:
        """See `PriceSource`."""
        now = await self._clock.now()
        question: Question[dict[str, Decimal]] = Question(
            self._routes.prices, as_prices, weight=self._routes.prices_weight, keep=1.0, stamp=now
        )
        reply = await self._http.ask(question)
        return MarketPrices(reply.body, datetime.fromtimestamp(reply.stamp, UTC), self.source(reply.headers))

    async def book_tickers(self) -> dict[str, BookTicker]:
        """The best offers of every symbol; `SourceUnavailable` if the exchange is away."""
        path = f"{self._routes.prefix}/ticker/bookTicker"
        return (await self._http.ask(Question(path, as_book_tickers, weight=self._routes.book, keep=1.0))).body

    async def depth(self, symbol: str, levels: int = 20) -> Depth:
        """The order book with at least so many levels a side, if it has them.

        Raises:
            UnknownSymbol: it lists no such symbol.
            SourceUnavailable: it does not answer, or refuses for now.
        """
        limits = self._routes.depth_limits
        limit = next((each for each in limits if each >= levels), limits[-1])
        question = Question(
            f"{self._routes.prefix}/depth",
            lambda body: as_depth(symbol, body),
            {"symbol": symbol, "limit": limit},
            weight=self._routes.depth_weight(limit),
            keep=1.0,
        )
        return (await self._of_symbol(symbol, question)).body

    async def clock_skew(self) -> float:
        """Seconds this machine's clock is behind the exchange's, measured within ten minutes."""
        await self._clock.now()
        return self._clock.skew or 0.0

    @property
    def told_by(self) -> str:
        """Who answered last; a sandbox whenever it was one."""
        return "sandbox" if (self._venue or "").startswith("sandbox") else self._routes.source

    def source(self, headers: Mapping[str, str]) -> str:
        """Who said so: a sandbox whenever one did."""
        return "sandbox" if "x-sandbox" in headers else self._routes.source

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()

    async def _newest_rows(
        self, symbol: str, timeframe: Timeframe, count: int
    ) -> tuple[Rows, Mapping[str, str], float]:
        """The newest `count` rows, the bar in progress among them, oldest first; the headers they came with; and the
        exchange's time before they were asked for: a bar that closes while the answer travels was not closed in it.
        """
        now = await self._clock.now()
        rows: Rows = []
        params: Params = {}
        while True:
            wanted = min(count - len(rows), self._routes.rows_at_once)
            page = await self._rows(symbol, timeframe, params | {"limit": wanted}, now)
            now = min(now, page.stamp)
            rows = page.body + rows
            if len(page.body) < wanted or len(rows) >= count:
                return rows, page.headers, now
            params["endTime"] = rows[0][0] - 1

    async def _rows(self, symbol: str, timeframe: Timeframe, params: Params, now: float) -> Reply[Rows]:
        """One page of rows."""
        question = Question(
            f"{self._routes.prefix}/klines",
            lambda body: checked_rows(body, timeframe.milliseconds),
            {"symbol": symbol, "interval": timeframe.value, **params},
            weight=self._routes.klines_weight(int(params["limit"])),
            keep=_SHARED_FOR,
            stamp=now,
        )
        return await self._of_symbol(symbol, question)

    async def _of_symbol(self, symbol: str, question: Question[T]) -> Reply[T]:
        try:
            reply = await self._http.ask(question)
        except SourceRefuses as error:
            if error.provider_code in (INVALID_SYMBOL, ILLEGAL_CHARACTERS):
                raise await self.listing.unknown(symbol) from error
            raise
        self._venue = self._venue_of(reply.headers)
        return reply

    async def _refilled(self, symbol: str, timeframe: Timeframe, rows: Rows) -> Rows:
        """The rows with what is missing in between asked for once more. What is missing then is a fact for an hour."""
        step = timeframe.milliseconds
        found = [hole for hole in holes(rows, step) if not self._is_known(symbol, timeframe, hole[0])]
        for begin, end in found[:_HOLES_ASKED_FOR]:
            count = min((end - begin) // step, self._routes.rows_at_once)
            try:
                now = await self._clock.now()
                page = await self._rows(symbol, timeframe, _window(begin, end, count), now)
            except SourceUnavailable:
                break
            rows = sorted([*rows, *(row for row in page.body if begin <= row[0] < end)], key=_open_time)
            if len(page.body) < (end - begin) // step:
                self._known_holes[symbol, timeframe.value, begin] = time.monotonic() + _HOLE_IS_A_FACT_FOR
        return rows

    def _is_known(self, symbol: str, timeframe: Timeframe, begin: int) -> bool:
        return self._known_holes.get((symbol, timeframe.value, begin), 0.0) > time.monotonic()

    def _market(self, symbol: str, candles: Candles, headers: Mapping[str, str], now: float) -> MarketCandles:
        origin = _sandbox_note(headers)
        notes = [note for note in (origin, describe_gaps(candles)) if note]
        return MarketCandles(
            symbol=symbol,
            candles=candles,
            source=self.source(headers),
            observed_at=datetime.fromtimestamp(now, UTC),
            note="; ".join(notes) or None,
            origin=origin,
        )


def _open_time(row: list[Any]) -> int:
    return int(row[0])


def _window(begin: int, end: int, limit: int) -> Params:
    return {"startTime": begin, "endTime": end - 1, "limit": limit}


def _sandbox_note(headers: Mapping[str, str]) -> str | None:
    if "x-sandbox" not in headers:
        return None
    shift = headers.get("x-sandbox-shift-ms")
    if shift is None:
        return "generated prices of a sandbox, no market"
    return f"replayed by a sandbox from recorded prices, moved forward in time by {int(shift) / 86_400_000:.1f} days"
