"""The newest bars of many symbols at once: fetched by one worker, shared by all, complete until the next bar closes.

    universe:{venue}:{timeframe}         the packed bars of all symbols; TTL 60 s
    universe:{venue}:{timeframe}:busy    held by the worker that fetches

Bars come from this process's memory, then from Redis, then from the archive, and only then from the exchange, which is
asked for no more than the bars that have closed since.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import structlog
from redis.exceptions import RedisError

from crypto_mcp.errors import CryptoMcpError, SourceUnavailable, StoreUnavailable, UnknownSymbol
from crypto_mcp.market.allowance.asking import Priority, asking_as
from crypto_mcp.market.allowance.turns import SourceBusy
from crypto_mcp.market.bar_times import newest_close, up_to_date
from crypto_mcp.market.candle_reader import known_newest
from crypto_mcp.market.candles import BadSourceData, source_of
from crypto_mcp.market.coverage import Span, without
from crypto_mcp.market.packed_universe import PackedUniverse, packed, unpacked
from crypto_mcp.models.candles import COLUMNS, Candles
from crypto_mcp.stores.cache import Outage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from redis.asyncio import Redis

    from crypto_mcp.market.candle_archive import CandleArchive
    from crypto_mcp.market.candles import CandleSource, MarketCandles
    from crypto_mcp.models.timeframes import Timeframe

log = structlog.get_logger(__name__)

TTL = 60
_FETCH_WITHIN = 30
"""Seconds after which a worker that fetches is taken for dead, and another one fetches."""

_LOOK_EVERY = 0.02
_AT_ONCE = 32
"""Symbols asked for at a time; how many requests leave is the client's and the rate limit's to say."""

_CATCH_UP = 48
"""Bars that a symbol may be behind to be caught up with instead of fetched anew."""

_LEARN_EVERY = 0.02
"""Seconds between two symbols that the archive learns behind the answers."""

OnProgress: TypeAlias = "Callable[[float], Awaitable[None]]"

LATE = "its newest bar is not there yet"


@dataclass(slots=True)
class Universe:
    """The newest bars of many symbols.

    Attributes:
        timeframe: length of a bar.
        bars: asked for; younger symbols have fewer.
        close: when the newest bar closed, milliseconds.
        candles: by symbol.
        absent: symbols without, and why.
        failed: symbols that could not be asked for this time, and why; the next call asks again.
        source: who said so.
        origins: what a reader must know of where they come from.
        observed_at: the exchange's time, UTC.
    """

    timeframe: Timeframe
    bars: int
    close: int
    source: str
    observed_at: datetime
    candles: dict[str, Candles] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    origins: dict[str, int] = field(default_factory=dict)

    def lacks(self, symbols: Iterable[str]) -> list[str]:
        """Those of which nothing is known yet."""
        return [symbol for symbol in symbols if symbol not in self.candles and symbol not in self.absent]


class UniverseCandles:
    """One for a process."""

    def __init__(self, source: CandleSource, redis: Redis | None = None, archive: CandleArchive | None = None) -> None:
        self._source = source
        self._redis = redis
        self._archive = archive
        self._known: dict[Timeframe, Universe] = {}
        self._before: dict[Timeframe, dict[str, Candles]] = {}
        self._locks: dict[Timeframe, asyncio.Lock] = {}
        self._redis_away, self._archive_away = Outage("market data cache"), Outage("candle archive", pause=5.0)
        self._learning: asyncio.Task[None] | None = None

    async def newest(
        self,
        symbols: Sequence[str],
        timeframe: Timeframe,
        bars: int,
        on_progress: OnProgress | None = None,
    ) -> Universe:
        """The newest `bars` closed bars of each symbol.

        Symbols that have none are in `absent` with the reason.

        Raises:
            SourceUnavailable: the exchange is away and nothing is known.
        """
        async with self._locks.setdefault(timeframe, asyncio.Lock()):
            known = await self._current(timeframe, bars)
            known.absent = {symbol: why for symbol, why in known.absent.items() if why != LATE}
            if known.lacks(symbols):
                known = await self._fetched(known, symbols, on_progress)
            return known

    async def close(self) -> None:
        """Ends what goes on behind the answers."""
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.gather(self._learning, return_exceptions=True)

    async def _current(self, timeframe: Timeframe, bars: int) -> Universe:
        """What this process knows of the bars that are the newest now; empty if a bar has closed since."""
        now, venue = await self._source.now(), await self._source.venue()
        close = newest_close(timeframe, now)
        known = self._known.get(timeframe)
        source, observed = source_of(venue), datetime.fromtimestamp(now, UTC)
        if known is None or known.close != close or known.bars < bars or known.source != source:
            self._before[timeframe] = known.candles if known is not None and known.source == source else {}
            known = Universe(timeframe, max(bars, known.bars if known else 0), close, source, observed)
            self._known[timeframe] = known
        return known

    async def _fetched(self, known: Universe, symbols: Sequence[str], on_progress: OnProgress | None) -> Universe:
        """Completed by one worker at a time; the others wait for what it brings."""
        key = f"universe:{await self._source.venue()}:{known.timeframe}"
        token = secrets.token_hex(8)
        while True:
            await self._from_redis(key, known)
            if not known.lacks(symbols) or await self._begin(key, token):
                break
            await asyncio.sleep(_LOOK_EVERY)
        if not known.lacks(symbols):
            return known
        try:
            await self._from_archive(known, symbols)
            fresh = await self._from_source(known, symbols, on_progress)
            await self._to_redis(key, known)
        finally:
            await self._end(key, token)
        if fresh and self._archive is not None and (self._learning is None or self._learning.done()):
            self._learning = asyncio.create_task(self._learn(self._archive, fresh, known.timeframe))
        return known

    async def _from_redis(self, key: str, known: Universe) -> None:
        if self._redis is None or self._redis_away.lasts:
            return
        try:
            kept = await self._redis.get(key)
        except (RedisError, OSError) as error:
            self._redis_away.begin(error)
            return
        self._redis_away.end()
        shared = await asyncio.to_thread(unpacked, kept, known.timeframe) if kept is not None else None
        if shared is not None and shared.close == known.close and shared.bars >= known.bars:
            known.candles = shared.candles | known.candles
            known.absent = shared.absent | known.absent
            known.origins = shared.origins

    async def _begin(self, key: str, token: str) -> bool:
        """Whether it is ours to fetch; a Redis that is away has everybody fetch."""
        if self._redis is None or self._redis_away.lasts:
            return True
        try:
            return bool(await self._redis.set(f"{key}:busy", token, nx=True, ex=_FETCH_WITHIN))
        except (RedisError, OSError) as error:
            self._redis_away.begin(error)
            return True

    async def _end(self, key: str, token: str) -> None:
        if self._redis is None or self._redis_away.lasts:
            return
        try:
            if await self._redis.get(f"{key}:busy") == token.encode():
                await self._redis.delete(f"{key}:busy")
        except (RedisError, OSError) as error:
            self._redis_away.begin(error)

    async def _to_redis(self, key: str, known: Universe) -> None:
        if self._redis is None or self._redis_away.lasts:
            return
        shared = PackedUniverse(known.bars, known.close, known.candles, known.absent, known.origins)
        body = await asyncio.to_thread(packed, shared)
        try:
            await self._redis.set(key, body, ex=TTL)
        except (RedisError, OSError) as error:
            self._redis_away.begin(error)

    async def _from_archive(self, known: Universe, symbols: Sequence[str]) -> None:
        """What the archive has up to the newest bar, in one question for all."""
        if self._archive is None or self._archive_away.lasts:
            return
        span = Span(known.close - known.bars * known.timeframe.milliseconds, known.close)
        try:
            found = await self._archive.read_many(known.lacks(symbols), known.timeframe, span)
        except StoreUnavailable as error:
            self._archive_away.begin(error)
            return
        self._archive_away.end()
        for symbol, archived in found.items():
            if len(archived.candles) and not without(span, archived.covered):
                known.candles[symbol] = archived.candles
                for origin in archived.origins:
                    known.origins[origin] = known.origins.get(origin, 0) + 1

    async def _from_source(
        self, known: Universe, symbols: Sequence[str], on_progress: OnProgress | None
    ) -> list[MarketCandles]:
        """Asks the exchange for the rest. One symbol that fails is absent; all that fail are an error."""
        wanted, fresh, failures = known.lacks(symbols), [], []
        known.failed = {}
        gate = asyncio.Semaphore(_AT_ONCE)

        async def ask(symbol: str) -> None:
            async with gate:
                try:
                    fresh.append(await self._ask(known, symbol))
                except SourceUnavailable as error:
                    failures.append(error)
                    known.failed[symbol] = _why(error)
                except UnknownSymbol:
                    known.absent[symbol] = "not traded at present"
                except CryptoMcpError as error:
                    known.absent[symbol] = error.message
            if on_progress is not None:
                await on_progress((len(fresh) + len(failures)) / len(wanted))

        with asking_as(Priority.SCAN, alone=self._redis is not None):
            await asyncio.gather(*(ask(symbol) for symbol in wanted))
        if failures and not fresh and not known.candles:
            raise failures[0]
        return fresh

    async def _ask(self, known: Universe, symbol: str) -> MarketCandles:
        before = self._before.get(known.timeframe, {}).get(symbol)
        behind = (known.close - int(before.close_time[-1])) // before.step if before is not None else known.bars
        if before is not None and 0 < behind <= _CATCH_UP and len(before) >= known.bars:
            market = await self._source.candles(symbol, known.timeframe, behind + 1)
            candles = _continued(before, market.candles, known.bars)
            if candles is None:  # what had closed was corrected
                market = await self._source.candles(symbol, known.timeframe, known.bars)
        else:
            market = await self._source.candles(symbol, known.timeframe, known.bars)
            candles = None
        if not up_to_date(market.candles, known.timeframe, known.observed_at.timestamp()):
            known.absent[symbol] = LATE
            return market
        known.candles[symbol] = market.candles if candles is None else candles
        if market.origin:
            known.origins[market.origin] = known.origins.get(market.origin, 0) + 1
        return market

    async def _learn(self, archive: CandleArchive, fresh: list[MarketCandles], timeframe: Timeframe) -> None:
        """Has the archive learn what the exchange said, behind the answers."""
        for market in fresh:
            for fetching in list(self._locks.values()):
                async with fetching:  # jobs come first
                    pass
            try:
                await archive.learn(market.symbol, timeframe, known_newest(market))
            except StoreUnavailable as error:
                self._archive_away.begin(error)
                return
            await asyncio.sleep(_LEARN_EVERY)


def _why(error: SourceUnavailable) -> str:
    """In the same words for all symbols."""
    if isinstance(error, BadSourceData):
        return "the exchange answered with data that cannot be"
    return "the allowance was used up" if isinstance(error, SourceBusy) else "the exchange did not answer"


def _continued(before: Candles, after: Candles, bars: int) -> Candles | None:
    """The newest bars of both, which have one in common; None if they do not agree on it."""
    place = int(np.searchsorted(before.open_time, after.open_time[0]))
    common = before[place:]
    agree = len(common) > 0 and all(
        np.array_equal(getattr(common, name), getattr(after, name)[: len(common)]) for name in COLUMNS
    )
    if not agree:
        return None
    columns = [np.concatenate([getattr(before, name)[:place], getattr(after, name)])[-bars:] for name in COLUMNS]
    times, open_, high, low, close, volume = columns
    return Candles(times, open_, high, low, close, volume, before.step)
