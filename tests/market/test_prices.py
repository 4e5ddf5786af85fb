"""Last prices."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from crypto_mcp.errors import SourceUnavailable
from crypto_mcp.jobs.connection import connect
from crypto_mcp.market.live import LastPrice, price_key
from crypto_mcp.market.prices import Prices

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

    from crypto_mcp.local.redis_server import RedisServer
    from crypto_mcp.market.binance import BinanceSpot
    from crypto_mcp.settings import Settings
    from tests.sandbox_server import SandboxServer

TICKERS = "/api/v3/ticker/price"
TOLD = LastPrice(Decimal("43250.10"), datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC), "binance")


@pytest.fixture
async def cache(settings: Settings) -> AsyncIterator[Redis]:
    redis = connect(settings.redis.cache_url, settings.redis)
    yield redis
    await redis.aclose()


async def test_what_the_feed_told_needs_no_request(cache: Redis, binance: BinanceSpot, sandbox: SandboxServer) -> None:
    """A price in Redis comes back digit by digit, with its time and source."""
    await cache.set(price_key("BTCUSDT"), TOLD.encoded())
    before = sandbox.requests(TICKERS)
    assert await Prices(cache, binance).last(["BTCUSDT"]) == {"BTCUSDT": TOLD}
    assert sandbox.requests(TICKERS) == before


async def test_the_rest_is_asked_for_once_for_all(cache: Redis, binance: BinanceSpot, sandbox: SandboxServer) -> None:
    """Ten callers at once for symbols the feed does not watch make one request; unknown symbols are absent."""
    await cache.set(price_key("BTCUSDT"), TOLD.encoded())
    prices, before = Prices(cache, binance), sandbox.requests(TICKERS)
    answers = await asyncio.gather(*(prices.last(["BTCUSDT", "SBX001USDT", "NOSUCHUSDT"]) for _ in range(10)))
    assert sandbox.requests(TICKERS) == before + 1
    for answer in answers:
        assert answer.keys() == {"BTCUSDT", "SBX001USDT"}
        assert answer["BTCUSDT"] == TOLD
        assert answer["SBX001USDT"].source == "sandbox"
        assert answer["SBX001USDT"].price > 0


async def test_an_exchange_that_is_away_hides_no_price_that_is_known(
    cache: Redis, binance: BinanceSpot, sandbox: SandboxServer
) -> None:
    """With the exchange down the known prices are told; if none is known the error says so."""
    await cache.set(price_key("BTCUSDT"), TOLD.encoded())
    sandbox.fault("status", status=503)
    prices = Prices(cache, binance)
    assert (await prices.last(["BTCUSDT", "ETHUSDT"])).keys() == {"BTCUSDT"}
    with pytest.raises(SourceUnavailable):
        await prices.last(["ETHUSDT"])


async def test_without_redis_the_exchange_is_asked(
    cache: Redis, binance: BinanceSpot, redis_server: RedisServer
) -> None:
    """A Redis that is away is a miss, not an error."""
    await redis_server.kill()
    assert (await Prices(cache, binance).last(["BTCUSDT"]))["BTCUSDT"].source == "sandbox"


async def test_a_price_that_cannot_be_is_refused(cache: Redis, binance: BinanceSpot, sandbox: SandboxServer) -> None:
    """Wrong types make an error, never a price."""
    sandbox.fault("wrong_types")
    with pytest.raises(SourceUnavailable, match="cannot be"):
        await Prices(cache, binance).last(["BTCUSDT"])
