"""Rules and tickers of the whole market."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from crypto_mcp.errors import UnknownSymbol
from crypto_mcp.market.binance import BinanceSpot
from crypto_mcp.market.candles import BadSourceData
from tests.sandbox_server import SandboxServer

TICKERS = "/api/v3/ticker/24hr"


async def test_rules_of_a_symbol_are_exact(binance: BinanceSpot) -> None:
    rules = await binance.listing.of("BTCUSDT")
    assert (rules.base, rules.quote, rules.trades) == ("BTC", "USDT", True)
    assert (rules.tick_size, rules.step_size, rules.min_notional) == (Decimal("0.1"), Decimal("0.001"), Decimal(5))
    assert not (await binance.listing.of("SBX200USDT")).trades
    with pytest.raises(UnknownSymbol, match="BTCUSTD"):
        await binance.listing.of("BTCUSTD")


async def test_the_whole_market_is_one_request_for_all_callers(binance: BinanceSpot, sandbox: SandboxServer) -> None:
    before = sandbox.requests(TICKERS)
    boards = await asyncio.gather(*(binance.tickers.all() for _ in range(20)))
    assert sandbox.requests(TICKERS) == before + 1
    assert len(boards[0]) == 403
    bitcoin = next(ticker for ticker in boards[0] if ticker.symbol == "BTCUSDT")
    asked = sandbox.get(TICKERS, symbol="BTCUSDT").json()
    assert bitcoin.open == pytest.approx(float(asked["openPrice"]), rel=0.01)
    assert bitcoin.source == "sandbox"


async def test_tickers_of_another_shape_are_refused(binance: BinanceSpot, sandbox: SandboxServer) -> None:
    sandbox.fault("wrong_types", path=TICKERS)
    with pytest.raises(BadSourceData, match="tickers"):
        await binance.tickers.all()
    sandbox.mend()
    assert await binance.tickers.all()
