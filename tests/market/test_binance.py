"""Candles from the exchange: closed ones only, checked, labelled, and never made up."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from crypto_mcp.errors import NotEnoughData, UnknownSymbol
from crypto_mcp.market.binance_klines import SETTLES_IN
from crypto_mcp.models.timeframes import Timeframe
from tests.market.binance_client import HOUR, KLINES, LISTING, TIME, client_of
from tests.sandbox_server import SandboxServer, running_sandbox

if TYPE_CHECKING:
    from crypto_mcp.market.binance import BinanceSpot
    from crypto_mcp.market.candles import CandleSource


@pytest.mark.parametrize("bars", [1, 100, 999, 1000, 1700])
async def test_exactly_the_newest_closed_bars_come_back(
    binance: CandleSource, sandbox: SandboxServer, bars: int
) -> None:
    market = await binance.candles("BTCUSDT", Timeframe.H1, bars)
    assert len(market.candles) == bars
    assert np.all(np.diff(market.candles.open_time) == HOUR)
    asked = market.observed_at.timestamp()
    assert market.candles.close_time[-1] <= (asked - SETTLES_IN) * 1000 < market.candles.close_time[-1] + HOUR
    rows = sandbox.get(KLINES, symbol="BTCUSDT", interval="1h", endTime=int(market.candles.open_time[-1])).json()
    assert float(rows[-1][4]) == market.candles.close[-1]


async def test_a_bar_that_closes_while_the_answer_travels_is_not_taken_for_closed() -> None:
    """The answer was made before the hour was over, with the bar half done, and arrives after it."""
    with running_sandbox() as sandbox:
        sandbox.clock.stop()
        sandbox.clock.ahead = HOUR - sandbox.clock() % HOUR - 300
        over = sandbox.clock() + 300
        async with client_of(sandbox) as source:
            sandbox.fault("latency", milliseconds=int(SETTLES_IN * 1000) + 600, path=KLINES, times=1)
            market = await source.candles("BTCUSDT", Timeframe.H1, 5)
            assert market.candles.close_time[-1] == over - HOUR
            sandbox.clock.ahead += 5000
            later = await source.candles("BTCUSDT", Timeframe.H1, 5)
            assert later.candles.close_time[-1] == over
            assert np.array_equal(later.candles.close[:-1], market.candles.close[1:])


async def test_the_source_is_what_answered_not_what_was_configured(binance: BinanceSpot) -> None:
    recorded = await binance.candles("BTCUSDT", Timeframe.H4, 10)
    generated = await binance.candles("SBX001USDT", Timeframe.H4, 10)
    assert recorded.source == generated.source == "sandbox"
    assert "recorded" in (recorded.note or "")
    assert "generated" in (generated.note or "")


async def test_whether_a_bar_is_closed_is_told_by_the_exchanges_clock(sandbox: SandboxServer) -> None:
    """A clock that is wrong by an hour must not turn the bar in progress into a closed one."""
    sandbox.fault("clock", milliseconds=-HOUR)
    async with client_of(sandbox) as source:
        market = await source.candles("BTCUSDT", Timeframe.H1, 5)
        assert market.candles.close_time[-1] <= sandbox.clock() - HOUR
        assert abs(market.observed_at.timestamp() * 1000 + HOUR - sandbox.clock()) < HOUR / 60


async def test_callers_at_the_same_time_share_what_they_all_need() -> None:
    with running_sandbox() as sandbox:
        async with client_of(sandbox) as source:
            asked = [source.candles(f"SBX{i:03d}USDT", Timeframe.H1, 10) for i in range(1, 31)]
            unknown = [source.candles(f"NOSUCH{i}", Timeframe.H1, 10) for i in range(10)]
            found = await asyncio.gather(*asked, *unknown, return_exceptions=True)
        assert [type(outcome).__name__ for outcome in found] == ["MarketCandles"] * 30 + ["UnknownSymbol"] * 10
        assert sandbox.requests(TIME) == 2
        assert sandbox.requests(LISTING) == 1


@pytest.mark.parametrize(
    ("written", "near"),
    [("BTCUSTD", "BTCUSDT"), ("BTTCUSDT", "BTCUSDT"), ("SOLUSDC", "SOLUSDT"), ("ETHEUR", "ETHUSDT")],
)
async def test_an_unknown_symbol_is_told_the_nearest_names(binance: BinanceSpot, written: str, near: str) -> None:
    with pytest.raises(UnknownSymbol) as caught:
        await binance.candles(written, Timeframe.H1, 10)
    assert caught.value.hint.startswith(f"Did you mean {near}")


async def test_a_symbol_is_unknown_also_when_the_list_cannot_be_read(
    binance: BinanceSpot, sandbox: SandboxServer
) -> None:
    sandbox.fault("truncated", path=LISTING)
    with pytest.raises(UnknownSymbol, match="NOSUCH"):
        await binance.candles("NOSUCH", Timeframe.H1, 10)


@pytest.mark.parametrize("timeframe", [Timeframe.M1, Timeframe.H1, Timeframe.W1])
async def test_a_halted_symbol_is_said_to_be_halted(binance: BinanceSpot, timeframe: Timeframe) -> None:
    with pytest.raises(UnknownSymbol, match="BREAK"):
        await binance.candles("SBX200USDT", timeframe, 10)


async def test_too_short_a_history_is_an_error_and_a_short_one_is_not(binance: BinanceSpot) -> None:
    with pytest.raises(NotEnoughData, match="closed bars of 1w, 100 are needed"):
        await binance.candles("BTCUSDT", Timeframe.W1, 500, least=100)
    assert 50 <= len((await binance.candles("BTCUSDT", Timeframe.W1, 500, least=50)).candles) <= 53


async def test_missing_bars_are_reported_and_never_filled(binance: BinanceSpot, sandbox: SandboxServer) -> None:
    sandbox.fault("missing_candle", path=KLINES)
    market = await binance.candles("BTCUSDT", Timeframe.H1, 10)
    assert "1 bar is missing at the exchange, at " in (market.note or "")
    assert sorted(set(np.diff(market.candles.open_time).tolist())) == [HOUR, 2 * HOUR]


async def test_the_list_of_symbols_is_read_once(binance: BinanceSpot, sandbox: SandboxServer) -> None:
    before = sandbox.requests(LISTING)
    for _ in range(3):
        with pytest.raises(UnknownSymbol):
            await binance.candles("NOSUCHUSDT", Timeframe.H1, 10)
    assert "BTCUSDT" in await binance.symbols()
    assert "SBX200USDT" not in await binance.symbols()
    assert sandbox.requests(LISTING) == before + 1


def test_the_client_is_light_to_import() -> None:
    seen = subprocess.run(
        [sys.executable, "-c", "import sys, crypto_mcp.market.binance; print('polars' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert seen.stdout.strip() == "False"
