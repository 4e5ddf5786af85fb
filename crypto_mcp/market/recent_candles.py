"""The newest bars of a symbol in Redis db 0 (L2), shared by all workers for at most a minute.

candles:{venue}:{symbol}:{timeframe}    JSON header, a line feed, packed bars; for 60 s, or until a bar closes
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson
from redis.exceptions import RedisError

from crypto_mcp.market.bar_times import newest_close
from crypto_mcp.market.candle_codec import QUICK, DamagedCandles, pack, unpack
from crypto_mcp.market.candles import MarketCandles
from crypto_mcp.stores.cache import Outage

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from crypto_mcp.models.timeframes import Timeframe

TTL = 60


@dataclass(frozen=True, slots=True)
class Recent:
    """The newest bars, and how many were asked for: a young symbol has fewer."""

    market: MarketCandles
    asked: int


class RecentCandles:
    """A Redis that is away is a miss, never an error."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._outage = Outage("market data cache")

    async def get(self, venue: str, symbol: str, timeframe: Timeframe) -> Recent | None:
        """What is kept of a symbol."""
        if self._outage.lasts:
            return None
        try:
            kept = await self._redis.get(_key(venue, symbol, timeframe))
        except (RedisError, OSError) as error:
            self._outage.begin(error)
            return None
        self._outage.end()
        return None if kept is None else _read(kept, symbol, timeframe)

    async def put(self, venue: str, timeframe: Timeframe, recent: Recent) -> None:
        """Keeps the bars for a minute, and no longer than until the next one closes."""
        market = recent.market
        closes = newest_close(timeframe, market.observed_at.timestamp()) + timeframe.milliseconds
        left = closes / 1000 - market.observed_at.timestamp()
        if self._outage.lasts or left < 1:
            return
        try:
            await self._redis.set(_key(venue, market.symbol, timeframe), _written(recent), ex=int(min(TTL, left)))
        except (RedisError, OSError) as error:
            self._outage.begin(error)


def _key(venue: str, symbol: str, timeframe: Timeframe) -> str:
    return f"candles:{venue}:{symbol}:{timeframe}"


def _written(recent: Recent) -> bytes:
    market = recent.market
    header = {
        "source": market.source,
        "note": market.note,
        "origin": market.origin,
        "observed_at": market.observed_at.timestamp(),
        "asked": recent.asked,
    }
    return orjson.dumps(header) + b"\n" + pack(market.candles, QUICK)


def _read(kept: bytes, symbol: str, timeframe: Timeframe) -> Recent | None:
    line, _, packed = kept.partition(b"\n")
    try:
        header = orjson.loads(line)
        market = MarketCandles(
            symbol=symbol,
            candles=unpack(packed, timeframe.milliseconds),
            source=header["source"],
            observed_at=datetime.fromtimestamp(header["observed_at"], UTC),
            note=header["note"],
            origin=header["origin"],
        )
        return Recent(market, header["asked"])
    except (orjson.JSONDecodeError, KeyError, DamagedCandles):  # written by another version of the product
        return None
