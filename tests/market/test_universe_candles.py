"""The newest bars of many symbols: fetched once for all workers, caught up with when a bar has closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

import pytest

from crypto_mcp.errors import SourceUnavailable
from crypto_mcp.jobs.connection import connect
from crypto_mcp.market.universe_candles import UniverseCandles
from crypto_mcp.models.candles import COLUMNS
from crypto_mcp.models.timeframes import Timeframe
from tests.market.binance_client import HOUR, KLINES, client_of
from tests.sandbox_server import running_sandbox

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from crypto_mcp.market.binance import BinanceSpot
    from crypto_mcp.market.candle_archive import CandleArchive
    from crypto_mcp.models.candles import Candles
    from crypto_mcp.settings import Settings
    from tests.sandbox_server import SandboxServer

SYMBOLS = ["BTCUSDT", *(f"SBX{number:03d}USDT" for number in range(1, 12))]
H1 = Timeframe.H1


@pytest.fixture
async def cache(settings: Settings) -> AsyncIterator[Redis]:
    redis = connect(settings.redis.cache_url, settings.redis)
    yield redis
    await redis.aclose()


def same(one: Candles, other: Candles) -> bool:
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in COLUMNS)


async def test_workers_that_want_the_universe_at_once_fetch_it_once(
    binance: BinanceSpot, sandbox: SandboxServer, cache: Redis
) -> None:
    before = sandbox.requests(KLINES)
    workers = [UniverseCandles(binance, cache) for _ in range(4)]
    found = await asyncio.gather(*(worker.newest(SYMBOLS, H1, 120) for worker in workers))
    assert sandbox.requests(KLINES) - before == len(SYMBOLS)
    alone = await binance.candles("SBX005USDT", H1, 120)
    for universe in found:
        assert sorted(universe.candles) == sorted(SYMBOLS)
        assert same(universe.candles["SBX005USDT"], alone.candles)
    key = f"universe:{await binance.venue()}:1h"
    assert 0 < await cache.ttl(key) <= 60
    assert not await cache.exists(f"{key}:busy")
    again = sandbox.requests(KLINES)
    await workers[0].newest(SYMBOLS, H1, 100)
    assert sandbox.requests(KLINES) == again
    await workers[1].newest([*SYMBOLS, "SBX020USDT"], H1, 120)
    assert sandbox.requests(KLINES) == again + 1


async def test_when_a_bar_has_closed_no_more_than_what_is_new_is_asked_for() -> None:
    with running_sandbox() as sandbox:
        sandbox.clock.stop()
        async with client_of(sandbox) as source:
            universe = UniverseCandles(source)
            first = await universe.newest(SYMBOLS[:3], H1, 100)
            sandbox.clock.ahead += 2 * HOUR
        async with client_of(sandbox) as source:  # a client measures the exchange's clock once in ten minutes
            universe._source = source
            later = await universe.newest(SYMBOLS[:3], H1, 100)
            assert later.close == first.close + 2 * HOUR
            for symbol in SYMBOLS[:3]:
                assert same(later.candles[symbol], (await source.candles(symbol, H1, 100)).candles)
                assert same(later.candles[symbol][:98], first.candles[symbol][2:])


async def test_a_symbol_that_does_not_trade_is_absent_with_the_reason(binance: BinanceSpot) -> None:
    universe = await UniverseCandles(binance).newest(["BTCUSDT", "SBX200USDT"], H1, 50)
    assert list(universe.candles) == ["BTCUSDT"]
    assert universe.absent == {"SBX200USDT": "not traded at present"}


async def test_a_symbol_that_ends_between_listing_and_candles_is_left_out_alone(
    binance: BinanceSpot, sandbox: SandboxServer
) -> None:
    await binance.symbols()
    sandbox.fault("delisted", symbol="SBX003USDT")
    universe = await UniverseCandles(binance).newest(SYMBOLS[:5], Timeframe.H6, 50)
    assert universe.absent == {"SBX003USDT": "not traded at present"}
    assert sorted(universe.candles) == sorted(set(SYMBOLS[:5]) - {"SBX003USDT"})


async def test_an_exchange_that_is_away_is_an_error_not_an_empty_market(sandbox: SandboxServer) -> None:
    async with client_of(sandbox, attempts=1) as source:
        await source.venue()
        await source.now()
        sandbox.fault("status", status=503, path=KLINES)
        with pytest.raises(SourceUnavailable):
            await UniverseCandles(source).newest(SYMBOLS, H1, 50)


async def test_a_symbol_whose_bars_cannot_be_is_left_out_with_the_reason_and_asked_for_again(
    binance: BinanceSpot, sandbox: SandboxServer
) -> None:
    await binance.venue()
    universes = UniverseCandles(binance)
    sandbox.fault("impossible_candle", path=KLINES, times=1)
    found = await universes.newest(SYMBOLS[:4], Timeframe.H2, 50)
    assert list(found.failed.values()) == ["the exchange answered with data that cannot be"]
    assert len(found.candles) == 3
    found = await universes.newest(SYMBOLS[:4], Timeframe.H2, 50)
    assert (found.failed, len(found.candles)) == ({}, 4)


class Learner:
    """An archive that has nothing, and notes what it was told and whether anybody was waiting for bars then."""

    def __init__(self) -> None:
        self.universe: UniverseCandles | None = None
        self.told: list[tuple[str, bool]] = []

    async def read_many(self, *_: object) -> dict[str, object]:
        return {}

    async def learn(self, symbol: str, *_: object) -> None:
        assert self.universe is not None
        self.told.append((symbol, any(lock.locked() for lock in self.universe._locks.values())))


async def test_the_archive_learns_when_nobody_waits_for_bars(binance: BinanceSpot, sandbox: SandboxServer) -> None:
    archive = Learner()
    universe = archive.universe = UniverseCandles(binance, None, cast("CandleArchive", archive))
    await universe.newest(SYMBOLS[:6], Timeframe.H1, 50)
    sandbox.fault("latency", milliseconds=100, path=KLINES)
    await universe.newest(SYMBOLS[:9], Timeframe.H4, 50)
    assert len(archive.told) < 6
    async with asyncio.timeout(20):
        while len(archive.told) < 6:
            await asyncio.sleep(0.02)
    assert not any(waited for _, waited in archive.told)
    await universe.close()
