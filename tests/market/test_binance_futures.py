"""USD-M futures: candles like spot's, and what only derivatives have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import numpy as np
import pytest

from crypto_mcp.errors import SourceUnavailable, UnknownSymbol
from crypto_mcp.market.binance import BinanceSpot
from crypto_mcp.market.binance_futures import BinanceFutures
from crypto_mcp.market.candles import BadSourceData
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.settings import MarketSettings
from tests.market.binance_client import HOUR
from tests.sandbox_server import SandboxServer


@pytest.fixture
async def futures(sandbox: SandboxServer) -> AsyncIterator[BinanceFutures]:
    source = BinanceFutures(MarketSettings(binance_url=sandbox.url))
    yield source
    await source.close()
    sandbox.mend()


async def test_candles_are_read_in_the_pages_that_cost_least(
    futures: BinanceFutures, binance: BinanceSpot, sandbox: SandboxServer
) -> None:
    before = sandbox.requests("/fapi/v1/klines")
    market = await futures.candles("BTCUSDT", Timeframe.H1, 1200)
    assert sandbox.requests("/fapi/v1/klines") == before + 3
    spot = await binance.candles("BTCUSDT", Timeframe.H1, 1200)
    assert np.array_equal(market.candles.close[-1000:], spot.candles.close[-1000:])
    assert await futures.venue() == f"{await binance.venue()}-futures"


async def test_rules_have_the_least_notional_under_its_other_name(futures: BinanceFutures) -> None:
    rules = await futures.listing.of("BTCUSDT")
    assert (rules.min_notional, rules.contract) == (Decimal(50), "PERPETUAL")
    with pytest.raises(UnknownSymbol):
        await futures.listing.of("SBX005USDT")


async def test_funding_that_was_paid_comes_oldest_first(futures: BinanceFutures) -> None:
    paid = await futures.funding_rates("ETHUSDT", 10)
    assert len(paid) == 10
    assert [each.at for each in paid] == sorted(each.at for each in paid)
    assert all(-0.01 < each.rate < 0.01 for each in paid)


async def test_all_funding_of_a_time_comes_once_in_pages(futures: BinanceFutures) -> None:
    """Pages begin where they begin; of a contract with four hours between two, a page is more than one answer."""
    begin, end = 68 * 300 * 24 * HOUR, 68 * 300 * 24 * HOUR + 200 * 24 * HOUR
    for symbol, hours, start in (("SBX001USDT", 8, begin - 20 * 24 * HOUR), ("SBX007USDT", 4, begin + 5 * HOUR)):
        found = await futures.funding_between(symbol, start, end)
        times = [int(rate.at.timestamp() * 1000) for rate in found]
        assert times == list(range(-(-start // (hours * HOUR)) * hours * HOUR, end, hours * HOUR))
    newest = (await futures.funding_rates("BTCUSDT", 5))[-1]
    now = int(newest.at.timestamp() * 1000)
    assert await futures.funding_between("BTCUSDT", now - 8 * HOUR + 1, now + 1) == [newest]


async def test_mark_prices_of_all_and_of_one_agree(futures: BinanceFutures) -> None:
    everything = await futures.mark_prices()
    one = await futures.mark_price("SOLUSDT")
    assert float(everything["SOLUSDT"].mark) == pytest.approx(float(one.mark), rel=0.01)
    assert one.next_funding_at is not None
    assert one.next_funding_at > one.at
    with pytest.raises(UnknownSymbol):
        await futures.mark_price("NOSUCHUSDT")


async def test_open_interest_and_the_order_book(futures: BinanceFutures, binance: BinanceSpot) -> None:
    history = await futures.open_interest_history("BTCUSDT", "1h", 25)
    held = await futures.open_interest("BTCUSDT")
    assert len(history) == 25
    assert held.quantity == pytest.approx(history[-1].quantity, rel=0.1)
    for source in (futures, binance):
        book = await source.depth("BTCUSDT", 50)
        assert len(book.bids) >= 50
        assert book.bids[0][0] < book.asks[0][0]
        offers = (await source.book_tickers())["BTCUSDT"]
        assert offers.bid < offers.ask
        assert 0 < offers.spread_percent < 1


async def test_tickers_are_one_request_and_only_of_what_trades(futures: BinanceFutures) -> None:
    tickers = {ticker.symbol: ticker for ticker in await futures.tickers.all()}
    assert "BTCUSDT" in tickers
    assert "SBX005USDT" not in tickers
    assert tickers["BTCUSDT"].source == "sandbox"


async def test_figures_that_cannot_be_are_refused(futures: BinanceFutures, sandbox: SandboxServer) -> None:
    await futures.candles("BTCUSDT", Timeframe.H1, 5)
    sandbox.fault("wrong_types", path="/f")
    for ask in (
        futures.mark_price("BTCUSDT"), futures.mark_prices(), futures.funding_rates("BTCUSDT"),
        futures.funding_hours(), futures.open_interest("BTCUSDT"), futures.open_interest_history("BTCUSDT"),
        futures.book_tickers(), futures.depth("BTCUSDT"),
    ):  # fmt: skip
        with pytest.raises(BadSourceData):
            await ask


async def test_a_ban_from_one_market_does_not_stop_the_other(
    futures: BinanceFutures, binance: BinanceSpot, sandbox: SandboxServer
) -> None:
    sandbox.fault("status", status=418, retry_after=120, path="/fapi/", times=1)
    with pytest.raises(SourceUnavailable, match="banned") as caught:
        await futures.candles("BTCUSDT", Timeframe.H1, 5)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 119
    assert len((await binance.candles("BTCUSDT", Timeframe.H1, 5)).candles) == 5
