"""The feed while it leads: what is wanted is watched, what is heard is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.jobs.scripting import insist, unavailable
from crypto_mcp.market.binance_stream import Bar, Tick, bar_stream, price_stream
from crypto_mcp.market.live import WANTED_CHANNEL, LastPrice, PriceMove
from crypto_mcp.market.watching import watched
from scheduler.feed.filling import Filler
from scheduler.feed.heard_time import HeardTime
from scheduler.feed.series import Series
from scheduler.feed.shard import Shard

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from crypto_mcp.market.binance import BinanceSpot
    from crypto_mcp.market.binance_stream import Event
    from crypto_mcp.market.live import ClosedBar
    from crypto_mcp.market.watching import WatchSet
    from crypto_mcp.settings import MarketSettings
    from scheduler.feed.archiving import Archiver
    from scheduler.feed.publishing import Publisher

log = structlog.get_logger(__name__)

_TELL_PRICES_EVERY = 0.025
_LOOK_EVERY = 1.0
_READ_WANTS_EVERY = 5.0
_GRACE_MS = 3000
"""After a bar's end its last event has so long to come, and REST to know it."""

_BARS_AT_ONCE = 500


class Feed:
    """One leader's feed: connections, series, and the tasks between them. Made anew for each time it leads."""

    def __init__(
        self,
        settings: MarketSettings,
        publisher: Publisher,
        market: BinanceSpot,
        queue: Redis,
        archiver: Archiver,
    ) -> None:
        self._settings = settings
        self._publisher = publisher
        self._queue = queue
        self._archiver = archiver
        self._series: dict[str, Series] = {}
        self._shards: list[tuple[Shard, asyncio.Task[None]]] = []
        self._symbols: set[str] = set()
        self._outbox: deque[tuple[Series, ClosedBar, int | None]] = deque()
        self._told: dict[str, int] = {}
        self._moves: dict[str, PriceMove] = {}
        self._prices: dict[str, LastPrice] = {}
        self._heard_at: dict[str, int] = {}
        self._in_progress: dict[str, tuple[int, float, float, int]] = {}
        self._time = HeardTime()
        self._filler = Filler(market, self._hand_on, self._time.now)
        self._something_to_tell = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled, or until a write is refused because another leads (`Fenced`)."""
        self._told = await insist(self._publisher.newest_bars)
        async with asyncio.TaskGroup() as group:
            self._group = group
            for work in (self._follow_wants, self._look, self._tell_bars, self._tell_prices):
                group.create_task(work(), name=work.__name__)
            group.create_task(self._filler.run(), name="filler")
            group.create_task(self._archiver.run(), name="archiver")

    # What is wanted

    async def _follow_wants(self) -> None:
        """Reads the watch set when it changes, and now and then anyway."""
        while True:
            try:
                async with self._queue.pubsub() as channel:
                    await channel.subscribe(WANTED_CHANNEL)
                    while True:
                        self._watch(await watched(self._queue))
                        await channel.get_message(ignore_subscribe_messages=True, timeout=_READ_WANTS_EVERY)
            except (RedisError, OSError) as error:
                log.warning("the watch set cannot be read", error=unavailable(error).message)
                await asyncio.sleep(1)

    def _watch(self, wanted: WatchSet) -> None:
        """Streams and series as wanted; a series that stays keeps what it knows."""
        self._symbols = set(wanted)
        names = {
            stream
            for symbol, frames in wanted.items()
            for stream in (price_stream(symbol), *(bar_stream(symbol, frame) for frame in frames))
        }
        series = [Series(symbol, frame) for symbol, frames in wanted.items() for frame in frames]
        new = [each for each in series if each.name not in self._series]
        for each in new:
            each.last = self._told.get(each.name)
        self._series = {each.name: self._series.get(each.name, each) for each in series}
        self._spread(names)
        if new:
            log.info("watches", symbols=len(wanted), series=len(series), new=len(new))
            self._filler.want(each for each in new if each.last is None or each.missing(self._time.now()))

    def _spread(self, names: set[str]) -> None:
        """Over as few connections as hold them; a stream stays where it is."""
        missing = sorted(names - {name for shard, _ in self._shards for name in shard.names})
        for shard, _ in self._shards:
            add, missing = missing[: shard.room], missing[shard.room :]
            gone = shard.names - names
            if add or gone:
                shard.change(add=add, drop=gone)
        while missing:
            shard = Shard(self._settings, self._hear, self._opened)
            add, missing = missing[: shard.room], missing[shard.room :]
            shard.change(add=add)
            self._shards.append((shard, self._group.create_task(shard.run(), name="shard")))
        for shard, task in [pair for pair in self._shards if not pair[0].names]:
            task.cancel()
            self._shards.remove((shard, task))

    def _opened(self) -> None:
        """A connection is new: whatever closed while there was none is missing."""
        now = self._time.now()
        self._filler.want(each for each in self._series.values() if each.last is None or each.missing(now))

    async def _look(self) -> None:
        """Once a second: bars that are overdue, whatever the reason."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            now = self._time.now() - _GRACE_MS
            self._filler.want(each for each in self._series.values() if each.last is None or each.missing(now))

    # What is heard

    def _hear(self, event: Event) -> None:
        if isinstance(event, Bar):
            self._hear_bar(event)
        elif isinstance(event, Tick):
            price = float(event.price)
            self._move(PriceMove(event.symbol, price, event.at, price, price, event.at))
            if event.symbol in self._symbols and event.at >= self._heard_at.get(event.symbol, 0):
                self._prices[event.symbol] = LastPrice(Decimal(event.price), _time(event.at), event.source)
        self._time.heard(event.at)

    def _hear_bar(self, event: Bar) -> None:
        bar = event.bar
        if bar.timeframe == "1m":
            self._move(self._within_minute(event))
        series = self._series.get(bar.series)
        if series is not None and event.closed:
            self._hand_on(series, series.heard(bar))

    def _within_minute(self, event: Bar) -> PriceMove:
        """How far the price went within the bar beyond what an earlier event of the bar showed, and since when."""
        bar = event.bar
        time_, low, high, told = self._in_progress.get(bar.symbol, (0, bar.close, bar.close, 0))
        self._in_progress[bar.symbol] = (bar.open_time, bar.low, bar.high, event.at)
        if time_ != bar.open_time:
            return PriceMove(bar.symbol, bar.close, event.at, bar.low, bar.high, bar.open_time)
        news = bar.low < low or bar.high > high
        lowest, highest = (bar.low if bar.low < low else bar.close), (bar.high if bar.high > high else bar.close)
        return PriceMove(bar.symbol, bar.close, event.at, lowest, highest, told if news else event.at)

    def _move(self, move: PriceMove) -> None:
        """Conflated with what was heard since prices were told last; an event that comes late only widens it."""
        symbol = move.symbol
        if symbol not in self._symbols:
            return
        newest = move.at >= self._heard_at.get(symbol, 0)
        before = self._moves.get(symbol)
        low, high = min(move.low, move.price), max(move.high, move.price)
        if before is not None:
            last = (move.price, move.at) if newest else (before.price, before.at)
            since = min(before.since, move.since)
            self._moves[symbol] = PriceMove(symbol, *last, min(before.low, low), max(before.high, high), since)
        elif newest:
            self._moves[symbol] = move._replace(low=low, high=high)
        self._heard_at[symbol] = max(move.at, self._heard_at.get(symbol, 0))

    # What is told

    def _hand_on(self, series: Series, bars: list[ClosedBar]) -> None:
        for bar in bars:
            self._outbox.append((series, bar, self._told.get(series.name)))
            self._told[series.name] = bar.open_time
        if bars:
            self._something_to_tell.set()

    async def _tell_bars(self) -> None:
        """One batch after the other; while Redis is away they wait."""
        while True:
            await self._something_to_tell.wait()
            self._something_to_tell.clear()
            while self._outbox:
                batch = [self._outbox[i] for i in range(min(len(self._outbox), _BARS_AT_ONCE))]
                said = await insist(partial(self._publisher.tell_bars, [(bar, before) for _, bar, before in batch]))
                for _ in batch:
                    self._outbox.popleft()
                for (series, _, _), result in zip(batch, said, strict=True):
                    if result.startswith("at "):
                        self._rewind(series, int(result[3:]) if result[3:] else None)

    def _rewind(self, series: Series, newest: int | None) -> None:
        """Redis has another newest bar than we thought, such as after it lost its last second: from there on again."""
        if self._told.get(series.name) == newest:
            return
        log.warning("bars have to be told again", series=series.name, after=newest)
        self._outbox = deque(item for item in self._outbox if item[0] is not series)
        self._told.pop(series.name, None)
        if newest is not None:
            self._told[series.name] = newest
        series.rewind(newest)
        self._filler.want([series])

    async def _tell_prices(self) -> None:
        """Forty times a second, what moved."""
        while True:
            await asyncio.sleep(_TELL_PRICES_EVERY)
            if not self._moves:
                continue
            moves, self._moves = self._moves, {}
            prices, self._prices = self._prices, {}
            with contextlib.suppress(StoreUnavailable):
                await self._publisher.tell_prices(moves.values(), prices)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
