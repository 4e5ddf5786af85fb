"""Missing bars are asked for, and an answer is never taken for more than it says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from crypto_mcp.market.binance import BinanceSpot
from crypto_mcp.settings import MarketSettings
from scheduler.feed.filling import Filler
from scheduler.feed.series import Series
from tests.sandbox_server import SandboxServer, running_sandbox
from tests.scheduler.feeding import M1, MINUTE, at_exchange, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from crypto_mcp.market.live import ClosedBar


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.fixture
async def market(sandbox: SandboxServer) -> AsyncIterator[BinanceSpot]:
    source = BinanceSpot(MarketSettings(binance_url=sandbox.url))
    yield source
    await source.close()


@pytest.mark.parametrize("missing", [1, 30, 1500])
@pytest.mark.parametrize("late_by", [0, 3, 20])
async def test_bars_that_close_while_the_exchange_is_asked_leave_no_hole(
    sandbox: SandboxServer, market: BinanceSpot, missing: int, late_by: int
) -> None:
    """What was heard last of its time may be minutes old: all bars up to the answer are there."""
    newest = sandbox.clock() // MINUTE * MINUTE - 2 * MINUTE
    series = Series("BTCUSDT", M1, last=newest - missing * MINUTE)
    handed: list[ClosedBar] = []
    filler = Filler(market, lambda _, bars: handed.extend(bars), lambda: sandbox.clock() - late_by * MINUTE)
    running = asyncio.create_task(filler.run())
    while series.last < newest:
        before = series.last
        filler.want([series])
        await until(lambda: not series.filling)
        if series.last == before:  # nothing missed by the time that was heard
            assert series.missing(sandbox.clock() - late_by * MINUTE) == 0
            break
    running.cancel()
    if handed:
        expected = at_exchange(sandbox, "BTCUSDT", handed[0].open_time, handed[-1].open_time)
        assert [bar.open_time for bar in handed[:1000]] == [bar.open_time for bar in expected]
        assert handed[0].open_time == newest - (missing - 1) * MINUTE
        assert len(handed) >= missing
