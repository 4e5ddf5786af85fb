"""A front end with a worker, as the tests of the front end have it; clients run in threads, for both share one loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crypto_mcp.client import AsyncCryptoMcp, CryptoMcp
from tests.server.conftest import address, closed, directory, door, stores, text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["address", "closed", "directory", "door", "stores", "text"]


@pytest.fixture
async def crypto(address: str) -> AsyncIterator[AsyncCryptoMcp]:
    """A client of that front end."""
    async with AsyncCryptoMcp(address) as client:
        yield client


@pytest.fixture
def blocking(address: str) -> Iterator[CryptoMcp]:
    """The same, to be called by `asyncio.to_thread`."""
    with CryptoMcp(address) as client:
        yield client
