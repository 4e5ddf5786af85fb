"""One slot of the feed's connections: always one of them open, changed for a new one in time."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING

import structlog

from crypto_mcp.errors import SourceUnavailable
from crypto_mcp.market.binance_stream import MOST_STREAMS, Shutdown, open_stream, price_stream
from crypto_mcp.market.candles import BadSourceData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from crypto_mcp.market.binance_stream import BinanceStream, Event
    from crypto_mcp.settings import MarketSettings

log = structlog.get_logger(__name__)

_HEARTBEAT = price_stream("BTCUSDT")
"""Changes every second of every day: a connection on which even this is silent is dead."""

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_STABLE_AFTER = 60.0
_OVERLAP_AT_MOST = 15.0


class Shard:
    """Keeps up to a thousand streams open. `hear` gets every event, `opened` is called after each new connection."""

    def __init__(self, settings: MarketSettings, hear: Callable[[Event], None], opened: Callable[[], None]) -> None:
        self.names: set[str] = set()
        self._settings = settings
        self._hear = hear
        self._opened = opened
        self._changed = asyncio.Event()
        self._pause = _FIRST_PAUSE
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def room(self) -> int:
        """Streams that may still be added."""
        return MOST_STREAMS - len(self.names)

    def change(self, *, add: Iterable[str] = (), drop: Iterable[str] = ()) -> None:
        """Other streams from now on; an open connection follows."""
        self.names = (self.names | set(add)) - set(drop)
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled: opens a connection, and another one when that ends, or before it has to."""
        current: _Connection | None = None
        try:
            while True:
                new = _Connection(self._connect)
                if current is not None and not await self._hand_over(current, new):
                    continue
                current = new
                await current.needs_successor(self._settings.stream_life)
                if current.task.done():
                    await self._recover(current)
                    current = None
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connect(self, heard: asyncio.Event, foretold: asyncio.Event) -> asyncio.Task[None]:
        task = asyncio.create_task(self._connection(heard, foretold))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _hand_over(self, old: _Connection, new: _Connection) -> bool:
        """Both are open until the new one has said something; whether it did. If not, the old one goes on."""
        if await new.speaks(_OVERLAP_AT_MOST):
            await old.end()
            return True
        await (self._recover(new) if new.task.done() else new.end())
        return old.task.done()

    async def _recover(self, ended: _Connection) -> None:
        """Waits before the next connection: longer each time, unless the last one was good for a while."""
        error = ended.task.exception()
        if not isinstance(error, SourceUnavailable):
            raise error or AssertionError("a connection ends with an error")
        lived = time.monotonic() - ended.began
        if lived > _STABLE_AFTER:
            self._pause = _FIRST_PAUSE
        pause = self._pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter # nosec B311
        log.warning("stream ended", error=error.message, lived=round(lived, 1), again_in=round(pause, 1))
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause)
        await asyncio.sleep(pause)

    async def _connection(self, heard: asyncio.Event, foretold: asyncio.Event) -> None:
        """One connection until it ends, with `SourceUnavailable`."""
        async with open_stream(self._settings.binance_stream_url) as stream:
            self._opened()
            subscribed = asyncio.Event()
            follow = asyncio.create_task(self._follow(stream, subscribed))
            try:
                while True:
                    try:
                        event = await stream.event(self._settings.stream_stale_after)
                    except BadSourceData as error:
                        log.warning("a message of the stream was dropped", error=error.message)
                        continue
                    if subscribed.is_set():
                        heard.set()
                    if isinstance(event, Shutdown):
                        foretold.set()
                    else:
                        self._hear(event)
            finally:
                follow.cancel()

    async def _follow(self, stream: BinanceStream, subscribed: asyncio.Event) -> None:
        """Subscribes to what is wanted, and to every change of it."""
        has: set[str] = set()
        with contextlib.suppress(SourceUnavailable):  # whoever reads the stream sees its end too
            while True:
                self._changed.clear()
                wanted = self.names | {_HEARTBEAT}
                await stream.subscribe(sorted(wanted - has))
                await stream.unsubscribe(sorted(has - wanted))
                has = wanted
                subscribed.set()
                await self._changed.wait()


class _Connection:
    """One connection's task, and what became known of it."""

    def __init__(self, connect: Callable[[asyncio.Event, asyncio.Event], asyncio.Task[None]]) -> None:
        self._heard, self._foretold = asyncio.Event(), asyncio.Event()
        self.began = time.monotonic()
        self.task = connect(self._heard, self._foretold)

    async def speaks(self, within: float) -> bool:
        """Whether it has said something in time."""
        await self._first_of(self._heard, within)
        return self._heard.is_set()

    async def needs_successor(self, life: float) -> None:
        """Returns when it has ended, its end was foretold, or it has lived for so long."""
        await self._first_of(self._foretold, life)

    async def end(self) -> None:
        """Closes it."""
        self.task.cancel()
        await asyncio.wait({self.task})
        if not self.task.cancelled():
            self.task.exception()  # whatever it ended with, it is not needed any more

    async def _first_of(self, event: asyncio.Event, within: float) -> None:
        waiting = asyncio.create_task(event.wait())
        await asyncio.wait({waiting, self.task}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
