"""The watcher's part of a scheduler process. All watch, each its own symbols; nobody leads."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.jobs.connection import connect
from crypto_mcp.market.binance import BinanceSpot
from crypto_mcp.market.candle_archive import CandleArchive
from crypto_mcp.market.candle_reader import CandleReader
from crypto_mcp.market.sharing import Sharing
from crypto_mcp.models.alerts import SweepParams
from crypto_mcp.stores.mongo import MongoStore
from scheduler.alerts.watcher import AlertWatcher

if TYPE_CHECKING:
    from crypto_mcp.settings import Settings

log = structlog.get_logger(__name__)

_PAUSE = 1.0


class WatcherRole:
    """Keeps an `AlertWatcher` running."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queue = connect(settings.redis.queue_url, settings.redis)
        self._channel = connect(settings.redis.queue_url, settings.redis, answer_within=None)
        self._cache = connect(settings.redis.cache_url, settings.redis)
        self._limits = connect(settings.redis.session_url, settings.redis)
        self._market = BinanceSpot(settings.market, Sharing.through(self._limits, self._cache, settings.market))
        self._mongo = MongoStore(settings.mongo)
        self.watcher = self._made()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then the others take over at once."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                watching = asyncio.create_task(self.watcher.run())
                await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
                await _end(watching)
                await self.watcher.leave()
                if not stop.is_set():
                    self.watcher = self._made()
                    await asyncio.sleep(_PAUSE)
        finally:
            stopping.cancel()
            await self._close()

    def _made(self) -> AlertWatcher:
        return AlertWatcher(
            self._settings.alerts,
            self._queue,
            self._channel,
            JobClient(self._queue, self._settings.queue),
            self._mongo.alerts,
            CandleReader(self._market, archive=CandleArchive(self._mongo.candles, self._market)),
            self._market.now,
        )

    async def _close(self) -> None:
        await self._market.close()
        await self._mongo.close()
        for redis in (self._queue, self._channel, self._cache, self._limits):
            await redis.aclose()


async def _end(watching: asyncio.Task[None]) -> None:
    watching.cancel()
    await asyncio.wait({watching})
    with contextlib.suppress(asyncio.CancelledError):
        error = watching.exception()
        if error is not None:
            log.error("the watcher of alerts broke and begins anew", exc_info=error)


class AlertSweeping:
    """Submits the job of each minute once. Raises `StoreUnavailable` if the queue is away; then it is tried again."""

    def __init__(self, jobs: JobClient) -> None:
        self._jobs = jobs
        self._last: datetime | None = None

    async def turn(self, now: datetime) -> str | None:
        """The id of the job, where this minute's was not submitted by us yet."""
        minute = now.astimezone(UTC).replace(second=0, microsecond=0)
        if minute == self._last:
            return None
        job_id = f"alerts-{minute:%Y%m%dT%H%M}"
        await self._jobs.submit(CATALOGUE["sweep_alerts"], SweepParams(at=minute), job_id=job_id)
        self._last = minute
        return job_id
