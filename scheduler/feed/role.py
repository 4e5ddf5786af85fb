"""The feed's part of a scheduler process: it feeds while it leads, and stands by while another does."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.jobs.connection import connect
from crypto_mcp.jobs.scripting import Scripts
from crypto_mcp.market.binance import BinanceSpot
from crypto_mcp.market.candle_archive import CandleArchive
from crypto_mcp.market.sharing import Sharing
from crypto_mcp.stores.mongo import MongoStore
from scheduler.feed.archiving import Archiver
from scheduler.feed.feed import Feed
from scheduler.feed.publishing import Fenced, Publisher
from scheduler.leader import Leadership

if TYPE_CHECKING:
    from crypto_mcp.settings import Settings

log = structlog.get_logger(__name__)

_TTL, _CLAIM_EVERY = 5.0, 1.5
"""Seconds: a leader that fell silent is replaced after at most their sum."""


class FeedRole:
    """Claims the lead of the feed and keeps a `Feed` running while it has it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queue = connect(settings.redis.queue_url, settings.redis)
        self._channel = connect(settings.redis.queue_url, settings.redis, answer_within=None)
        self._cache = connect(settings.redis.cache_url, settings.redis)
        self._limits = connect(settings.redis.session_url, settings.redis)
        sharing = Sharing.through(self._limits, self._cache, settings.market)
        self._market = BinanceSpot(settings.market, sharing)
        self._mongo = MongoStore(settings.mongo)
        self.leadership = Leadership(Scripts(self._queue), ttl=_TTL, name="feed")

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then hands over at once."""
        feeding: asyncio.Task[None] | None = None
        try:
            while not stop.is_set():
                with contextlib.suppress(StoreUnavailable):
                    await self.leadership.claim()
                if self.leadership.leading and feeding is None:
                    log.info("feeds", token=self.leadership.token)
                    feeding = asyncio.create_task(self._feed().run())
                elif feeding is not None and (feeding.done() or not self.leadership.leading):
                    await _end(feeding)
                    feeding = None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CLAIM_EVERY):
                        await stop.wait()
        finally:
            if feeding is not None:
                await _end(feeding)
            await self._close()

    def _feed(self) -> Feed:
        publisher = Publisher(self._queue, self._cache, self.leadership)
        archiver = Archiver(self._queue, CandleArchive(self._mongo.candles, self._market))
        return Feed(self._settings.market, publisher, self._market, self._channel, archiver)

    async def _close(self) -> None:
        with contextlib.suppress(StoreUnavailable):
            await self.leadership.resign()
        await self._market.close()
        await self._mongo.close()
        for redis in (self._queue, self._channel, self._cache, self._limits):
            await redis.aclose()


async def _end(feeding: asyncio.Task[None]) -> None:
    """Ends the feed's tasks. A fenced write is how a replaced leader learns of it; anything else is a fault of ours."""
    feeding.cancel()
    await asyncio.wait({feeding})
    error = None if feeding.cancelled() else feeding.exception()
    if error is None:
        log.info("feeds no more")
    elif isinstance(error, ExceptionGroup) and error.split(Fenced)[1] is None:
        log.warning("feeds no more: another leads")
    else:
        log.error("the feed broke and begins anew", exc_info=error)
