"""What the live feed leaves in Redis for everybody: key names, channels, and how values are written.

Database 0 (market data, at most 60 seconds old, may be evicted):

    price:{symbol}            string   last price:       ["43250.10", 1700000000000, "binance"]
    bar:{symbol}:{timeframe}  string   last closed bar:  a `ClosedBar`

Database 2 (never evicted):

    feed:watch                hash     who wants which symbol watched, see `watching`
    feed:bars                 stream   every closed bar, once, in the order in which bars became known
    feed:published            hash     {symbol}:{timeframe} -> open time of the newest bar in the stream

Channels (Redis has one space of them for all databases): `feed:prices` tells who changed, `feed:wanted` wakes the feed
when the watch set changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import orjson

LIVE_TTL = 60
"""Seconds that a price or a bar is kept after it was told."""

WATCH, BARS, PUBLISHED = "feed:watch", "feed:bars", "feed:published"
PRICES_CHANNEL, WANTED_CHANNEL = "feed:prices", "feed:wanted"


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
