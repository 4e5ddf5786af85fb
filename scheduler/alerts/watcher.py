"""The watcher: every price and every closed bar of its symbols, against the alerts on them.

Prices come by a channel, which may lose some; closed bars come from the feed's stream, each once. A bar says again what
the minute's prices said, so whatever was missed is found with it, late and said to be. How far a series was looked at
is kept in Redis (`alerts:seen`): a watcher that takes over goes on from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import orjson
import structlog
from redis.exceptions import RedisError

from crypto_mcp.alerts.levels import Move
from crypto_mcp.errors import CryptoMcpError, StoreUnavailable, UnknownSymbol
from crypto_mcp.jobs.scripting import insist, unavailable
from crypto_mcp.market.live import ALERTS_CHANNEL, BARS, PRICES_CHANNEL, PUBLISHED, ClosedBar, decoded_moves
from crypto_mcp.market.watching import forget, want
from crypto_mcp.models.timeframes import Timeframe
from scheduler.alerts.book import AlertBook
from scheduler.alerts.jobs import AlertJobs, crossing_moves, moment, move_of
from scheduler.alerts.past import PastBars
from scheduler.alerts.sharing import Membership

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from redis.asyncio import Redis

    from crypto_mcp.alerts.levels import Arming
    from crypto_mcp.jobs.client import JobClient
    from crypto_mcp.market.candle_reader import CandleReader
    from crypto_mcp.models.alerts import CrossingMove
    from crypto_mcp.settings import AlertSettings
    from crypto_mcp.stores.alert_documents import AlertDocuments
    from scheduler.alerts.book import Series

log = structlog.get_logger(__name__)

SEEN = "alerts:seen"
"""Hash: {symbol}:{timeframe} -> open time of the newest bar that was looked at."""

_AT_ONCE = 1000
_BLOCK_MS = 1000
_WANTED_FOR, _SAY_EVERY = 300.0, 60.0
_OVERLAP = timedelta(seconds=30)
_PAUSE = 1.0
_UNSEEN_BACK_MS = 2 * 86_400_000
_TRY_AGAIN_AFTER = 15.0
_M1 = Timeframe.M1


class AlertWatcher:
    """One process's watcher."""

    def __init__(
        self, settings: AlertSettings, queue: Redis, channel: Redis, jobs: JobClient, documents: AlertDocuments,
        candles: CandleReader, clock: Callable[[], Awaitable[float]],
    ) -> None:  # fmt: skip
        self.book = AlertBook()
        self.members = Membership(queue, settings.watchers_look_every)
        self.ready = asyncio.Event()
        self._every = settings.watchers_look_every
        self._queue, self._channel = queue, channel
        self._documents, self._past, self._off = documents, PastBars(candles, clock), AlertJobs(jobs, documents)
        self._heard = 0
        self._seen: dict[str, int] = {}
        self._armings: list[Arming] = []
        self._behind: list[asyncio.Task[None]] = []
        self._owned: set[str] = set()
        self._position: str | None = None
        self._wants_changed = asyncio.Event()
        self._changed_at = datetime.now(UTC)
        self._taking = asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled."""
        await insist(self._documents.prepare)
        await insist(self._join)
        async with asyncio.TaskGroup() as group:
            for work in (
                self._follow_changes, self._follow_prices, self._follow_bars, self._stay, self._say_wants,
                self._off.look_after,
            ):  # fmt: skip
                group.create_task(work(), name=work.__name__)

    async def leave(self) -> None:
        """Others take over at once."""
        for task in self._behind:
            task.cancel()
        with contextlib.suppress(RedisError, OSError):
            await self.members.leave()
            await forget(self._queue, self._wants)

    @property
    def _wants(self) -> str:
        return f"alerts:{self.members.name}"

    # Which symbols are ours

    async def _join(self) -> None:
        try:
            await self.members.beat()
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def _stay(self) -> None:
        """Says that it lives; takes over, or gives up, symbols as others come and go."""
        await insist(self._load)
        while True:
            try:
                if await self.members.beat():
                    log.info("watchers", living=len(self.members.living))
                    await self._load()
            except (RedisError, OSError, StoreUnavailable) as error:
                log.warning("the watcher waits", error=str(error))
            await asyncio.sleep(self._every)

    async def _load(self) -> None:
        """The alerts of our symbols, as they are kept; what their series missed is caught up."""
        async with self._taking:
            began = time.monotonic()
            if self._position is None:
                self._position = await self._newest_entry()
            ours = {symbol for symbol in await self._documents.symbols() if self.members.has(symbol)}
            gained, self._owned = ours - self._owned, ours
            self.book.keep_only(ours)
            async for part in self._documents.active(sorted(gained)):
                for document in part:
                    self.book.put(document)
                await asyncio.sleep(0)
            await self._catch_up(gained)
        self._wants_changed.set()
        self.ready.set()
        took = round(time.monotonic() - began, 2)
        log.info("watches alerts", alerts=len(self.book), symbols=len(ours), gained=len(gained), seconds=took)

    async def _newest_entry(self) -> str:
        """Where the stream of bars ends now; what is before it is caught up."""
        try:
            found = await self._queue.xrevrange(BARS, count=1)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return found[0][0].decode() if found else "0-0"

    # Definitions

    async def _follow_changes(self) -> None:
        """Alerts that change, as soon as they do; after an interruption all that changed since."""
        await self.ready.wait()
        while True:
            try:
                async with self._channel.pubsub() as channel:
                    await channel.subscribe(ALERTS_CHANNEL)
                    await self._read_changed()
                    while True:
                        message = await channel.get_message(ignore_subscribe_messages=True, timeout=None)
                        if message is not None:
                            now = datetime.now(UTC)
                            await self._read(orjson.loads(message["data"]))
                            self._changed_at = now
            except (RedisError, OSError, StoreUnavailable) as error:
                log.warning("changes of alerts cannot be heard", error=str(error))
                await asyncio.sleep(_PAUSE)

    async def _read_changed(self) -> None:
        """What changed since changes were heard last, and what such alerts missed meanwhile."""
        now, symbols = datetime.now(UTC), set()
        async for part in self._documents.changed(self._changed_at - _OVERLAP):
            self._apply(part)
            symbols |= {document["symbol"] for document in part}
        async with self._taking:
            await self._again(symbols & self._owned, self._changed_at - _OVERLAP)
        self._changed_at = now

    async def _read(self, alert_ids: Sequence[str]) -> None:
        found = await self._documents.watched(alert_ids)
        self._apply(found)
        for gone in set(alert_ids) - {document["alert_id"] for document in found}:
            self.book.drop(gone)

    def _apply(self, documents: Iterable[dict[str, object]]) -> None:
        for document in documents:
            symbol = document["symbol"]
            if isinstance(symbol, str) and self.members.has(symbol):
                self.book.put(document)
                self._owned.add(symbol)
        self._wants_changed.set()

    async def _again(self, symbols: set[str], since: datetime) -> None:
        """Looks at the minutes since then once more: what they said before they say in vain."""
        first = int(since.timestamp() * 1000) // _M1.milliseconds * _M1.milliseconds
        for symbol in sorted(symbols):
            last = self._seen.get(f"{symbol}:{_M1}")
            if last is not None and self.book.has_levels(symbol) and first <= last:
                bars = await self._past.bars(symbol, _M1, first, last)
                await self._off.fire([told for bar in bars for told in self._step(symbol, move_of(bar))], self._heard)

    async def _say_wants(self) -> None:
        """Has the feed watch what alerts are on."""
        said: dict[str, set[Timeframe]] | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SAY_EVERY):
                    await self._wants_changed.wait()
                    self._wants_changed.clear()
                    await asyncio.sleep(0.02)
                    if self.book.wanted == said:
                        continue
            said = self.book.wanted
            try:
                await want(self._queue, self._wants, said, seconds=_WANTED_FOR)
            except (RedisError, OSError) as error:
                log.warning("the feed cannot be told what alerts are on", error=str(error))
                said = None
                await asyncio.sleep(_PAUSE)
                self._wants_changed.set()

    # Prices and bars

    async def _follow_prices(self) -> None:
        """Moves of prices as they come. What is missed here comes with the bar."""
        await self.ready.wait()
        while True:
            try:
                async with self._channel.pubsub() as channel:
                    await channel.subscribe(PRICES_CHANNEL)
                    while True:
                        message = await channel.get_message(ignore_subscribe_messages=True, timeout=None)
                        if message is not None:
                            await self._moved(message["data"])
            except (RedisError, OSError) as error:
                log.warning("prices cannot be heard", error=str(error))
                await asyncio.sleep(_PAUSE)

    async def _moved(self, message: bytes) -> None:
        fires = []
        for told in decoded_moves(message):
            self._heard = max(self._heard, told.at)
            if self.book.has_levels(told.symbol):
                move = Move(told.low, told.high, told.price, told.since, told.at)
                fires += self._step(told.symbol, move)
        await self._off.fire(fires, self._heard)

    def _step(self, symbol: str, move: Move) -> list[CrossingMove]:
        """What a move of the price crosses."""
        crossings, armings = self.book.step(symbol, move)
        self._armings += armings
        return crossing_moves(symbol, move, crossings)

    async def _follow_bars(self) -> None:
        """Closed bars from the stream, none left out. How far it came is written down after what follows from them."""
        await self.ready.wait()
        while True:
            try:
                found = await self._channel.xread({BARS: self._position or "0-0"}, count=_AT_ONCE, block=_BLOCK_MS)
            except (RedisError, OSError) as error:
                log.warning("bars cannot be read", error=str(error))
                await asyncio.sleep(_PAUSE)
                continue
            for _, entries in found:
                bars = [ClosedBar.decoded(fields[b"bar"]) for _, fields in entries]
                async with self._taking:
                    await self._closed(bars)
                self._position = entries[-1][0].decode()

    async def _closed(self, bars: Sequence[ClosedBar], *, again: bool = False) -> None:
        """What closed bars do; one that was looked at before does nothing, unless it is to be looked at `again`."""
        fires: list[CrossingMove] = []
        ranges: dict[Series, tuple[int, int]] = {}
        seen: dict[str, int] = {}
        for bar in bars:
            series = (bar.symbol, bar.timeframe)
            before = self._seen.get(bar.series, -1)
            if (bar.open_time <= before and not again) or not self.members.has(bar.symbol):
                continue
            seen[bar.series] = self._seen[bar.series] = max(bar.open_time, before)
            self._heard = max(self._heard, bar.open_time + bar.timeframe.milliseconds)
            if bar.timeframe is _M1 and self.book.has_levels(bar.symbol):
                fires += self._step(bar.symbol, move_of(bar))
            if self.book.has_conditions(series):
                ranges[series] = (ranges.get(series, (bar.open_time, 0))[0], bar.open_time)
        await self._off.fire(fires, self._heard)
        await self._off.evaluate(ranges)
        await self._keep(seen)

    async def _keep(self, seen: dict[str, int]) -> None:
        """Writes down how far each series was looked at, and before that which alerts were armed by then."""
        armings, self._armings = self._armings, []
        noted = [(arming.alert_id, arming.number, moment(arming.at)) for arming in armings]
        await insist(partial(self._documents.armed, noted))
        if seen:
            await insist(partial(self._write_seen, seen))

    async def _write_seen(self, seen: dict[str, int]) -> None:
        try:
            await self._queue.hset(SEEN, mapping=seen)  # type: ignore[misc]
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    # What was missed

    async def _catch_up(self, symbols: set[str]) -> None:
        """Bars that closed while nobody watched: from what was looked at last to what was told last."""
        if not symbols:
            return
        try:
            known: dict[bytes, bytes] = await self._queue.hgetall(SEEN)  # type: ignore[misc]
            newest: dict[bytes, bytes] = await self._queue.hgetall(PUBLISHED)  # type: ignore[misc]
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        missed, self._heard = 0, max(self._heard, await self._past.now())
        unseen: list[Series] = []
        for symbol, frames in self.book.wanted.items():
            for timeframe in frames if symbol in symbols else ():
                name = f"{symbol}:{timeframe}"
                last, until = known.get(name.encode()), newest.get(name.encode())
                if last is None:
                    unseen.append((symbol, timeframe))
                    continue
                self._seen[name] = int(last)
                if until is not None and int(last) < int(until):
                    missed += await self._missed(symbol, timeframe, int(last), int(until))
        if missed:
            log.warning("caught up", bars=missed)
        if unseen:
            self._behind.append(asyncio.create_task(self._look_back(unseen)))

    async def _look_back(self, unseen: Sequence[Series]) -> None:
        """At series on which nobody has looked yet: alerts on them may be older than their watcher."""
        try:
            begun = await self._documents.armed_since(sorted({symbol for symbol, _ in unseen}))
            now = await self._past.now()
            for symbol, timeframe in unseen:
                step = timeframe.milliseconds
                first = max(int(begun[symbol].timestamp() * 1000), now - _UNSEEN_BACK_MS) if symbol in begun else now
                last = now // step * step - step
                if first // step * step <= last:
                    async with self._taking:
                        await self._missed(symbol, timeframe, first // step * step - step, last)
        except CryptoMcpError as error:
            log.warning("what was before the watcher cannot be looked at", error=error.message)

    async def _missed(self, symbol: str, timeframe: Timeframe, last: int, until: int) -> int:
        """Looks at the bars after `last` up to `until` (open times, ms); later, if they cannot be had now."""
        try:
            bars = await self._past.bars(symbol, timeframe, last + timeframe.milliseconds, until)
        except UnknownSymbol:
            return 0
        except CryptoMcpError as error:
            log.warning("missed bars cannot be had now", symbol=symbol, timeframe=timeframe, error=error.message)
            self._behind.append(asyncio.create_task(self._missed_later(symbol, timeframe, last, until)))
            return 0
        await self._closed(bars, again=True)
        return len(bars)

    async def _missed_later(self, symbol: str, timeframe: Timeframe, last: int, until: int) -> None:
        await asyncio.sleep(_TRY_AGAIN_AFTER)
        async with self._taking:
            await self._missed(symbol, timeframe, last, until)
