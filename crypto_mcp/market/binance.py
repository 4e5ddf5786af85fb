"""Binance spot: candles and the list of symbols. Public market data, no key.

Source: https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from crypto_mcp.errors import NotEnoughData, SourceUnavailable, UnknownSymbol
from crypto_mcp.market.binance_http import ILLEGAL_CHARACTERS, INVALID_SYMBOL, BinanceHttp, Reply, SourceRefuses
from crypto_mcp.market.candles import MarketCandles
from crypto_mcp.models.candles import BadCandles, Candles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crypto_mcp.models.timeframes import Timeframe
    from crypto_mcp.settings import MarketSettings

_ROWS_AT_ONCE = 1000
_FIELDS = 12
_CLOCK_FOR = 600.0
_SYMBOLS_FOR = 3600.0
_STALE_AFTER_BARS = 3


class BadSourceData(SourceUnavailable):
    """The source answered with something that cannot be; it is asked again later, never corrected."""

    code = "source_bad_data"


@dataclass(frozen=True, slots=True)
class _Symbol:
    name: str
    base: str
    status: str


class BinanceSpot:
    """Candles of Binance's spot market. One for a process: it holds connections, the clock and the symbols."""

    def __init__(self, settings: MarketSettings) -> None:
        self._http = BinanceHttp(settings)
        self._clock_ahead = 0.0
        self._clock_until = 0.0
        self._symbols: dict[str, _Symbol] = {}
        self._symbols_until = 0.0
        self._reading_symbols = asyncio.Lock()

    async def candles(self, symbol: str, timeframe: Timeframe, bars: int, *, least: int = 1) -> MarketCandles:
        """See `CandleSource`."""
        await self._set_clock()
        rows, reply = await self._rows(symbol, timeframe, bars + 1)
        now = time.time() + self._clock_ahead
        candles = _closed(_frame(rows, timeframe.milliseconds), now)[-bars:]
        if len(candles) < max(1, least):
            raise NotEnoughData(
                f"{symbol} has {len(candles)} closed bars of {timeframe}, {least} are needed",
                hint="Choose a shorter timeframe, or a symbol that has traded for longer.",
            )
        if now * 1000 - candles.close_time[-1] > _STALE_AFTER_BARS * candles.step:
            await self._refuse_if_halted(symbol)
        notes = [note for note in (_sandbox_note(reply.headers), _gaps(candles)) if note]
        return MarketCandles(
            symbol=symbol,
            candles=candles,
            source="sandbox" if "x-sandbox" in reply.headers else "binance",
            observed_at=datetime.fromtimestamp(now, UTC),
            note="; ".join(notes) or None,
        )

    async def symbols(self) -> list[str]:
        """Names of the symbols that trade."""
        return [s.name for s in (await self._listed()).values() if s.status == "TRADING"]

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()

    async def _rows(self, symbol: str, timeframe: Timeframe, count: int) -> tuple[list[Any], Reply]:
        """The newest `count` rows, the bar in progress among them, oldest first."""
        rows: list[Any] = []
        params: dict[str, str | int] = {"symbol": symbol, "interval": timeframe.value}
        while True:
            wanted = min(count - len(rows), _ROWS_AT_ONCE)
            try:
                reply = await self._http.get("/api/v3/klines", params | {"limit": wanted})
            except SourceRefuses as error:
                if error.binance_code in (INVALID_SYMBOL, ILLEGAL_CHARACTERS):
                    raise await self._unknown(symbol) from error
                raise
            page = reply.body
            if not isinstance(page, list) or not all(map(_is_row, page)):
                raise _bad("rows of another shape")
            rows = page + rows
            if len(page) < wanted or len(rows) >= count:
                return rows, reply
            params["endTime"] = rows[0][0] - 1

    async def _set_clock(self) -> None:
        """Measures how far the exchange's clock is ahead: whether a bar is closed is decided by its time, not ours."""
        if time.monotonic() < self._clock_until:
            return
        reply = await self._http.get("/api/v3/time")
        try:
            server = int(reply.body["serverTime"]) / 1000
        except (KeyError, TypeError, ValueError) as error:
            raise _bad("no server time") from error
        self._clock_ahead = server + reply.seconds / 2 - time.time()
        self._clock_until = time.monotonic() + _CLOCK_FOR

    async def _listed(self) -> dict[str, _Symbol]:
        async with self._reading_symbols:
            if time.monotonic() >= self._symbols_until:
                reply = await self._http.get("/api/v3/exchangeInfo")
                try:
                    listed = [_Symbol(s["symbol"], s["baseAsset"], s["status"]) for s in reply.body["symbols"]]
                except (KeyError, TypeError) as error:
                    raise _bad("no list of symbols") from error
                self._symbols = {s.name: s for s in listed}
                self._symbols_until = time.monotonic() + _SYMBOLS_FOR
        return self._symbols

    async def _unknown(self, symbol: str) -> UnknownSymbol:
        names = [s.name for s in (await self._listed()).values() if s.status == "TRADING"]
        near = get_close_matches(symbol, names, n=3, cutoff=0.6)
        hint = f"Did you mean {', '.join(near)}?" if near else "Give a pair the exchange lists, such as BTCUSDT."
        return UnknownSymbol(f"the exchange lists no symbol {symbol}", hint=hint)

    async def _refuse_if_halted(self, symbol: str) -> None:
        listed = (await self._listed()).get(symbol)
        if listed is not None and listed.status != "TRADING":
            raise UnknownSymbol(
                f"{symbol} is not traded at present (status {listed.status})", hint="Choose a symbol that trades."
            )


def _is_row(row: Any) -> bool:
    return isinstance(row, list) and len(row) == _FIELDS and isinstance(row[0], int)


def _frame(rows: list[Any], step: int) -> Candles:
    """Rows as columns; every price a finite number, every bar possible."""
    try:
        times = np.array([int(row[0]) for row in rows], dtype=np.int64)
        open_, high, low, close, volume = (
            np.array([float(row[i]) for row in rows], dtype=np.float64) for i in range(1, 6)
        )
        return Candles(times, open_, high, low, close, volume, step).validated()
    except (TypeError, ValueError) as error:
        raise _bad("a price or time that is no number") from error
    except BadCandles as error:
        raise _bad(error.message) from error


def _closed(candles: Candles, now: float) -> Candles:
    return candles[: int(np.searchsorted(candles.close_time, now * 1000, side="right"))]


def _gaps(candles: Candles) -> str | None:
    missing = int((np.diff(candles.open_time) // candles.step - 1).sum())
    return f"{missing} bars are missing at the exchange" if missing else None


def _sandbox_note(headers: Mapping[str, str]) -> str | None:
    if "x-sandbox" not in headers:
        return None
    shift = headers.get("x-sandbox-shift-ms")
    if shift is None:
        return "generated prices of a sandbox, no market"
    return f"recorded prices replayed by a sandbox, moved forward in time by {int(shift) / 86_400_000:.1f} days"


def _bad(what: str) -> BadSourceData:
    return BadSourceData(
        f"the exchange answered with data that cannot be: {what}",
        hint="Nothing was made of it. Try again in a minute.",
        retry_after=5,
    )
