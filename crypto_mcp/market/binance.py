"""Binance spot: candles and the list of symbols. Public market data, no key.

Source: https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from crypto_mcp.errors import NotEnoughData
from crypto_mcp.market.binance_clock import ExchangeClock
from crypto_mcp.market.binance_http import ILLEGAL_CHARACTERS, INVALID_SYMBOL, BinanceHttp, SourceRefuses
from crypto_mcp.market.binance_klines import as_candles, checked_rows, closed, describe_gaps
from crypto_mcp.market.binance_listing import Listing
from crypto_mcp.market.binance_prices import as_prices
from crypto_mcp.market.binance_tickers import Tickers
from crypto_mcp.market.candles import MarketCandles
from crypto_mcp.market.prices import MarketPrices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crypto_mcp.models.candles import Candles
    from crypto_mcp.models.timeframes import Timeframe
    from crypto_mcp.settings import MarketSettings

_ROWS_AT_ONCE = 1000
_BINANCE = (".binance.com", ".binance.vision")
_SILENT_FOR = 60.0
"""Seconds without a bar in progress after which it is looked up whether the symbol still trades."""


class BinanceSpot:
    """Binance's spot market. One for a process: it holds connections, the clock, the symbols and the tickers."""

    def __init__(self, settings: MarketSettings) -> None:
        self._http = BinanceHttp(settings)
        self._clock = ExchangeClock(self._http)
        self.listing = Listing(self._http)
        self.tickers = Tickers(self._http)
        self._venue = "binance" if self._http.host.endswith(_BINANCE) else None

    async def candles(self, symbol: str, timeframe: Timeframe, bars: int, *, least: int = 1) -> MarketCandles:
        """See `CandleSource`."""
        # The time is taken before the question: a bar that closes while the answer travels was not closed in it.
        now = await self._clock.now()
        rows, headers = await self._newest_rows(symbol, timeframe, bars + 1)
        if not rows or rows[-1][6] / 1000 < now - _SILENT_FOR:
            await self.listing.require_trading(symbol)
        candles = closed(as_candles(rows, timeframe.milliseconds), now)[-bars:]
        if len(candles) < max(1, least):
            raise NotEnoughData(
                f"{symbol} has {len(candles)} closed bars of {timeframe}, {max(1, least)} are needed",
                hint="Choose a shorter timeframe, or a symbol that has traded for longer.",
            )
        return _market(symbol, candles, headers, now)

    async def between(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> MarketCandles:
        """See `CandleSource`. The pages are windows of time, so they are asked for side by side."""
        now = await self._clock.now()
        step = timeframe.milliseconds
        end = min(end, int(now * 1000))
        first, headers = await self._rows(symbol, timeframe, {"startTime": start, "endTime": end - 1, "limit": 1})
        begins = range(first[0][0], end, _ROWS_AT_ONCE * step) if first else range(0)
        pages = await asyncio.gather(
            *(self._rows(symbol, timeframe, _window(begin, min(begin + begins.step, end))) for begin in begins)
        )
        rows = [row for page, _ in pages for row in page]
        return _market(symbol, closed(as_candles(rows, step), now), headers, now)

    async def venue(self) -> str:
        """See `CandleSource`: `binance`, `sandbox-` and its replay, or the host of who else speaks Binance's API."""
        if self._venue is None:
            reply = await self._http.get("/api/v3/ping")
            self._venue = self._venue_of(reply.headers)
        return self._venue

    def _venue_of(self, headers: Mapping[str, str]) -> str:
        if "x-sandbox" in headers:
            return f"sandbox-{headers.get('x-sandbox-replay', 'unknown')}"
        return "binance" if self._http.host.endswith(_BINANCE) else self._http.host

    async def now(self) -> float:
        """See `CandleSource`."""
        return await self._clock.now()

    async def symbols(self) -> list[str]:
        """See `CandleSource`."""
        return [name for name, rules in (await self.listing.read()).items() if rules.trades]

    async def last_prices(self) -> MarketPrices:
        """See `PriceSource` (weight 4)."""
        now = await self._clock.now()
        reply = await self._http.get("/api/v3/ticker/price")
        source = "sandbox" if "x-sandbox" in reply.headers else "binance"
        return MarketPrices(as_prices(reply.body), datetime.fromtimestamp(now, UTC), source)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()

    async def _newest_rows(
        self, symbol: str, timeframe: Timeframe, count: int
    ) -> tuple[list[list[Any]], Mapping[str, str]]:
        """The newest `count` rows, the bar in progress among them, oldest first; and the headers they came with."""
        rows: list[list[Any]] = []
        params: dict[str, str | int] = {}
        while True:
            wanted = min(count - len(rows), _ROWS_AT_ONCE)
            page, headers = await self._rows(symbol, timeframe, params | {"limit": wanted})
            rows = page + rows
            if len(page) < wanted or len(rows) >= count:
                return rows, headers
            params["endTime"] = rows[0][0] - 1

    async def _rows(
        self, symbol: str, timeframe: Timeframe, params: Mapping[str, str | int]
    ) -> tuple[list[list[Any]], Mapping[str, str]]:
        """One page of rows and the headers they came with."""
        asked = {"symbol": symbol, "interval": timeframe.value} | dict(params)
        try:
            reply = await self._http.get("/api/v3/klines", asked)
        except SourceRefuses as error:
            if error.binance_code in (INVALID_SYMBOL, ILLEGAL_CHARACTERS):
                raise await self.listing.unknown(symbol) from error
            raise
        self._venue = self._venue_of(reply.headers)
        return checked_rows(reply.body, timeframe.milliseconds), reply.headers


def _window(begin: int, end: int) -> dict[str, str | int]:
    return {"startTime": begin, "endTime": end - 1, "limit": _ROWS_AT_ONCE}


def _market(symbol: str, candles: Candles, headers: Mapping[str, str], now: float) -> MarketCandles:
    origin = _sandbox_note(headers)
    notes = [note for note in (origin, describe_gaps(candles)) if note]
    return MarketCandles(
        symbol=symbol,
        candles=candles,
        source="sandbox" if "x-sandbox" in headers else "binance",
        observed_at=datetime.fromtimestamp(now, UTC),
        note="; ".join(notes) or None,
        origin=origin,
    )


def _sandbox_note(headers: Mapping[str, str]) -> str | None:
    if "x-sandbox" not in headers:
        return None
    shift = headers.get("x-sandbox-shift-ms")
    if shift is None:
        return "generated prices of a sandbox, no market"
    return f"replayed by a sandbox from recorded prices, moved forward in time by {int(shift) / 86_400_000:.1f} days"
