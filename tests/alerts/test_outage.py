"""Jobs of alerts that an outage outlasted: done when it is over, late and once, against real servers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.conditions import evaluate, parse
from crypto_mcp.errors import CryptoMcpError, InternalError, SourceUnavailable, StoreUnavailable
from crypto_mcp.jobs import envelope
from crypto_mcp.jobs.dead import DeadLetters
from crypto_mcp.jobs.desk import Desk
from crypto_mcp.jobs.scripting import Scripts
from crypto_mcp.models.alerts import Crossed, CrossingMove, EvaluateParams, FireParams
from crypto_mcp.models.timeframes import Timeframe
from scheduler.alerts.revival import Revival
from tests.alerts.made import bar_document, price_document
from tests.scheduler.feeding import until
from tests.server.running import worker
from workers.alert_bars import became_true

if TYPE_CHECKING:
    from pydantic import BaseModel

    from crypto_mcp.settings import Settings
    from tests.sandbox_server import SandboxServer
    from workers.services import Services

PENDING, FRAME = "alerts:pending", Timeframe.H1
AWAY = SourceUnavailable("the exchange does not answer")


class Outage:
    """A queue without workers, on which jobs die as a worker buries them."""

    def __init__(self, services: Services, settings: Settings) -> None:
        self.services = services
        self.dead = DeadLetters(services.queue, settings.queue)
        self.revival = Revival(services.jobs, self.dead)
        self._desk = Desk(Scripts(services.queue), "gone", 2, settings.queue)
        self._longest = settings.queue.max_envelope

    async def dies(self, kind: str, params: BaseModel, error: CryptoMcpError = AWAY) -> None:
        await self.services.jobs.submit(CATALOGUE[kind], params, share=False)
        await self.next_dies(error)

    async def next_dies(self, error: CryptoMcpError = AWAY) -> str:
        """Whose turn it is on the list; the symbol."""
        (raw,) = await self._desk.take(PENDING, 1)
        job = envelope.read(raw, PENDING, CATALOGUE, self._longest)
        start = await self._desk.accept(raw, job, self._desk.claim())
        assert await self._desk.bury(job, start.attempt, error)
        return str(getattr(job.params, "symbol", ""))

    async def left(self) -> int:
        return len(await self.dead.rows(PENDING))

    async def nothing_left_to_do(self) -> bool:
        for place in (PENDING, f"arriving:*:{PENDING}", "desk:*"):  # the way a job goes
            if [name async for name in self.services.queue.scan_iter(place)]:
                return False
        return True


@pytest.fixture
async def outage(services: Services, stores: Settings) -> Outage:
    await services.queue.flushall()
    return Outage(services, stores)


def present(sandbox: SandboxServer) -> datetime:
    return datetime.fromtimestamp(sandbox.clock() / 1000, UTC)


async def test_bars_whose_jobs_died_of_an_outage_are_looked_at_when_it_is_over(
    outage: Outage, stores: Settings, sandbox: SandboxServer
) -> None:
    """One series is tried while it lasts, in turn; then all bars, those side by side together, each told late."""
    services, condition = outage.services, "close > close[1]"
    candles = (await services.candles.newest("SOLUSDT", FRAME, 60)).candles
    missed = [int(at) for at in candles.open_time[-12:]]
    armed = datetime.fromtimestamp(missed[0] / 1000, UTC)
    for name, owner in (("first", "ann"), ("second", "bea")):
        await services.mongo.alerts.insert(
            bar_document(name, "SOLUSDT", FRAME, condition, owner=owner, armed_at=armed, repeat=True)
        )
    await outage.dies("evaluate_alerts", EvaluateParams(symbol="BTCUSDT", timeframe=FRAME, first=0, last=0))
    for open_time in missed:
        for symbol in ("ETHUSDT", "SOLUSDT"):
            bar = EvaluateParams(symbol=symbol, timeframe=FRAME, first=open_time, last=open_time)
            await outage.dies("evaluate_alerts", bar)
    ours = EvaluateParams(symbol="SOLUSDT", timeframe=FRAME, first=missed[0], last=missed[0])
    await outage.dies("evaluate_alerts", ours, InternalError("a fault of ours"))
    tried = []
    for _ in range(3):
        assert [await outage.revival.turn(present(sandbox)) for _ in range(2)] == [1, 0]
        tried.append(await outage.next_dies())
    assert (tried, await outage.left()) == (["ETHUSDT", "SOLUSDT", "ETHUSDT"], 4)
    assert await outage.revival.turn(present(sandbox)) == 1
    async with worker(stores, CATALOGUE, [PENDING]):
        await until(outage.nothing_left_to_do)
        assert await outage.revival.turn(present(sandbox)) == 1
        await until(outage.nothing_left_to_do)
    assert await outage.revival.turn(present(sandbox)) == 0
    true = became_true(evaluate(parse(condition), candles)) & (candles.open_time >= missed[0])
    expected = [datetime.fromtimestamp(int(at) / 1000, UTC) for at in candles.close_time[true]]
    for owner in ("ann", "bea"):
        history = await services.mongo.alerts.firings(owner, None, 100)
        assert sorted(entry["at"] for entry in history) == expected
        assert all(entry["told"] for entry in history)
        assert sum(entry["late_by_s"] is not None for entry in history) >= len(expected) - 1 > 0
    assert await outage.left() == 2  # too old, and what a second time would not heal


async def test_a_crossing_whose_job_died_of_an_outage_is_told_late(
    outage: Outage, stores: Settings, sandbox: SandboxServer
) -> None:
    """Also when a scheduler that takes over makes the same job again: it is told once."""
    services, now = outage.services, present(sandbox)
    await services.mongo.alerts.insert(price_document("crossed", "BTCUSDT", "above", Decimal(100), owner="cyd"))
    crossed = [Crossed(alert_id="crossed", number=1, level=100.0, above=True)]
    at = round((now - timedelta(minutes=25)).timestamp() * 1000)
    move = CrossingMove(symbol="BTCUSDT", low=99, high=101, price=101, at=at, crossed=crossed)
    await outage.dies("fire_alerts", FireParams(moves=[move], noticed_at=at), StoreUnavailable("MongoDB is away"))
    rows = await outage.dead.rows(PENDING)
    assert await outage.revival.turn(now) == 1
    await services.queue.lpush("dead:" + PENDING, *rows)  # type: ignore[misc]
    async with worker(stores, CATALOGUE, [PENDING]):
        await until(outage.nothing_left_to_do)
        assert await Revival(services.jobs, outage.dead).turn(now) == 1
        await until(outage.nothing_left_to_do)
    (entry,) = await services.mongo.alerts.firings("cyd", None, 10)
    assert (entry["told"], entry["late_by_s"], await outage.left()) == (True, 1500.0, 0)
    assert await services.queue.llen("notifications:queue") == 1  # type: ignore[misc]
