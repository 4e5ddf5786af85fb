"""The archive: bars come back bit by bit, writers do not undo each other, and what is known is not asked again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_mcp.errors import SourceUnavailable
from crypto_mcp.market.candle_archive import CandleArchive, NamedVenue
from crypto_mcp.market.candle_codec import DamagedCandles, pack, unpack
from crypto_mcp.market.candle_month import Known
from crypto_mcp.market.candle_reader import CandleReader
from crypto_mcp.market.coverage import Span, joined, months, without
from crypto_mcp.market.recent_candles import RecentCandles
from crypto_mcp.models.candles import COLUMNS, Candles
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.stores.mongo import MongoStore
from tests.market.bars import MARCH, bars, same
from tests.market.binance_client import HOUR, KLINES, client_of

if TYPE_CHECKING:
    from pymongo.asynchronous.database import AsyncDatabase
    from redis.asyncio import Redis

    from crypto_mcp.market.binance import BinanceSpot
    from crypto_mcp.settings import Settings
    from tests.sandbox_server import SandboxServer

H1 = Timeframe.H1


def known(candles: Candles, observed_at: int = 1) -> Known:
    return Known(Span(int(candles.open_time[0]), int(candles.close_time[-1])), candles, None, observed_at)


@pytest.fixture
async def mongo(settings: Settings, mongo_database: AsyncDatabase[dict[str, Any]]) -> AsyncIterator[MongoStore]:
    store = MongoStore(settings.mongo)
    yield store
    await store.close()


@pytest.fixture
def archive(mongo: MongoStore) -> CandleArchive:
    return CandleArchive(mongo.candles, NamedVenue("binance"))


numbers = st.one_of(
    st.integers(1, 10**9).map(lambda n: n / 100),
    st.floats(1e-12, 1e15, allow_nan=False),
    st.floats(allow_nan=False, allow_infinity=False),
)


@given(st.lists(st.tuples(st.integers(1, 10**6), *[numbers] * 5), max_size=60), st.sampled_from([1, 12]))
def test_packed_bars_come_back_bit_by_bit(rows: list[tuple[float, ...]], level: int) -> None:
    """Whatever the numbers: on a grid of ticks, on none, negative zero, huge, tiny."""
    times = np.cumsum([int(row[0]) for row in rows], dtype=np.int64) * 1000
    columns = [np.array([row[i] for row in rows], dtype=np.float64) for i in range(1, 6)]
    candles = Candles(times, *columns, HOUR)
    assert same(unpack(pack(candles, level), HOUR), candles)


def test_bars_on_a_grid_take_few_bytes() -> None:
    assert len(pack(bars(744))) / 744 < 12


@given(st.binary(max_size=200))
def test_what_was_not_packed_is_refused(noise: bytes) -> None:
    with pytest.raises(DamagedCandles):
        unpack(noise, HOUR)
    packed = pack(bars(50))
    at = len(noise) % (len(packed) - 11) + 10
    with pytest.raises(DamagedCandles):
        unpack(packed[:at] + bytes([packed[at] ^ 0x55]) + packed[at + 1 :], HOUR)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=8),
    st.tuples(st.integers(0, 50), st.integers(0, 50)),
)
def test_spans_add_and_subtract_like_the_sets_they_are(parts: list[tuple[int, int]], whole: tuple[int, int]) -> None:
    spans = [Span(*part) for part in parts]
    as_set = {time for span in spans for time in range(*span)}
    together = joined(spans)
    assert {time for span in together for time in range(*span)} == as_set
    assert all(one.end < other.start for one, other in pairwise(together))
    left = without(Span(*whole), together)
    assert {time for span in left for time in range(*span)} == set(range(*whole)) - as_set


async def test_what_was_learned_is_read_back_over_the_ends_of_months(
    archive: CandleArchive, mongo_database: AsyncDatabase[dict[str, Any]]
) -> None:
    candles = bars(2000)
    await archive.learn("BTCUSDT", H1, known(candles))
    found = await archive.read("BTCUSDT", H1, Span(MARCH, MARCH + 2000 * HOUR))
    assert same(found.candles, candles)
    assert found.covered == [Span(MARCH, MARCH + 2000 * HOUR)]
    part = await archive.read("BTCUSDT", H1, Span(MARCH + 700 * HOUR, MARCH + 800 * HOUR))
    assert same(part.candles, candles[700:800])
    names = [document["_id"] async for document in mongo_database["candles"].find()]
    assert sorted(names) == [f"binance/BTCUSDT/1h/2024-0{month}" for month in (3, 4, 5)]
    sizes = (await archive.status("BTCUSDT"))[0]
    assert sizes["bars"] == 2000
    assert sizes["bytes"] / sizes["bars"] < 25


async def test_bars_of_another_venue_symbol_or_timeframe_are_not_found(
    archive: CandleArchive, mongo: MongoStore
) -> None:
    await archive.learn("BTCUSDT", H1, known(bars(10)))
    elsewhere = CandleArchive(mongo.candles, NamedVenue("sandbox-1"))
    span = Span(MARCH, MARCH + 10 * HOUR)
    for place, symbol, timeframe in (
        (elsewhere, "BTCUSDT", H1), (archive, "ETHUSDT", H1), (archive, "BTCUSDT", Timeframe.H2)
    ):  # fmt: skip
        found = await place.read(symbol, timeframe, span)
        assert not len(found.candles)
        assert found.covered == []


async def test_a_hole_is_kept_as_a_fact_with_its_reason(archive: CandleArchive) -> None:
    candles = bars(10)
    gap = Candles(*(np.delete(getattr(candles, name), [4, 5]) for name in COLUMNS), HOUR)
    await archive.learn("BTCUSDT", H1, Known(Span(MARCH, MARCH + 12 * HOUR), gap, None, 1, why="halted"))
    found = await archive.read("BTCUSDT", H1, Span(MARCH, MARCH + 12 * HOUR))
    assert found.covered == [Span(MARCH, MARCH + 12 * HOUR)]
    assert [(hole.start, hole.end, hole.why) for hole in found.holes] == [
        (MARCH + 4 * HOUR, MARCH + 6 * HOUR, "missing at the exchange"),
        (MARCH + 10 * HOUR, MARCH + 12 * HOUR, "halted"),
    ]


async def test_a_correction_replaces_and_an_older_answer_does_not(archive: CandleArchive) -> None:
    first, corrected = bars(100), bars(100, seed=2)
    await archive.learn("BTCUSDT", H1, known(first, observed_at=10))
    await archive.learn("BTCUSDT", H1, known(corrected, observed_at=20))
    await archive.learn("BTCUSDT", H1, known(bars(120, seed=3), observed_at=15))
    found = await archive.read("BTCUSDT", H1, Span(MARCH, MARCH + 120 * HOUR))
    assert same(found.candles[:100], corrected)
    assert same(found.candles[100:], bars(120, seed=3)[100:])


async def test_appended_bars_are_there_once_however_often_and_in_whatever_order(archive: CandleArchive) -> None:
    """A feed that was cut brings bars again, late, and over the end of a month."""
    start = MARCH + 700 * HOUR
    candles = bars(120, start)
    for i in [*range(20), *range(10), 30, 24, *range(20, 120, 2), *range(119, 20, -1)]:
        await archive.append("BTCUSDT", H1, candles[i : i + 1])
    await archive.append("BTCUSDT", H1, candles)
    found = await archive.read("BTCUSDT", H1, Span(start, start + 120 * HOUR))
    assert same(found.candles, candles)
    assert found.covered == [Span(start, start + 120 * HOUR)]
    assert (await archive.status())[0]["bars"] == 120


async def test_a_bar_that_comes_with_other_figures_is_asked_for_again(archive: CandleArchive) -> None:
    candles, other = bars(10), bars(10, seed=2)
    await archive.append("BTCUSDT", H1, candles)
    await archive.append("BTCUSDT", H1, other[4:5])
    found = await archive.read("BTCUSDT", H1, Span(MARCH, MARCH + 10 * HOUR))
    assert without(Span(MARCH, MARCH + 10 * HOUR), found.covered) == [Span(MARCH + 4 * HOUR, MARCH + 5 * HOUR)]
    assert len(found.candles) == 9


async def test_writers_at_the_same_time_lose_nothing_of_each_other(mongo: MongoStore) -> None:
    """Twelve writers, each with bars of its own, some appended, some learned."""
    candles = bars(240)
    archives = [CandleArchive(mongo.candles, NamedVenue("binance")) for _ in range(12)]

    async def write(archive: CandleArchive, part: int) -> None:
        for i in range(part * 20, part * 20 + 20, 5):
            if part % 2:
                await archive.append("BTCUSDT", H1, candles[i : i + 5])
            else:
                await archive.learn("BTCUSDT", H1, known(candles[i : i + 5]))

    await asyncio.gather(*(write(archive, part) for part, archive in enumerate(archives)))
    found = await archives[0].read("BTCUSDT", H1, Span(MARCH, MARCH + 240 * HOUR))
    assert same(found.candles, candles)


async def test_a_damaged_month_counts_as_unknown_and_is_replaced(
    archive: CandleArchive, mongo_database: AsyncDatabase[dict[str, Any]]
) -> None:
    candles = bars(1000)
    await archive.learn("BTCUSDT", H1, known(candles))
    document = await mongo_database["candles"].find_one({"month": "2024-03"})
    assert document is not None
    spoilt = document["data"][:-1] + bytes([document["data"][-1] ^ 1])
    await mongo_database["candles"].update_one({"_id": document["_id"]}, {"$set": {"data": spoilt}})
    found = await archive.read("BTCUSDT", H1, Span(MARCH, MARCH + 1000 * HOUR))
    assert without(Span(MARCH, MARCH + 1000 * HOUR), found.covered) == [months(Span(MARCH, MARCH + 1))[0]]
    await archive.learn("BTCUSDT", H1, known(candles))
    again = await archive.read("BTCUSDT", H1, Span(MARCH, MARCH + 1000 * HOUR))
    assert same(again.candles, candles)


@pytest.fixture
async def cache(settings: Settings) -> AsyncIterator[Redis]:
    from crypto_mcp.jobs.connection import connect

    redis = connect(settings.redis.cache_url, settings.redis)
    yield redis
    await redis.aclose()


async def test_a_range_that_was_read_is_not_asked_for_again(
    binance: BinanceSpot, sandbox: SandboxServer, mongo: MongoStore
) -> None:
    """Not by another worker either, nor a part of it; a longer one asks for what is missing only."""
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(hours=2000)
    reader = CandleReader(binance, archive=CandleArchive(mongo.candles, binance))
    first = await reader.between("BTCUSDT", H1, start, end)
    asked = sandbox.requests(KLINES)
    other = CandleReader(binance, archive=CandleArchive(mongo.candles, binance))
    for candles in (reader, other):
        again = await candles.between("BTCUSDT", H1, start, end)
        assert same(again.candles, first.candles)
        assert again.note == first.note
        assert again.source == "sandbox"
        part = await candles.between("BTCUSDT", H1, start + timedelta(hours=100), end - timedelta(hours=5))
        assert same(part.candles, first.candles[100:-5])
    assert sandbox.requests(KLINES) == asked
    longer = await other.between("BTCUSDT", H1, start - timedelta(hours=10), end)
    assert same(longer.candles[10:], first.candles)
    assert sandbox.requests(KLINES) == asked + 2


async def test_a_halted_symbol_is_asked_for_once(
    binance: BinanceSpot, sandbox: SandboxServer, mongo: MongoStore
) -> None:
    archive = CandleArchive(mongo.candles, binance)
    start, end = datetime(2026, 5, 20, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC)
    first = await CandleReader(binance, archive=archive).between("SBX200USDT", H1, start, end)
    assert first.candles.close_time[-1] == datetime(2026, 6, 1, tzinfo=UTC).timestamp() * 1000
    asked = sandbox.requests(KLINES)
    again = await CandleReader(binance, archive=archive).between("SBX200USDT", H1, start, end)
    assert same(again.candles, first.candles)
    assert sandbox.requests(KLINES) == asked
    assert (await archive.holes("SBX200USDT", H1))[0]["holes"]


async def test_the_newest_bars_come_from_memory_then_redis_then_the_archive(
    binance: BinanceSpot, sandbox: SandboxServer, mongo: MongoStore, cache: Redis
) -> None:
    archive = CandleArchive(mongo.candles, binance)
    reader = CandleReader(binance, RecentCandles(cache), archive)
    first = await reader.newest("ETHUSDT", H1, 300)
    await reader.close()
    asked = sandbox.requests(KLINES)
    assert same((await reader.newest("ETHUSDT", H1, 200)).candles, first.candles[-200:])
    key = f"candles:{await binance.venue()}:ETHUSDT:1h"
    assert 0 < await cache.ttl(key) <= 60
    kept = await CandleReader(binance, RecentCandles(cache)).newest("ETHUSDT", H1, 300)
    assert same(kept.candles, first.candles)
    assert kept.note == first.note
    await cache.delete(key)
    kept = await CandleReader(binance, RecentCandles(cache), archive).newest("ETHUSDT", H1, 300)
    assert same(kept.candles, first.candles)
    assert kept.note == first.note
    assert sandbox.requests(KLINES) == asked


async def test_a_store_that_is_away_is_passed_over(binance: BinanceSpot, settings: Settings, cache: Redis) -> None:
    away = settings.mongo.model_copy(update={"url": "mongodb://127.0.0.1:1/", "timeout": 0.1})
    store = MongoStore(type(settings.mongo).model_validate(away.model_dump()))
    reader = CandleReader(binance, RecentCandles(cache), CandleArchive(store.candles, binance))
    end = datetime.now(UTC)
    assert len((await reader.between("BTCUSDT", H1, end - timedelta(days=3), end)).candles) >= 71
    assert len((await reader.newest("BTCUSDT", H1, 100)).candles) == 100
    await store.close()


async def test_a_worker_that_starts_while_the_exchange_is_away_reads_what_is_known(
    binance: BinanceSpot, sandbox: SandboxServer, mongo: MongoStore
) -> None:
    """It has never heard the exchange's time; that a bar is in the archive says that it has closed."""
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    start = end - timedelta(hours=150)
    first = await CandleReader(binance, archive=CandleArchive(mongo.candles, binance)).between(
        "ETHUSDT", H1, start, end
    )
    async with client_of(sandbox) as other:
        await other.venue()
        sandbox.fault("status", status=503)
        reader = CandleReader(other, archive=CandleArchive(mongo.candles, other))
        assert same((await reader.between("ETHUSDT", H1, start, end)).candles, first.candles)
        hour = timedelta(hours=1)
        for beside in ((start - hour, end), (start, end + hour)):  # nothing is made up at either end
            with pytest.raises(SourceUnavailable) as raised:
                await reader.between("ETHUSDT", H1, *beside)
            assert "The archive has 150 bars of it" in raised.value.hint


async def test_an_exchange_that_is_away_is_told_with_what_is_known(
    binance: BinanceSpot, sandbox: SandboxServer, mongo: MongoStore
) -> None:
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=10)
    reader = CandleReader(binance, archive=CandleArchive(mongo.candles, binance))
    await reader.between("BTCUSDT", H1, end - timedelta(hours=100), end)
    sandbox.fault("status", status=503, path=KLINES)
    with pytest.raises(SourceUnavailable) as raised:
        await reader.between("BTCUSDT", H1, end - timedelta(hours=200), end)
    assert "The archive has 100 bars of it" in raised.value.hint
