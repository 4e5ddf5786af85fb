"""Candles from the exchange: closed ones only, checked, labelled, and never made up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest

from crypto_mcp.errors import NotEnoughData, SourceUnavailable, UnknownSymbol
from crypto_mcp.market.binance import BadSourceData, BinanceSpot
from crypto_mcp.market.binance_http import SourceRefuses
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.settings import MarketSettings
from tests.sandbox_server import SandboxServer, running_sandbox

HOUR = 3_600_000
KLINES = "/api/v3/klines"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.fixture
async def binance(sandbox: SandboxServer) -> AsyncIterator[BinanceSpot]:
    source = BinanceSpot(MarketSettings(binance_url=sandbox.url))
    yield source
    await source.close()
    sandbox.mend()


@pytest.mark.parametrize("bars", [1, 100, 999, 1000, 1700])
async def test_exactly_the_newest_closed_bars_come_back(
    binance: BinanceSpot, sandbox: SandboxServer, bars: int
) -> None:
    market = await binance.candles("BTCUSDT", Timeframe.H1, bars)
    assert len(market.candles) == bars
    assert np.all(np.diff(market.candles.open_time) == HOUR)
    assert market.candles.close_time[-1] <= sandbox.clock() < market.candles.close_time[-1] + HOUR


async def test_the_source_is_what_answered_not_what_was_configured(binance: BinanceSpot) -> None:
    recorded = await binance.candles("BTCUSDT", Timeframe.H4, 10)
    generated = await binance.candles("SBX001USDT", Timeframe.H4, 10)
    assert recorded.source == generated.source == "sandbox"
    assert "recorded" in (recorded.note or "")
    assert "generated" in (generated.note or "")


async def test_whether_a_bar_is_closed_is_told_by_the_exchanges_clock(sandbox: SandboxServer) -> None:
    """A clock that is wrong by an hour must not turn the bar in progress into a closed one."""
    sandbox.fault("clock", milliseconds=-HOUR)
    source = BinanceSpot(MarketSettings(binance_url=sandbox.url))
    try:
        market = await source.candles("BTCUSDT", Timeframe.H1, 5)
        assert market.candles.close_time[-1] <= sandbox.clock() - HOUR
    finally:
        await source.close()
        sandbox.mend()


async def test_an_unknown_symbol_is_told_the_nearest_names(binance: BinanceSpot) -> None:
    with pytest.raises(UnknownSymbol) as caught:
        await binance.candles("BTCUSTD", Timeframe.H1, 10)
    assert "BTCUSDT" in caught.value.hint


async def test_a_halted_symbol_is_said_to_be_halted(binance: BinanceSpot) -> None:
    with pytest.raises(UnknownSymbol, match="BREAK"):
        await binance.candles("SBX200USDT", Timeframe.H1, 10)


async def test_too_short_a_history_is_an_error(binance: BinanceSpot) -> None:
    with pytest.raises(NotEnoughData, match="closed bars of 1w"):
        await binance.candles("BTCUSDT", Timeframe.W1, 500, least=100)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_passing_failure_is_not_noticed(binance: BinanceSpot, sandbox: SandboxServer, status: int) -> None:
    sandbox.fault("status", status=status, path=KLINES, times=1)
    assert len((await binance.candles("ETHUSDT", Timeframe.H1, 10)).candles) == 10


async def test_a_lasting_failure_is_an_error_that_says_so(binance: BinanceSpot, sandbox: SandboxServer) -> None:
    sandbox.fault("status", status=503, path=KLINES)
    with pytest.raises(SourceUnavailable, match="does not answer: HTTP 503") as caught:
        await binance.candles("ETHUSDT", Timeframe.H1, 10)
    assert caught.value.retryable


@pytest.mark.parametrize("kind", ["cut", "truncated"])
async def test_half_an_answer_is_no_answer(binance: BinanceSpot, sandbox: SandboxServer, kind: str) -> None:
    sandbox.fault(kind, path=KLINES)
    with pytest.raises(SourceUnavailable):
        await binance.candles("ETHUSDT", Timeframe.H1, 10)
    sandbox.mend()
    sandbox.fault(kind, path=KLINES, times=1)
    assert len((await binance.candles("ETHUSDT", Timeframe.H1, 10)).candles) == 10


@pytest.mark.parametrize("kind", ["wrong_types", "impossible_candle"])
async def test_data_that_cannot_be_is_refused(binance: BinanceSpot, sandbox: SandboxServer, kind: str) -> None:
    sandbox.fault(kind, path=KLINES)
    with pytest.raises(BadSourceData):
        await binance.candles("ETHUSDT", Timeframe.H1, 10)


@pytest.mark.parametrize(("status", "words"), [(429, "slow down"), (418, "banned"), (403, "forbids")])
async def test_a_refusal_is_respected_without_asking_again(
    binance: BinanceSpot, sandbox: SandboxServer, status: int, words: str
) -> None:
    """No request leaves before the time the exchange named: asking on turns a refusal into a ban."""
    sandbox.fault("status", status=status, retry_after=30, path="/api/")
    with pytest.raises(SourceUnavailable, match=words) as caught:
        await binance.candles("ETHUSDT", Timeframe.H1, 10)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 29
    asked = sandbox.requests("/api/v3/time") + sandbox.requests(KLINES)
    for _ in range(5):
        with pytest.raises(SourceUnavailable, match="not asked again"):
            await binance.candles("BTCUSDT", Timeframe.H1, 10)
    assert sandbox.requests("/api/v3/time") + sandbox.requests(KLINES) == asked


async def test_a_region_that_is_not_served_is_told_what_to_change(binance: BinanceSpot, sandbox: SandboxServer) -> None:
    sandbox.fault("status", status=451)
    with pytest.raises(SourceRefuses) as caught:
        await binance.candles("ETHUSDT", Timeframe.H1, 10)
    assert "CRYPTO_MCP_MARKET__BINANCE_URL" in caught.value.hint
    assert not caught.value.retryable


async def test_an_exchange_that_is_not_there_is_an_error_never_a_number() -> None:
    source = BinanceSpot(MarketSettings(binance_url="http://127.0.0.1:9", timeout=1))
    try:
        with pytest.raises(SourceUnavailable, match="does not answer"):
            await source.candles("BTCUSDT", Timeframe.H1, 10)
    finally:
        await source.close()


async def test_the_list_of_symbols_is_read_once(binance: BinanceSpot, sandbox: SandboxServer) -> None:
    before = sandbox.requests("/api/v3/exchangeInfo")
    for _ in range(3):
        with pytest.raises(UnknownSymbol):
            await binance.candles("NOSUCHUSDT", Timeframe.H1, 10)
    assert sandbox.requests("/api/v3/exchangeInfo") == before + 1
    assert "BTCUSDT" in await binance.symbols()
    assert "SBX200USDT" not in await binance.symbols()
