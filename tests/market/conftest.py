"""A sandbox for each file of tests, and a fresh client of it for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from crypto_mcp.market.binance import BinanceSpot
from tests.market.binance_client import client_of
from tests.sandbox_server import SandboxServer, running_sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.fixture
async def binance(sandbox: SandboxServer) -> AsyncIterator[BinanceSpot]:
    async with client_of(sandbox) as source:
        yield source
