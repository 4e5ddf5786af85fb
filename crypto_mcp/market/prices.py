"""Last prices: what the live feed left in Redis, and for what it does not watch one request for the whole market."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog
from redis.exceptions import RedisError

from crypto_mcp.errors import SourceUnavailable
from crypto_mcp.market.live import LastPrice, price_key
from crypto_mcp.market.single_flight import SingleFlight
from crypto_mcp.stores.cache import Outage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from decimal import Decimal

    from redis.asyncio import Redis

__all__ = ["LastPrice", "MarketPrices", "PriceSource", "Prices"]

log = structlog.get_logger(__name__)

_GOOD_FOR = 1.0
"""Seconds for which one answer about the whole market serves every caller of this process."""


@dataclass(frozen=True, slots=True)
class MarketPrices:
    """The last price of every symbol of a market at one moment, in quote assets."""

    prices: Mapping[str, Decimal]
    at: datetime
    source: str


class PriceSource(Protocol):
    """An outside system that knows the last price of all its symbols."""

    async def last_prices(self) -> MarketPrices:
        """All of them, in one request. Raises `SourceUnavailable`."""
        ...


class Prices:
    """Last prices by symbol. One for a process."""

    def __init__(self, redis: Redis, source: PriceSource) -> None:
        self._redis = redis
        self._source = source
        self._outage = Outage("live prices")
        self._market: MarketPrices | None = None
        self._until = 0.0
        self._fetch = SingleFlight(self._fetched)

    async def last(self, symbols: Iterable[str]) -> dict[str, LastPrice]:
        """The last price of each of `symbols` (in the exchange's spelling). One that has none is absent.

        Raises:
            SourceUnavailable: not one of the prices is known and the exchange does not answer.
        """
        wanted = list(dict.fromkeys(symbols))
        found = await self._from_feed(wanted)
        missing = [symbol for symbol in wanted if symbol not in found]
        if missing:
            try:
                market = await self._whole_market()
            except SourceUnavailable as error:
                if not found:
                    raise
                log.warning("prices are missing", symbols=missing, error=error.message)
            else:
                known = (symbol for symbol in missing if symbol in market.prices)
                found |= {symbol: LastPrice(market.prices[symbol], market.at, market.source) for symbol in known}
        return found

    async def _from_feed(self, symbols: list[str]) -> dict[str, LastPrice]:
        """What the feed told within the last minute. A Redis that is away is a miss."""
        if not symbols or self._outage.lasts:
            return {}
        try:
            values = await self._redis.mget([price_key(symbol) for symbol in symbols])
        except (RedisError, OSError) as error:
            self._outage.begin(error)
            return {}
        self._outage.end()
        return {symbol: LastPrice.decoded(v) for symbol, v in zip(symbols, values, strict=True) if v is not None}

    async def _whole_market(self) -> MarketPrices:
        if self._market is None or time.monotonic() >= self._until:
            self._market = await self._fetch()
        return self._market

    async def _fetched(self) -> MarketPrices:
        market = await self._source.last_prices()
        self._until = time.monotonic() + _GOOD_FOR
        return market
