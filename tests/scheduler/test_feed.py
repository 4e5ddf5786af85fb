"""The live feed: every closed bar exactly once, whatever happens to connections, events, Redis and leaders."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from crypto_mcp.jobs.connection import connect
from crypto_mcp.market.binance import BinanceSpot
from crypto_mcp.market.candle_archive import CandleArchive
from crypto_mcp.market.coverage import Span
from crypto_mcp.market.live import (
    PRICES_CHANNEL,
    ClosedBar,
    LastPrice,
    bar_key,
    decoded_moves,
    price_key,
)
from crypto_mcp.market.watching import forget, want
from crypto_mcp.stores.mongo import MongoStore
from tests.sandbox_server import SandboxServer, running_sandbox
from tests.scheduler.feeding import M1, MINUTE, assert_each_once, at_exchange, fed_by, feeding, told, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from redis.asyncio import Redis

    from crypto_mcp.local.redis_server import RedisServer
    from crypto_mcp.settings import Settings

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SBX050USDT"]


@pytest.fixture(scope="module")
def exchange() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.fixture
def sandbox(exchange: SandboxServer) -> SandboxServer:
    """In mid-minute and there it stays, so that no bar closes unless the test moves the clock."""
    exchange.mend()
    exchange.clock.stop()
    exchange.clock.ahead += (20_000 - exchange.clock()) % MINUTE
    return exchange


@pytest.fixture
async def queue(settings: Settings) -> AsyncIterator[Redis]:
    redis = connect(settings.redis.queue_url, settings.redis)
    await want(redis, "test", {symbol: [M1] for symbol in SYMBOLS})
    yield redis
    await redis.aclose()


def streams(sandbox: SandboxServer, what: str) -> int:
    return int(sandbox.get("/sandbox/state").json()["streams"].get(what, 0))


def current(sandbox: SandboxServer) -> int:
    """Open time of the minute in progress."""
    return sandbox.clock() // MINUTE * MINUTE


async def watching(queue: Redis, sandbox: SandboxServer) -> None:
    """Returns when the feed has told the newest minute of every symbol and hears the streams."""
    await assert_each_once(queue, sandbox, SYMBOLS, current(sandbox) - MINUTE)
    await until(lambda: streams(sandbox, "open"))


async def pass_minutes(queue: Redis, sandbox: SandboxServer, count: int) -> None:
    """One after the other, each told before the next."""
    for _ in range(count):
        sandbox.clock.ahead += MINUTE
        await assert_each_once(queue, sandbox, SYMBOLS, current(sandbox) - MINUTE)


async def test_prices_and_bars_are_told_and_kept_for_a_minute(
    settings: Settings, queue: Redis, sandbox: SandboxServer
) -> None:
    """Keys of db 0 with their TTL, moves on the channel, bars in the stream."""
    cache = connect(settings.redis.cache_url, settings.redis)
    async with feeding(fed_by(settings, sandbox)), queue.pubsub() as channel:
        await channel.subscribe(PRICES_CHANNEL)
        price = LastPrice.decoded(await until(lambda: cache.get(price_key("BTCUSDT"))))
        assert price.source == "sandbox"
        assert price.price == Decimal(sandbox.get("/api/v3/ticker/price", symbol="BTCUSDT").json()["price"]) or price.at
        assert 50 < await cache.ttl(price_key("BTCUSDT")) <= 60
        message = await until(lambda: channel.get_message(ignore_subscribe_messages=True, timeout=1))
        move = decoded_moves(message["data"])[0]
        assert move.symbol in SYMBOLS
        assert move.low <= move.price <= move.high
        await watching(queue, sandbox)
        sandbox.clock.ahead += MINUTE
        await assert_each_once(queue, sandbox, SYMBOLS, current(sandbox) - MINUTE)
        bar = ClosedBar.decoded(await until(lambda: cache.get(bar_key("ETHUSDT", M1))))
        assert bar == [b for b in await told(queue) if b.symbol == "ETHUSDT"][-1]
        assert 50 < await cache.ttl(bar_key("ETHUSDT", M1)) <= 60
    await cache.aclose()


async def test_a_minute_after_the_other_needs_no_request(
    settings: Settings, queue: Redis, sandbox: SandboxServer
) -> None:
    """Bars come by the stream; REST is asked once for each new series."""
    async with feeding(fed_by(settings, sandbox)):
        await watching(queue, sandbox)
        before = sandbox.requests("/api/v3/klines")
        for _ in range(3):
            sandbox.clock.ahead += MINUTE
            await until(lambda: _newest_is(queue, current(sandbox) - MINUTE))
        assert sandbox.requests("/api/v3/klines") == before
        assert await assert_each_once(queue, sandbox, SYMBOLS, current(sandbox) - MINUTE) == 4 * len(SYMBOLS)


async def _newest_is(queue: Redis, time: int) -> bool:
    newest = {bar.symbol: bar.open_time for bar in await told(queue)}
    return all(newest[symbol] == time for symbol in SYMBOLS)


@pytest.mark.parametrize("fault", ["repeated_close", "missing_close", "out_of_order"])
async def test_events_may_come_twice_never_or_in_another_order(
    settings: Settings, queue: Redis, sandbox: SandboxServer, fault: str
) -> None:
    """Each bar is told once all the same."""
    async with feeding(fed_by(settings, sandbox)):
        await watching(queue, sandbox)
        sandbox.fault(fault, probability=0.5)
        await pass_minutes(queue, sandbox, 3)


async def test_a_cut_stream_is_opened_again_and_the_gap_filled(
    settings: Settings, queue: Redis, sandbox: SandboxServer
) -> None:
    """Bars that closed while there was no connection are there afterwards."""
    async with feeding(fed_by(settings, sandbox)):
        await watching(queue, sandbox)
        opened = streams(sandbox, "opened")
        sandbox.fault("cut", path="/stream", times=2)
        await until(lambda: streams(sandbox, "cut") >= 1)
        sandbox.clock.ahead += 5 * MINUTE
        await assert_each_once(queue, sandbox, SYMBOLS, current(sandbox) - MINUTE)
        assert streams(sandbox, "opened") > opened


async def test_a_silent_stream_is_taken_for_dead(settings: Settings, queue: Redis, sandbox: SandboxServer) -> None:
    """It is open, pings are answered, and nothing is said: a new one is opened."""
    async with feeding(fed_by(settings, sandbox)):
        await watching(queue, sandbox)
        opened = streams(sandbox, "opened")
        sandbox.fault("silent")
        sandbox.clock.ahead += 3 * MINUTE
        await until(lambda: streams(sandbox, "opened") > opened)
        sandbox.mend()
        await assert_each_once(queue, sandbox, SYMBOLS, current(sandbox) - MINUTE)


@pytest.mark.parametrize("why", ["life", "shutdown"])
async def test_a_connection_is_changed_for_a_new_one_without_a_gap(
    settings: Settings, queue: Redis, sandbox: SandboxServer, why: str
) -> None:
    """Before its life is over, or when the exchange foretells the end: both are open for a moment."""
    life = {"stream_life": 1.0} if why == "life" else {}
    async with feeding(fed_by(settings, sandbox, **life)):
        await watching(queue, sandbox)
        opened, requests = streams(sandbox, "opened"), sandbox.requests("/api/v3/klines")
        if why == "shutdown":
            sandbox.fault("shutdown", times=1)
        await until(lambda: streams(sandbox, "opened") > opened)
        await until(lambda: streams(sandbox, "open") == 1)
        sandbox.clock.ahead += MINUTE
        await until(lambda: _newest_is(queue, current(sandbox) - MINUTE))
        assert sandbox.requests("/api/v3/klines") == requests
        await assert_each_once(queue, sandbox, SYMBOLS, current(sandbox) - MINUTE)


async def test_subscriptions_follow_the_watch_set(settings: Settings, queue: Redis, sandbox: SandboxServer) -> None:
    """What is wanted later is watched on the open connection; what nobody wants any more is not."""
    async with feeding(fed_by(settings, sandbox)):
        await watching(queue, sandbox)
        opened = streams(sandbox, "opened")
        await want(queue, "later", {"SOLUSDT": [M1]})
        await until(lambda: _has(queue, "SOLUSDT"))
        await forget(queue, "test")
        await until(lambda: _only_one_goes_on(queue, sandbox, "SOLUSDT"))
        assert streams(sandbox, "opened") == opened


async def _has(queue: Redis, symbol: str) -> bool:
    return any(bar.symbol == symbol for bar in await told(queue))


async def _only_one_goes_on(queue: Redis, sandbox: SandboxServer, symbol: str) -> bool:
    """A minute passes; whether it was told of that symbol alone."""
    sandbox.clock.ahead += MINUTE
    time = current(sandbox) - MINUTE
    await until(lambda: _told_at(queue, time))
    return await _told_at(queue, time) == {symbol}


async def _told_at(queue: Redis, time: int) -> set[str]:
    return {bar.symbol for bar in await told(queue) if bar.open_time == time}


async def test_redis_may_end_and_come_back(
    settings: Settings, queue: Redis, sandbox: SandboxServer, redis_server: RedisServer
) -> None:
    """Bars that closed while it was away are told when it is back."""
    async with feeding(fed_by(settings, sandbox)):
        await watching(queue, sandbox)
        await redis_server.restart()
        sandbox.clock.ahead += 2 * MINUTE
        await assert_each_once(queue, sandbox, SYMBOLS, current(sandbox) - MINUTE)


async def test_of_two_one_feeds_and_the_other_takes_over(
    settings: Settings, queue: Redis, sandbox: SandboxServer
) -> None:
    """The standby opens no stream; after the change of leader no bar is missing or told twice."""
    ours = fed_by(settings, sandbox)
    async with feeding(ours) as first:
        await watching(queue, sandbox)
        async with feeding(ours) as second:
            await asyncio.sleep(0)
            assert streams(sandbox, "open") == 1
            assert first.leadership.leading
            first.leadership.key = "leader:nobody"  # it does not know that it is replaced
            sandbox.clock.ahead += MINUTE
            await until(lambda: second.leadership.leading)
            sandbox.clock.ahead += MINUTE
            await assert_each_once(queue, sandbox, SYMBOLS, current(sandbox) - MINUTE)


async def test_closed_bars_are_in_the_archive_exactly_once(
    settings: Settings, queue: Redis, sandbox: SandboxServer, mongo_database: object
) -> None:
    """Also those that closed while the stream was cut, and those of a time when MongoDB was forgotten half-way."""
    ours = fed_by(settings, sandbox)
    market, mongo = BinanceSpot(ours.market), MongoStore(ours.mongo)
    archive = CandleArchive(mongo.candles, market)
    async with feeding(ours):
        await watching(queue, sandbox)
        first = (await told(queue))[0].open_time
        await pass_minutes(queue, sandbox, 2)
        await queue.delete("feed:archived")  # as if the note of what is archived had been lost
        sandbox.fault("cut", path="/stream", times=1)
        sandbox.clock.ahead += 3 * MINUTE
        last = current(sandbox) - MINUTE
        await assert_each_once(queue, sandbox, SYMBOLS, last)
        for symbol in SYMBOLS:
            kept = await until(lambda symbol=symbol: _archived(archive, symbol, first, last))
            assert kept == at_exchange(sandbox, symbol, first, last)
    await market.close()
    await mongo.close()


async def _archived(archive: CandleArchive, symbol: str, first: int, last: int) -> list[ClosedBar]:
    candles = (await archive.read(symbol, M1, Span(first, last + MINUTE))).candles
    bars = ClosedBar.each_of(symbol, M1, candles, "sandbox")
    return bars if bars and bars[-1].open_time == last else []
