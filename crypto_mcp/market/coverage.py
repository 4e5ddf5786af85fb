"""Spans of time of which the bars are known: sorted, apart from each other, half open, in milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Span(NamedTuple):
    """From `start` up to but not including `end`, milliseconds since the epoch."""

    start: int
    end: int


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same time in as few spans as hold it."""
    whole: list[Span] = []
    for span in sorted(span for span in spans if span.start < span.end):
        if whole and span.start <= whole[-1].end:
            whole[-1] = Span(whole[-1].start, max(whole[-1].end, span.end))
        else:
            whole.append(span)
    return whole


def without(span: Span, known: Iterable[Span]) -> list[Span]:
    """What of `span` lies in none of the known ones, which are joined."""
    left, start = [], span.start
    for other in known:
        if other.end <= start or other.start >= span.end:
            continue
        if other.start > start:
            left.append(Span(start, other.start))
        start = max(start, other.end)
    if start < span.end:
        left.append(Span(start, span.end))
    return left


def within(span: Span, known: Iterable[Span]) -> list[Span]:
    """What of `span` lies in the known ones."""
    cut = (Span(max(span.start, other.start), min(span.end, other.end)) for other in known)
    return [part for part in cut if part.start < part.end]


def month_of(time: int) -> Span:
    """The calendar month, UTC, that a time lies in."""
    at = datetime.fromtimestamp(time / 1000, UTC)
    begin = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    after = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    return Span(int(begin.timestamp() * 1000), int(after.timestamp() * 1000))


def months(span: Span) -> list[Span]:
    """The calendar months that a span touches, oldest first."""
    found = [month_of(span.start)]
    while found[-1].end < span.end:
        found.append(month_of(found[-1].end))
    return found
