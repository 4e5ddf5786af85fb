"""Closed bars from the nearest place that has them.

L1 is this process's memory, L2 Redis db 0, L3 the archive in MongoDB; what none of them knows the exchange is asked,
and the archive learns it. A store that is away is passed over: the exchange still has everything.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from crypto_mcp.errors import InvalidRequest, NotEnoughData, SourceUnavailable, StoreUnavailable
from crypto_mcp.market.bar_times import closed_bars, newest_close, up_to_date
from crypto_mcp.market.binance_klines import describe_gaps
from crypto_mcp.market.candle_archive import Archived
from crypto_mcp.market.candle_month import Known, cut, in_order, no_candles
from crypto_mcp.market.candles import MarketCandles, source_of
from crypto_mcp.market.coverage import Span, joined, without
from crypto_mcp.market.recent_candles import Recent
from crypto_mcp.market.single_flight import SingleFlight
from crypto_mcp.stores.cache import Outage

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from crypto_mcp.market.candle_archive import CandleArchive
    from crypto_mcp.market.candles import CandleSource
    from crypto_mcp.market.recent_candles import RecentCandles
    from crypto_mcp.models.candles import Candles
    from crypto_mcp.models.timeframes import Timeframe

MEMORY = 50_000_000
"""Bytes of bars a process keeps (L1)."""

_BELIEVED_FOR = 60.0
"""Seconds for which a range in L1 is believed; then the archive is asked whether something was corrected."""

_LATE = 3_600_000
"""Milliseconds after its close in which a bar that is missing may still come."""

_APART = 8
"""Spans that are asked for one by one; more are asked for as one."""

_EVER = 1 << 60


@dataclass(frozen=True, slots=True)
class _Range:
    """All there is to know of a span, believed until then."""

    archived: Archived
    span: Span
    until: float


class CandleReader:
    """Candles by number or by time. One for a process.

    `recent` and `archive` may be absent: then nothing is kept there.
    """

    def __init__(
        self, source: CandleSource, recent: RecentCandles | None = None, archive: CandleArchive | None = None
    ) -> None:
        self._source = source
        self._recent = recent
        self._archive = archive
        self._newest: LRUCache[tuple[str, Timeframe], Recent] = LRUCache(
            MEMORY // 2, getsizeof=lambda kept: _bytes(kept.market.candles)
        )
        self._ranges: LRUCache[tuple[str, Timeframe], _Range] = LRUCache(
            MEMORY // 2, getsizeof=lambda kept: _bytes(kept.archived.candles)
        )
        self._flights: dict[tuple[str, Timeframe, int], SingleFlight[Recent]] = {}
        self._outage = Outage("candle archive", pause=5.0)
        self._background: set[asyncio.Task[None]] = set()
        self._learning = asyncio.Semaphore(1)

    async def newest(self, symbol: str, timeframe: Timeframe, bars: int, *, least: int = 1) -> MarketCandles:
        """The newest `bars` closed bars, or all there are.

        Raises:
            UnknownSymbol: the exchange lists no such symbol, or does not trade it.
            NotEnoughData: there are fewer than `least`.
            SourceUnavailable: the exchange is away, or says what cannot be. Never a made-up bar.
        """
        now = await self._source.now()
        kept = self._newest.get((symbol, timeframe))
        if kept is None or not _serves(kept, timeframe, bars, now):
            kept = await self._shared(symbol, timeframe, bars)
        candles = kept.market.candles[-bars:]
        if len(candles) < max(1, least):
            raise NotEnoughData(
                f"{symbol} has {len(candles)} closed bars of {timeframe}, {max(1, least)} are needed",
                hint="Choose a shorter timeframe, or a symbol that has traded for longer.",
            )
        return _market(symbol, candles, kept.market.source, now, kept.market.origin)

    async def between(self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime) -> MarketCandles:
        """The closed bars that begin from `start` on and before `end` (both with their zone), oldest first.

        Bars the exchange does not have are missing; `note` says how many and where. What the archive has of all of that
        time is read though the exchange is away: which of them had closed it knows.

        Raises:
            InvalidRequest: `end` is not later than `start`, or one of them has no zone.
            UnknownSymbol, SourceUnavailable: as for `newest`.
            NotEnoughData: there is no closed bar in that time.
        """
        if start.tzinfo is None or end.tzinfo is None:
            raise InvalidRequest("a time without its zone", hint="Give times with their zone, such as ...T00:00Z.")
        if end <= start:
            raise InvalidRequest("the end is not later than the start", hint="Swap them, or widen the range.")
        now, away = await self._time()
        span = closed_bars(Span(*(int(moment.timestamp() * 1000) for moment in (start, end))), timeframe, now)
        found = await self._known(symbol, timeframe, span, now, away)
        if not len(found.candles):
            raise NotEnoughData(
                f"{symbol} has no closed bar of {timeframe} between {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M}",
                hint="Choose a time in which the symbol traded.",
            )
        source = source_of(await self._source.venue())
        return _market(symbol, found.candles, source, now, "; ".join(found.origins) or None)

    async def close(self) -> None:
        """Waits for what is still being kept."""
        await asyncio.gather(*self._background, return_exceptions=True)

    async def _time(self) -> tuple[float, SourceUnavailable | None]:
        """The exchange's time; this machine's and the error where it is away."""
        try:
            return await self._source.now(), None
        except SourceUnavailable as error:
            return time.time(), error

    async def _shared(self, symbol: str, timeframe: Timeframe, bars: int) -> Recent:
        """One run for all who ask the same at the same time."""
        key = (symbol, timeframe, bars)
        if key not in self._flights:
            self._flights[key] = SingleFlight(lambda: self._newest_from_afar(*key))
        try:
            return await self._flights[key]()
        finally:
            self._flights.pop(key, None)

    async def _newest_from_afar(self, symbol: str, timeframe: Timeframe, bars: int) -> Recent:
        """L2, the archive, the exchange: the first that has the bar that closed last, and enough before it."""
        now, venue = await self._source.now(), await self._source.venue()
        found = await self._recent.get(venue, symbol, timeframe) if self._recent is not None else None
        if found is None or not _serves(found, timeframe, bars, now):
            market = await self._newest_archived(symbol, timeframe, bars, now)
            if market is None:
                market = await self._source.candles(symbol, timeframe, bars)
                self._later(self._learn_behind(symbol, timeframe, known_newest(market)))
            found = Recent(market, bars)
            if self._recent is not None:
                await self._recent.put(venue, timeframe, found)
        self._newest[symbol, timeframe] = found
        return found

    async def _newest_archived(self, symbol: str, timeframe: Timeframe, bars: int, now: float) -> MarketCandles | None:
        """The newest bars, if the archive has them all."""
        end = newest_close(timeframe, now)
        span = Span(end - bars * timeframe.milliseconds, end)
        archived = await self._archived(symbol, timeframe, span)
        if without(span, archived.covered) or len(archived.candles) < bars:
            return None
        source = source_of(await self._source.venue())
        return _market(symbol, archived.candles, source, now, "; ".join(archived.origins) or None)

    async def _known(
        self, symbol: str, timeframe: Timeframe, span: Span, now: float, away: SourceUnavailable | None
    ) -> Archived:
        """All there is to know of a span; what nobody knew before is learned. `away`: why nobody can be asked."""
        kept = self._ranges.get((symbol, timeframe))
        if kept is not None and kept.span.start <= span.start and span.end <= kept.span.end and now < kept.until:
            return replace(kept.archived, candles=cut(kept.archived.candles, span))
        found = await self._archived(symbol, timeframe, span)
        missing = without(span, found.covered)
        if len(missing) > _APART:
            missing = [Span(missing[0].start, missing[-1].end)]
        if missing and away is not None:
            raise _with_what_is_known(away, found) from away
        try:
            learned = await asyncio.gather(*(self._ask(symbol, timeframe, part) for part in missing))
        except SourceUnavailable as error:
            raise _with_what_is_known(error, found) from error
        for known in learned:
            found = _joined(found, known, timeframe)
        if not without(span, found.covered):
            self._ranges[symbol, timeframe] = _Range(found, span, now + _BELIEVED_FOR)
        return found

    async def _archived(self, symbol: str, timeframe: Timeframe, span: Span) -> Archived:
        """What the archive knows; nothing if it is away."""
        nothing = Archived(no_candles(timeframe), [], [], ())
        if self._archive is None or self._outage.lasts or span.start >= span.end:
            return nothing
        try:
            found = await self._archive.read(symbol, timeframe, span)
        except StoreUnavailable as error:
            self._outage.begin(error)
            return nothing
        self._outage.end()
        return found

    async def _ask(self, symbol: str, timeframe: Timeframe, span: Span) -> Known:
        """What the exchange says of a span; the archive learns it before anybody uses it."""
        known = known_of(await self._source.between(symbol, timeframe, span.start, span.end), span)
        await self._learn(symbol, timeframe, known)
        return known

    async def _learn(self, symbol: str, timeframe: Timeframe, known: Known) -> None:
        if self._archive is None or self._outage.lasts:
            return
        try:
            await self._archive.learn(symbol, timeframe, known)
        except StoreUnavailable as error:
            self._outage.begin(error)

    async def _learn_behind(self, symbol: str, timeframe: Timeframe, known: Known) -> None:
        """One series at a time: a year of days is a dozen writes, and others wait for bars meanwhile."""
        async with self._learning:
            await self._learn(symbol, timeframe, known)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def known_of(market: MarketCandles, span: Span) -> Known:
    """What an exchange's answer says of the span it was asked for.

    That a bar is missing at the end is taken for true only an hour after it should have closed.
    """
    candles, observed = market.candles, int(market.observed_at.timestamp() * 1000)
    last = int(candles.close_time[-1]) if len(candles) else span.start
    end = span.end if span.end <= max(last, observed - _LATE) else max(last, observed - _LATE - candles.step)
    return Known(Span(span.start, max(span.start, min(span.end, end))), candles, market.origin, observed)


def known_newest(market: MarketCandles) -> Known:
    """The newest bars are known from the first to the last of them."""
    first, last = int(market.candles.open_time[0]), int(market.candles.close_time[-1])
    return known_of(market, Span(first, last))


def _serves(kept: Recent, timeframe: Timeframe, bars: int, now: float) -> bool:
    return kept.asked >= bars and up_to_date(kept.market.candles, timeframe, now)


def _market(symbol: str, candles: Candles, source: str, now: float, origin: str | None) -> MarketCandles:
    notes = [note for note in (origin, describe_gaps(candles)) if note]
    return MarketCandles(
        symbol=symbol,
        candles=candles,
        source=source,
        observed_at=datetime.fromtimestamp(now, UTC),
        note="; ".join(notes) or None,
        origin=origin,
    )


def _joined(found: Archived, known: Known, timeframe: Timeframe) -> Archived:
    candles = found.candles
    parts = [cut(candles, Span(0, known.span.start)), known.candles, cut(candles, Span(known.span.end, _EVER))]
    origins = [*found.origins, *([known.origin] if known.origin and len(known.candles) else [])]
    return Archived(
        candles=in_order(parts, timeframe),
        covered=joined([*found.covered, known.span]),
        holes=found.holes,
        origins=tuple(dict.fromkeys(origins)),
    )


def _with_what_is_known(error: SourceUnavailable, found: Archived) -> SourceUnavailable:
    """The same error, saying what the archive has of the range."""
    if not len(found.candles):
        return error
    first, last = (datetime.fromtimestamp(int(found.candles.open_time[i]) / 1000, UTC) for i in (0, -1))
    has = f"The archive has {len(found.candles)} bars of it, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC."
    return type(error)(error.message, hint=f"{error.hint} {has}".strip(), retry_after=error.retry_after)


def _bytes(candles: Candles) -> int:
    return 48 * len(candles) + 1000
