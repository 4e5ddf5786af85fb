"""A client of Binance's spot market that asks a sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from crypto_mcp.market.binance import BinanceSpot
from crypto_mcp.settings import MarketSettings
from tests.sandbox_server import SandboxServer

HOUR = 3_600_000
KLINES, TIME, LISTING = "/api/v3/klines", "/api/v3/time", "/api/v3/exchangeInfo"


@asynccontextmanager
async def client_of(sandbox: SandboxServer, **settings: Any) -> AsyncIterator[BinanceSpot]:
    """Until the block ends; then the sandbox's faults end too."""
    source = BinanceSpot(MarketSettings(binance_url=sandbox.url, **settings))
    try:
        yield source
    finally:
        await source.close()
        sandbox.mend()
