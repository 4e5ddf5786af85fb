"""From the stream of closed bars to the archive: nothing leaves the stream before it is there."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, Protocol

import structlog
from redis.exceptions import RedisError

from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.market.live import ARCHIVED, BARS, ClosedBar, as_candles

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from crypto_mcp.models.candles import Candles
    from crypto_mcp.models.timeframes import Timeframe

log = structlog.get_logger(__name__)

_AT_ONCE, _WRITES_AT_ONCE = 2000, 8
_IDLE = 0.5
_PAUSE = 2.0
_KEPT_FOR = 3_600_000
"""Milliseconds for which archived bars stay in the stream, for listeners that were away."""

_MOST_KEPT = 2_000_000
"""Entries at which the oldest go even unarchived: Redis must not run full while MongoDB is away for days."""


class Archive(Protocol):
    """Where closed bars are kept."""

    async def append(self, symbol: str, timeframe: Timeframe, candles: Candles) -> None:
        """Keeps closed bars; those it has change nothing. Raises `StoreUnavailable`."""
        ...


class Archiver:
    """Moves bars from the stream in Redis db 2 to the archive. Two at once do no harm: appending is idempotent."""

    def __init__(self, queue: Redis, archive: Archive) -> None:
        self._queue = queue
        self._archive = archive

    async def run(self) -> None:
        """Until cancelled; waits out a store that is away."""
        while True:
            try:
                moved = await self.once()
            except (CryptoMcpError, RedisError, OSError) as error:
                log.warning("closed bars wait for the archive", error=str(error))
                await asyncio.sleep(_PAUSE)
            else:
                if not moved:
                    await asyncio.sleep(_IDLE)

    async def once(self) -> int:
        """Moves what is there, at most two thousand bars; how many."""
        done = (await self._queue.get(ARCHIVED) or b"0-0").decode()
        entries = await self._queue.xrange(BARS, min=f"({done}", count=_AT_ONCE)
        if not entries:
            return 0
        await self._append([ClosedBar.decoded(fields[b"bar"]) for _, fields in entries])
        newest = entries[-1][0].decode()
        await self._queue.set(ARCHIVED, newest)
        await self._trim(newest)
        return len(entries)

    async def _append(self, bars: list[ClosedBar]) -> None:
        room = asyncio.Semaphore(_WRITES_AT_ONCE)

        async def write(part: list[ClosedBar]) -> None:
            async with room:
                await self._archive.append(part[0].symbol, part[0].timeframe, as_candles(part))

        bars.sort(key=lambda bar: (bar.series, bar.open_time))
        parts = [list(group) for _, group in itertools.groupby(bars, key=lambda bar: bar.series)]
        await asyncio.gather(*(write(part) for part in parts))

    async def _trim(self, newest: str) -> None:
        oldest_kept = min(int(newest.split("-", maxsplit=1)[0]), int(time.time() * 1000) - _KEPT_FOR)
        await self._queue.xtrim(BARS, minid=str(oldest_kept), approximate=True)
        await self._queue.xtrim(BARS, maxlen=_MOST_KEPT, approximate=True)
