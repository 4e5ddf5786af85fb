"""Closed bars by number and by time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from crypto_mcp.errors import InvalidRequest, NotEnoughData, UnknownSymbol
from crypto_mcp.market.candle_archive import Archived
from crypto_mcp.market.candle_month import no_candles
from crypto_mcp.market.candle_reader import CandleReader
from crypto_mcp.models.timeframes import Timeframe
from tests.market.binance_client import HOUR, KLINES

if TYPE_CHECKING:
    from crypto_mcp.market.binance import BinanceSpot
    from crypto_mcp.market.candle_archive import CandleArchive
    from tests.sandbox_server import SandboxServer


async def test_a_range_holds_each_closed_bar_once(binance: BinanceSpot, sandbox: SandboxServer) -> None:
    """More than two pages, from a start that is no full hour."""
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(hours=2500, minutes=30)
    market = await CandleReader(binance).between("BTCUSDT", Timeframe.H1, start, end)
    assert market.candles.open_time[0] == (end - timedelta(hours=2500)).timestamp() * 1000
    assert market.candles.open_time[-1] + HOUR <= end.timestamp() * 1000
    assert np.all(np.diff(market.candles.open_time) == HOUR)
    rows = sandbox.get(KLINES, symbol="BTCUSDT", interval="1h", startTime=int(market.candles.open_time[1700]), limit=1)
    assert float(rows.json()[0][4]) == market.candles.close[1700]


async def test_the_bar_in_progress_is_in_no_range(binance: BinanceSpot) -> None:
    now = datetime.now(UTC)
    market = await CandleReader(binance).between(
        "BTCUSDT", Timeframe.H1, now - timedelta(hours=5), now + timedelta(days=1)
    )
    assert market.candles.close_time[-1] <= market.observed_at.timestamp() * 1000


async def test_a_range_from_before_the_listing_begins_with_the_first_bar(
    binance: BinanceSpot, sandbox: SandboxServer
) -> None:
    before = sandbox.requests(KLINES)
    market = await CandleReader(binance).between(
        "SBX001USDT", Timeframe.D1, datetime(1990, 1, 1, tzinfo=UTC), datetime(2021, 3, 1, tzinfo=UTC)
    )
    assert datetime.fromtimestamp(int(market.candles.open_time[0]) / 1000, UTC) == datetime(2021, 1, 1, tzinfo=UTC)
    assert len(market.candles) == 59
    assert sandbox.requests(KLINES) - before == 2


async def test_a_range_that_cannot_be_is_refused(binance: BinanceSpot) -> None:
    candles, day = CandleReader(binance), datetime(2022, 1, 1, tzinfo=UTC)
    with pytest.raises(InvalidRequest, match="not later"):
        await candles.between("BTCUSDT", Timeframe.H1, day, day)
    with pytest.raises(InvalidRequest, match="zone"):
        await candles.between("BTCUSDT", Timeframe.H1, datetime(2021, 1, 1), day)  # noqa: DTZ001 - the mistake
    with pytest.raises(NotEnoughData):
        await candles.between("SBX001USDT", Timeframe.H1, datetime(1990, 1, 1, tzinfo=UTC), day.replace(year=1991))
    with pytest.raises(UnknownSymbol):
        await candles.between("NOSUCHUSDT", Timeframe.H1, day, day + timedelta(days=1))


class SlowLearner:
    """An archive that has nothing and takes its time to learn; how many series it learned, and at most at once."""

    def __init__(self) -> None:
        self.learned = self.at_once = self.now = 0

    async def read(self, *_: object) -> Archived:
        return Archived(no_candles(Timeframe.D1), [], [], ())

    async def learn(self, *_: object) -> None:
        self.now += 1
        self.at_once = max(self.at_once, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        self.learned += 1


async def test_what_many_asked_for_is_learned_one_series_at_a_time(binance: BinanceSpot) -> None:
    """And all of it before the reader is closed."""
    archive = SlowLearner()
    reader = CandleReader(binance, None, cast("CandleArchive", archive))
    await asyncio.gather(*(reader.newest(f"SBX{number:03d}USDT", Timeframe.D1, 50) for number in range(1, 9)))
    await reader.close()
    assert (archive.learned, archive.at_once) == (8, 1)
