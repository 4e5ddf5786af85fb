"""What of the market a portfolio's figures need: last prices, and daily bars for returns and volumes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.errors import NotEnoughData, SourceUnavailable, UnknownSymbol
from crypto_mcp.models.portfolio import PricesView
from crypto_mcp.models.timeframes import Timeframe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

    from crypto_mcp.market.candles import MarketCandles
    from crypto_mcp.market.prices import LastPrice
    from crypto_mcp.models.candles import Candles
    from crypto_mcp.models.markets import SymbolRules
    from workers.services import Services

DAYS = 366
"""Closes behind 365 daily returns, the window the VaR methods were tested with."""

_VOLUME_DAYS = 7
_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Market:
    """Prices and days of some symbols; what could not be had is absent."""

    last: Mapping[str, LastPrice]
    days: Mapping[str, MarketCandles] = field(default_factory=dict)

    @property
    def prices(self) -> dict[str, Decimal]:
        """Last price by symbol."""
        return {symbol: found.price for symbol, found in self.last.items()}

    @property
    def candles(self) -> dict[str, Candles]:
        """Daily bars by symbol."""
        return {symbol: found.candles for symbol, found in self.days.items()}

    @property
    def volumes(self) -> dict[str, float]:
        """Mean traded a day over the last week, quote asset."""
        return {
            symbol: float(np.mean((found.close * found.volume)[-_VOLUME_DAYS:]))
            for symbol, found in self.candles.items()
            if len(found)
        }

    def view(self) -> PricesView | None:
        """Where it comes from."""
        if not self.last:
            return None
        oldest = min(found.at for found in self.last.values())
        sources = sorted({found.source for found in self.last.values()} | {d.source for d in self.days.values()})
        newest = max((int(found.candles.close_time[-1]) for found in self.days.values()), default=None)
        returns = None
        if newest is not None:
            until = datetime.fromtimestamp(newest / 1000, UTC)
            returns = f"up to {DAYS - 1} daily returns until {until:%Y-%m-%d %H:%M} UTC"
        age = max(0.0, (datetime.now(UTC) - oldest).total_seconds())
        return PricesView(source=", ".join(sources), at=oldest, age_seconds=round(age, 1), returns=returns)


async def prices_of(services: Services, symbols: Iterable[str]) -> Market:
    """Last prices; none of them where the exchange is away and the feed knows nothing."""
    wanted = sorted(set(symbols))
    try:
        return Market(await services.prices.last(wanted) if wanted else {})
    except SourceUnavailable:
        return Market({})


async def market_of(services: Services, symbols: Iterable[str], benchmark: str) -> Market:
    """Prices and daily bars of symbols, and the daily bars of the benchmark."""
    wanted = sorted(set(symbols))
    gate = asyncio.Semaphore(_AT_ONCE)

    async def days(symbol: str) -> MarketCandles | None:
        async with gate:
            try:
                return await services.candles.newest(symbol, Timeframe.D1, DAYS)
            except (NotEnoughData, SourceUnavailable, UnknownSymbol):
                return None

    asked = sorted({*wanted, benchmark}) if wanted else []
    priced = asyncio.ensure_future(prices_of(services, wanted))
    found = await asyncio.gather(*(days(symbol) for symbol in asked))
    market = await priced
    bars = {symbol: each for symbol, each in zip(asked, found, strict=True) if each is not None}
    return Market(market.last, bars)


async def rules_of(services: Services, symbols: Iterable[str]) -> dict[str, SymbolRules]:
    """Trading rules; a symbol whose rules cannot be had is absent."""
    found = {}
    for symbol in sorted(set(symbols)):
        try:
            found[symbol] = await services.rules.of(symbol)
        except (SourceUnavailable, UnknownSymbol):
            continue
    return found
