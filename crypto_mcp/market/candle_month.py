"""A month of one symbol's bars, as the archive keeps it: one document.

_id          venue/symbol/timeframe/month
version      rises with every write; a writer replaces only the version it has read
covered      spans of which the bars are known: a bar that is missing there is known not to exist
data         the bars, packed; `checksum` is of them and of the `_id`
tail         bars that were appended since they were packed, one packed block an append
last         open time of the newest bar, the tail's included
holes        missing bars inside `covered`, and why
origin       what a reader must know of where the bars come from, or null
observed_at  the exchange's time when it was asked last
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crypto_mcp.market.candle_codec import DamagedCandles, pack, unpack
from crypto_mcp.market.coverage import Span, joined, within, without
from crypto_mcp.models.candles import COLUMNS, Candles
from crypto_mcp.models.timeframes import Timeframe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MOST_HOLES = 100
"""Holes a document lists; `covered` knows of all."""

ABSENT = -1
"""Version of a month that nobody has written yet."""


class SeriesKey(NamedTuple):
    """Whose bars: the venue (an exchange's market, or one replay of a sandbox), the symbol, the timeframe."""

    venue: str
    symbol: str
    timeframe: Timeframe

    def month_id(self, month: Span) -> str:
        """Of the document of a month."""
        return f"{self.venue}/{self.symbol}/{self.timeframe}/{month_name(month)}"


class Hole(NamedTuple):
    """Bars that do not exist, from the first missing open time to the next bar there is, and why."""

    start: int
    end: int
    why: str


@dataclass(frozen=True, slots=True)
class Known:
    """What an exchange, or a file, said about a span: exactly these bars lie in it.

    Attributes:
        span: that was asked for.
        candles: all bars that begin in it.
        origin: what a reader must know of where they come from, or None.
        observed_at: the exchange's time when it was asked, milliseconds.
        why: why bars are missing after the last one, where that is known.
    """

    span: Span
    candles: Candles
    origin: str | None
    observed_at: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Month:
    """What is kept of one month. `covered` lies inside `span`, and the candles inside `covered`."""

    key: SeriesKey
    span: Span
    version: int
    candles: Candles
    covered: tuple[Span, ...] = ()
    holes: tuple[Hole, ...] = ()
    origin: str | None = None
    observed_at: int = 0

    @classmethod
    def empty(cls, key: SeriesKey, span: Span) -> Month:
        """A month of which nothing is known."""
        return cls(key, span, ABSENT, no_candles(key.timeframe))

    def learned(self, known: Known) -> Month:
        """With what was said of a span. An answer older than what is kept fills only what was not known."""
        asked = within(self.span, [known.span])
        fresh = [part for whole in asked for part in without(whole, self.covered)]
        spans = fresh if known.observed_at < self.observed_at else asked
        if not spans:
            return self
        kept = _outside(self.candles, spans)
        said = _inside(known.candles, spans)
        candles = in_order([kept, said], self.key.timeframe)
        return replace(
            self,
            candles=candles,
            covered=tuple(joined([*self.covered, *spans])),
            holes=_holes(self.holes, candles, spans, known),
            origin=known.origin if len(said) or self.origin is None else self.origin,
            observed_at=max(self.observed_at, known.observed_at),
        )

    def appended(self, candles: Candles) -> Month:
        """With single closed bars. One that is kept with other figures is doubted: the exchange is asked again."""
        new = _inside(candles, [self.span])
        places = np.searchsorted(self.candles.open_time, new.open_time)
        clipped = np.minimum(places, max(0, len(self.candles) - 1))
        there = np.zeros(len(new), dtype=np.bool_)
        if len(self.candles):
            there = self.candles.open_time[clipped] == new.open_time
        same = there.copy()
        for name in COLUMNS[1:] if len(self.candles) else ():
            same &= getattr(self.candles, name)[clipped] == getattr(new, name)
        if same.all():
            return self
        step = self.key.timeframe.milliseconds
        doubted = [Span(int(t), int(t) + step) for t in new.open_time[there & ~same]]
        added = _pick(new, ~there)
        spans = [Span(int(t), int(t) + step) for t in added.open_time]
        covered = joined([*self.covered, *within(self.span, spans)])
        covered = [part for span in covered for part in without(span, doubted)]
        kept = _outside(self.candles, doubted)
        return replace(self, candles=in_order([kept, added], self.key.timeframe), covered=tuple(covered))

    def to_document(self, version: int) -> dict[str, Any]:
        """As it is kept."""
        data, name = pack(self.candles), self.key.month_id(self.span)
        first, last = (int(self.candles.open_time[i]) if len(self.candles) else None for i in (0, -1))
        return {
            "_id": name,
            **self.key._asdict(),
            "timeframe": self.key.timeframe.value,
            "month": month_name(self.span),
            "version": version,
            "bars": len(self.candles),
            "first": _date(first),
            "last": _date(last),
            "covered": [list(span) for span in self.covered],
            "holes": [list(hole) for hole in self.holes[:_MOST_HOLES]],
            "origin": self.origin,
            "observed_at": _date(self.observed_at),
            "data": data,
            "checksum": checksum(name, data),
            "tail": [],
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Month:
        """What was kept. `DamagedCandles` if it is not what was written."""
        try:
            return cls._read(document)
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedCandles(f"the document {document.get('_id')} is damaged: {error}") from error

    @classmethod
    def _read(cls, document: dict[str, Any]) -> Month:
        timeframe = Timeframe(document["timeframe"])
        key = SeriesKey(document["venue"], document["symbol"], timeframe)
        begin = datetime.strptime(document["month"], "%Y-%m").replace(tzinfo=UTC)
        after = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
        span = Span(*(int(at.timestamp() * 1000) for at in (begin, after)))
        name, data = document["_id"], document["data"]
        if document["checksum"] != checksum(name, data) or name != key.month_id(span):
            raise DamagedCandles(f"the checksum of {name} is wrong", hint="Its bars are asked for anew.")
        step = timeframe.milliseconds
        tail = [unpack(block, step) for block in document["tail"]]
        own = [Span(int(t), min(int(t) + step, span.end)) for block in tail for t in block.open_time]
        candles = unpack(data, step)
        return cls(
            key=key,
            span=span,
            version=document["version"],
            candles=in_order([candles, *tail], timeframe) if tail else candles,
            covered=tuple(joined([*(Span(*part) for part in document["covered"]), *own])),
            holes=tuple(Hole(*hole) for hole in document["holes"]),
            origin=document["origin"],
            observed_at=int(document["observed_at"].timestamp() * 1000),
        )


def checksum(name: str, data: bytes) -> bytes:
    """Of the packed bars under their name, eight bytes."""
    return hashlib.blake2b(name.encode() + b"\0" + data, digest_size=8).digest()


def month_name(month: Span) -> str:
    """`2024-03`."""
    return f"{datetime.fromtimestamp(month.start / 1000, UTC):%Y-%m}"


def no_candles(timeframe: Timeframe) -> Candles:
    """None at all."""
    nothing = np.empty(0, dtype=np.float64)
    return _table([np.empty(0, dtype=np.int64), *[nothing] * 5], timeframe.milliseconds)


def in_order(parts: Sequence[Candles], timeframe: Timeframe) -> Candles:
    """Bars of several parts, which have none in common, by time."""
    filled = [part for part in parts if len(part)]
    if len(filled) <= 1:
        return filled[0] if filled else no_candles(timeframe)
    columns = [np.concatenate([getattr(part, name) for part in filled]) for name in COLUMNS]
    if not (np.diff(columns[0]) > 0).all():
        order = np.argsort(columns[0], kind="stable")
        columns = [column[order] for column in columns]
    return _table(columns, timeframe.milliseconds)


def cut(candles: Candles, span: Span) -> Candles:
    """The bars that begin in a span; a view."""
    first, last = np.searchsorted(candles.open_time, [span.start, span.end])
    return candles[int(first) : int(last)]


def _pick(candles: Candles, chosen: NDArray[np.bool_]) -> Candles:
    return _table([getattr(candles, name)[chosen] for name in COLUMNS], candles.step)


def _table(columns: Sequence[Any], step: int) -> Candles:
    times, open_, high, low, close, volume = columns
    return Candles(times, open_, high, low, close, volume, step)


def _inside(candles: Candles, spans: Iterable[Span]) -> Candles:
    return _pick(candles, _is_inside(candles, spans))


def _outside(candles: Candles, spans: Iterable[Span]) -> Candles:
    return _pick(candles, ~_is_inside(candles, spans))


def _is_inside(candles: Candles, spans: Iterable[Span]) -> NDArray[np.bool_]:
    chosen = np.zeros(len(candles), dtype=np.bool_)
    for start, end in spans:
        first, last = np.searchsorted(candles.open_time, [start, end])
        chosen[first:last] = True
    return chosen


def _holes(before: Iterable[Hole], candles: Candles, spans: list[Span], known: Known) -> tuple[Hole, ...]:
    """Where bars are missing in the spans just learned; those of elsewhere stay."""
    holes = [hole for hole in before if not within(Span(hole.start, hole.end), spans)]
    for span in spans:
        inside = cut(candles, span)
        step = candles.step
        times = inside.open_time
        if not len(times):
            holes.append(Hole(*span, known.why or "no bars"))
            continue
        gaps = np.flatnonzero(np.diff(times) > step)
        holes += [Hole(int(times[g]) + step, int(times[g + 1]), "missing at the exchange") for g in gaps]
        if times[0] >= span.start + step:
            holes.append(Hole(span.start, int(times[0]), "no bars before"))
        if times[-1] + step < span.end:
            holes.append(Hole(int(times[-1]) + step, span.end, known.why or "no bars after"))
    return tuple(sorted(holes))


def _date(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
