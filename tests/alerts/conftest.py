"""The product behind a front end and a worker, on a sandbox market: the fixtures of the risk room, and services."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from crypto_mcp.settings import Settings
from tests.risk.conftest import address, ask, http, sandbox, stores
from workers.services import Services

__all__ = ["address", "ask", "http", "sandbox", "services", "stores"]


@pytest.fixture
async def services(stores: Settings) -> AsyncIterator[Services]:
    """What the jobs of alerts use, without a worker."""
    found = Services(stores)
    await found.mongo.alerts.prepare()
    yield found
    await found.close()
