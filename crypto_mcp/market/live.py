"""What the live feed leaves in Redis for everybody: key names, channels, and how values are written.

Database 0 (market data, at most 60 seconds old, may be evicted):

    price:{symbol}            string   last price:       ["43250.10", 1700000000000, "binance"]
    bar:{symbol}:{timeframe}  string   last closed bar:  a `ClosedBar`

Database 2 (never evicted):

    feed:watch                hash     who wants which symbol watched, see `watching`
    feed:bars                 stream   every closed bar once, each series in the order of time: `ClosedBar`s
    feed:published            hash     {symbol}:{timeframe} -> open time of the newest bar in the stream
    feed:archived             string   id of the newest entry of the stream that is in the archive

Channels of that instance: `feed:prices` carries `PriceMove`s, `feed:wanted` wakes the feed when the watch set changed,
`alerts:changed` names alerts that did.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import orjson

from crypto_mcp.models.candles import Candles
from crypto_mcp.models.timeframes import Timeframe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LIVE_TTL = 60
"""Seconds that a price or a bar is kept after it was told."""

BARS, PUBLISHED, ARCHIVED = "feed:bars", "feed:published", "feed:archived"
PRICES_CHANNEL, WANTED_CHANNEL = "feed:prices", "feed:wanted"
ALERTS_CHANNEL = "alerts:changed"


def price_key(symbol: str) -> str:
    """String with a TTL: the last price."""
    return f"price:{symbol}"


def bar_key(symbol: str, timeframe: str) -> str:
    """String with a TTL: the last closed bar."""
    return f"bar:{symbol}:{timeframe}"


@dataclass(frozen=True, slots=True)
class LastPrice:
    """A price somebody paid last: in quote asset, when it was seen (UTC), and who said so (`binance`, `sandbox`)."""

    price: Decimal
    at: datetime
    source: str

    def encoded(self) -> bytes:
        """As it stands in Redis."""
        return orjson.dumps([format(self.price, "f"), int(self.at.timestamp() * 1000), self.source])

    @classmethod
    def decoded(cls, value: bytes) -> LastPrice:
        """From Redis."""
        price, at, source = orjson.loads(value)
        return cls(Decimal(price), datetime.fromtimestamp(at / 1000, UTC), source)


class ClosedBar(NamedTuple):
    """One closed bar: open time in ms since the epoch, prices in quote asset, volume in base asset, who said so."""

    symbol: str
    timeframe: Timeframe
    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    source: str

    @property
    def possible(self) -> bool:
        """Whether its figures can be those of a bar."""
        body = (self.open, self.close)
        return 0 < self.low <= min(body) and max(body) <= self.high < math.inf and 0 <= self.volume < math.inf

    @property
    def series(self) -> str:
        """Whose bar it is, as the feed's hashes name it."""
        return f"{self.symbol}:{self.timeframe}"

    def encoded(self) -> bytes:
        """As it stands in Redis."""
        return orjson.dumps(list(self))

    @classmethod
    def decoded(cls, value: bytes) -> ClosedBar:
        """From Redis."""
        symbol, timeframe, *rest = orjson.loads(value)
        return cls._make((symbol, Timeframe(timeframe), *rest))

    @classmethod
    def each_of(cls, symbol: str, timeframe: Timeframe, candles: Candles, source: str) -> list[ClosedBar]:
        """Columns as single bars."""
        columns = (candles.open_time, candles.open, candles.high, candles.low, candles.close, candles.volume)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [cls._make((symbol, timeframe, *row, source)) for row in rows]


def as_candles(bars: Sequence[ClosedBar]) -> Candles:
    """Bars of one series, in the order of time and without repetitions, as columns."""
    open_, high, low, close, volume = np.array([bar[3:8] for bar in bars], dtype=np.float64).T.copy()
    times = np.array([bar.open_time for bar in bars], dtype=np.int64)
    return Candles(times, open_, high, low, close, volume, bars[0].timeframe.milliseconds)


class PriceMove(NamedTuple):
    """Where a price went since it was last told: the last price, when (ms since the epoch), and the extremes between.

    `low` and `high` are of what was seen: a spike that came and went between two events of the exchange is in them as
    soon as the bar in progress shows it. They lie between `since` and `at`.
    """

    symbol: str
    price: float
    at: int
    low: float
    high: float
    since: int


def encoded_moves(moves: Iterable[PriceMove]) -> bytes:
    """One message of the channel."""
    return orjson.dumps([list(move) for move in moves])


def decoded_moves(message: bytes) -> list[PriceMove]:
    """From the channel."""
    return [PriceMove(*move) for move in orjson.loads(message)]
