"""The candle archive (L3): months of closed bars in MongoDB, for as long as anybody likes.

Every write is a read, a change in memory, and a replacement of exactly the version that was read: of two writers one
goes first, and the other learns what it wrote. Nothing is ever half written.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.market.candle_codec import DamagedCandles, pack
from crypto_mcp.market.candle_month import ABSENT, Known, Month, SeriesKey, cut, in_order, month_name
from crypto_mcp.market.coverage import Span, joined, month_of, months, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from crypto_mcp.market.candle_month import Hole
    from crypto_mcp.models.candles import Candles
    from crypto_mcp.models.timeframes import Timeframe
    from crypto_mcp.stores.candle_documents import CandleDocuments

log = structlog.get_logger(__name__)

_AT_ONCE = 16
"""Months read at a time to be changed."""

_TURNS, _PAUSE = 20, 0.01
"""Writers of one month that may come in between before a write is given up; seconds to let them, growing by turn."""


class Venue(Protocol):
    """Whose market the bars are of."""

    async def venue(self) -> str:
        """Its name, such as `binance`; every replay of a sandbox has one of its own."""
        ...


@dataclass(frozen=True, slots=True)
class NamedVenue:
    """A venue whose name is known."""

    name: str

    async def venue(self) -> str:
        """See `Venue`."""
        return self.name


@dataclass(frozen=True, slots=True)
class Archived:
    """What the archive knows of a span.

    Attributes:
        candles: the bars that begin in it, oldest first.
        covered: where nothing more is to be known.
        holes: bars that do not exist, and why.
        origins: what a reader must know of where they come from.
    """

    candles: Candles
    covered: list[Span]
    holes: list[Hole]
    origins: tuple[str, ...]


class CandleArchive:
    """Months of bars of one venue. Methods raise `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, documents: CandleDocuments, venue: Venue) -> None:
        self._documents = documents
        self.venue = venue.venue

    async def read(self, symbol: str, timeframe: Timeframe, span: Span) -> Archived:
        """What is known of the bars that begin in a span."""
        return (await self.read_many([symbol], timeframe, span))[symbol]

    async def read_many(self, symbols: Iterable[str], timeframe: Timeframe, span: Span) -> dict[str, Archived]:
        """The same of several symbols, in one question."""
        venue = await self.venue()
        keys = {symbol: SeriesKey(venue, symbol, timeframe) for symbol in symbols}
        names = [key.month_id(month) for key in keys.values() for month in months(span)]
        found: dict[str, list[Month]] = {symbol: [] for symbol in keys}
        for document in await self._documents.find(names):
            try:
                month = Month.from_document(document)
            except DamagedCandles:
                log.exception("archived candles are damaged", document=document["_id"])
                continue
            found[month.key.symbol].append(month)
        return {symbol: _archived(parts, timeframe, span) for symbol, parts in found.items()}

    async def learn(self, symbol: str, timeframe: Timeframe, known: Known) -> None:
        """Keeps what was said of a span; inside it the bars of whole months are replaced."""
        key = SeriesKey(await self.venue(), symbol, timeframe)
        spans = list(months(known.span)) if known.span.start < known.span.end else []
        for first in range(0, len(spans), _AT_ONCE):
            part = spans[first : first + _AT_ONCE]
            kept = await self._kept(key, part)
            new = [month.learned(known) for month in kept if month.version == ABSENT]
            taken = await self._documents.insert([month.to_document(0) for month in new if month.covered])
            for month in kept:
                if month.version != ABSENT or key.month_id(month.span) in taken:
                    await self._change(month, partial(Month.learned, known=known))

    async def append(self, symbol: str, timeframe: Timeframe, candles: Candles) -> None:
        """Keeps single closed bars, as a feed brings them; those it has already change nothing.

        A bar that is kept with other figures is forgotten instead, and asked for when it is next needed.
        """
        key = SeriesKey(await self.venue(), symbol, timeframe)
        while len(candles):
            month = month_of(int(candles.open_time[0]))
            block = cut(candles, month)
            first, last = (datetime.fromtimestamp(int(block.open_time[i]) / 1000, UTC) for i in (0, -1))
            if not await self._documents.append(key.month_id(month), pack(block), len(block), first, last):
                (kept,) = await self._kept(key, [month])
                await self._change(kept, partial(Month.appended, candles=block))
            candles = candles[len(block) :]

    async def status(self, symbol: str | None = None) -> list[dict[str, Any]]:
        """For each symbol and timeframe: months, bars, bytes, first, last, holes."""
        query = {"venue": await self.venue()} | ({"symbol": symbol} if symbol else {})
        return await self._documents.sizes(query)

    async def holes(self, symbol: str, timeframe: Timeframe) -> list[dict[str, Any]]:
        """Months with missing bars, without their bars."""
        query = {"venue": await self.venue(), "symbol": symbol, "timeframe": timeframe.value, "holes.0": {"$exists": 1}}
        return await self._documents.describe(query)

    async def _change(self, kept: Month, change: Callable[[Month], Month]) -> None:
        for turn in range(_TURNS):
            changed = change(kept)
            if changed is kept:
                return
            if await self._documents.replace(changed.to_document(kept.version + 1), kept.version):
                return
            await asyncio.sleep(random.uniform(0, _PAUSE * turn))  # noqa: S311 - no secret # nosec B311
            (kept,) = await self._kept(kept.key, [kept.span])
        raise StoreUnavailable(
            f"{kept.key.symbol} {kept.key.timeframe} {month_name(kept.span)} is written by too many at once",
            hint="Try again.",
            retry_after=1,
        )

    async def _kept(self, key: SeriesKey, spans: Sequence[Span]) -> list[Month]:
        """The months as they are kept; a damaged one counts for nothing but its version."""
        kept = {key.month_id(span): Month.empty(key, span) for span in spans}
        for document in await self._documents.find(kept):
            name = document["_id"]
            try:
                kept[name] = Month.from_document(document)
            except DamagedCandles:
                kept[name] = replace(kept[name], version=document["version"])
        return list(kept.values())


def _archived(parts: list[Month], timeframe: Timeframe, span: Span) -> Archived:
    parts.sort(key=lambda month: month.span)
    return Archived(
        candles=cut(in_order([month.candles for month in parts], timeframe), span),
        covered=within(span, joined(part for month in parts for part in month.covered)),
        holes=[hole for month in parts for hole in month.holes if within(span, [Span(hole.start, hole.end)])],
        origins=tuple(dict.fromkeys(month.origin for month in parts if month.origin)),
    )
