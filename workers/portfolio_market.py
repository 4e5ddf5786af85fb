"""What of the market a portfolio's figures need: last prices, and daily bars for returns and volumes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
from cachetools import LRUCache, TTLCache
from redis.exceptions import RedisError

from crypto_mcp.errors import NotEnoughData, SourceUnavailable, UnknownSymbol
from crypto_mcp.market.watching import want
from crypto_mcp.models.portfolio import PricesView
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.risk.exposures import Returns, aligned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from redis.asyncio import Redis

    from crypto_mcp.market.candle_reader import CandleReader
    from crypto_mcp.market.candles import MarketCandles
    from crypto_mcp.market.prices import LastPrice
    from crypto_mcp.models.candles import Candles
    from crypto_mcp.models.markets import SymbolRules
    from workers.services import Services

DAYS = 366
"""Closes behind 365 daily returns, the window the VaR methods were tested with."""

_VOLUME_DAYS = 7
_AT_ONCE = 32
_WATCHED_FOR = 3600.0
_WATCHES = 10_000
_KEPT_SYMBOLS = 1000
_KEPT_TABLES = 32

_BELIEVED_FOR = 600.0
"""Seconds after which bars are asked for again, should one have been corrected."""

_LATE = 5.0
"""Seconds after midnight from which the day that closed is asked for."""


@dataclass(frozen=True, slots=True)
class Market:
    """Prices and days of some symbols; what could not be had is absent."""

    last: Mapping[str, LastPrice]
    days: Mapping[str, MarketCandles] = field(default_factory=dict)
    returns: Returns = field(default_factory=lambda: aligned({}))
    volumes: Mapping[str, float] = field(default_factory=dict)

    @property
    def prices(self) -> dict[str, Decimal]:
        """Last price by symbol."""
        return {symbol: found.price for symbol, found in self.last.items()}

    def newest_price(self, symbol: str) -> Decimal:
        """The last price of a symbol that has days, else its last daily close."""
        if symbol in self.last:
            return self.last[symbol].price
        return Decimal(repr(float(self.days[symbol].candles.close[-1])))

    def view(self) -> PricesView | None:
        """Where it comes from."""
        if not self.last:
            return None
        oldest = min(found.at for found in self.last.values())
        sources = sorted({found.source for found in self.last.values()} | {d.source for d in self.days.values()})
        newest = max(
            (int(found.candles.open_time[-1]) + found.candles.step for found in self.days.values()), default=None
        )
        returns = None
        if newest is not None:
            until = datetime.fromtimestamp(newest / 1000, UTC)
            returns = f"up to {DAYS - 1} daily returns until {until:%Y-%m-%d %H:%M} UTC"
        age = max(0.0, (datetime.now(UTC) - oldest).total_seconds())
        return PricesView(source=", ".join(sources), at=oldest, age_seconds=round(age, 1), returns=returns)


class PortfolioWatch:
    """Has the live feed watch what a portfolio holds while somebody looks at it. One for a process."""

    def __init__(self, queue: Redis) -> None:
        self._queue = queue
        self._said: TTLCache[str, list[str]] = TTLCache(_WATCHES, _WATCHED_FOR / 2)

    async def say(self, owner: str, name: str, symbols: Iterable[str]) -> None:
        """Now and for an hour. A queue that is away is no matter: prices come from the exchange then."""
        said_by, held = f"portfolio:{owner}:{name}", sorted(set(symbols))
        if self._said.get(said_by) == held:
            return
        self._said[said_by] = held
        with contextlib.suppress(RedisError, OSError):
            await want(self._queue, said_by, dict.fromkeys(held, ()), seconds=_WATCHED_FOR)


async def prices_of(services: Services, symbols: Iterable[str]) -> Market:
    """Last prices; none of them where the exchange is away and the feed knows nothing."""
    wanted = sorted(set(symbols))
    try:
        return Market(await services.prices.last(wanted) if wanted else {})
    except SourceUnavailable:
        return Market({})


class DailyMarket:
    """Daily bars, and what is made of them, kept until the next bar closes. One for a process."""

    def __init__(self, candles: CandleReader) -> None:
        self._candles = candles
        self._bars: LRUCache[str, tuple[float, MarketCandles]] = LRUCache(_KEPT_SYMBOLS)
        self._made: LRUCache[tuple[str, ...], tuple[dict[str, MarketCandles], Returns, dict[str, float]]] = LRUCache(
            _KEPT_TABLES
        )
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def of(self, symbols: list[str]) -> tuple[dict[str, MarketCandles], Returns, dict[str, float]]:
        """Bars, returns and mean daily volumes (quote asset, last week); symbols without bars are absent."""
        now = time.time()
        kept = {symbol: self._bars.get(symbol) for symbol in symbols}
        missing = [symbol for symbol, found in kept.items() if found is None or found[0] < now]
        if missing:
            await asyncio.gather(*(self._fetch(symbol) for symbol in missing))
            kept |= {symbol: self._bars.get(symbol) for symbol in missing}
        days = {symbol: found[1] for symbol, found in kept.items() if found is not None}
        key = tuple(days)
        made = self._made.get(key)
        if made is None or any(made[0][symbol] is not found for symbol, found in days.items()):
            candles = {symbol: found.candles for symbol, found in days.items()}
            made = days, await asyncio.to_thread(aligned, candles), _volumes(candles)
            self._made[key] = made
        return made

    async def _fetch(self, symbol: str) -> None:
        async with self._gate:
            try:
                found = await self._candles.newest(symbol, Timeframe.D1, DAYS)
            except (NotEnoughData, SourceUnavailable, UnknownSymbol):
                self._bars.pop(symbol, None)
                return
        before = self._bars.get(symbol)
        if before is not None and np.array_equal(before[1].candles.open_time, found.candles.open_time):
            found = before[1]  # nothing new: what was made of it stays
        next_close = (int(found.candles.close_time[-1]) + Timeframe.D1.milliseconds) / 1000
        self._bars[symbol] = (min(next_close + _LATE, time.time() + _BELIEVED_FOR), found)


def _volumes(candles: Mapping[str, Candles]) -> dict[str, float]:
    return {
        symbol: float(np.mean(found.close[-_VOLUME_DAYS:] * found.volume[-_VOLUME_DAYS:]))
        for symbol, found in candles.items()
    }


async def market_of(services: Services, symbols: Iterable[str], benchmark: str) -> Market:
    """Prices and daily bars of symbols, and the daily bars of the benchmark."""
    wanted = sorted(set(symbols))
    if not wanted:
        return Market({})
    priced = asyncio.ensure_future(prices_of(services, wanted))
    days, returns, volumes = await services.daily_market.of(sorted({*wanted, benchmark}))
    return Market((await priced).last, days, returns, volumes)


async def rules_of(services: Services, symbols: Iterable[str]) -> dict[str, SymbolRules]:
    """Trading rules; a symbol whose rules cannot be had is absent."""
    try:
        listed = await services.rules.read()
    except SourceUnavailable:
        return {}
    return {symbol: listed[symbol] for symbol in symbols if symbol in listed}
