"""Filling the archive on purpose: from files, and from the exchange over as long a time as is wanted.

Both go on where they were ended: what the archive knows is neither asked for nor written again.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.errors import Unavailable
from crypto_mcp.market.allowance.asking import Priority, asking_as
from crypto_mcp.market.bar_times import closed_bars
from crypto_mcp.market.candle_month import Known, cut
from crypto_mcp.market.candle_reader import known_of
from crypto_mcp.market.coverage import Span, months, without
from crypto_mcp.models.candles import COLUMNS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from crypto_mcp.market.candle_archive import CandleArchive
    from crypto_mcp.market.candle_files import CandleFile
    from crypto_mcp.market.candles import CandleSource
    from crypto_mcp.models.candles import Candles, Floats
    from crypto_mcp.models.timeframes import Timeframe

BARS_AT_ONCE = 8000
"""Bars asked for before they are kept: so many are asked again at most after an interruption."""

_MONTHS_AT_ONCE = 8
_PAUSE = 5.0
GIVE_UP_AFTER = 600.0
"""Seconds without an answer after which filling ends; what was filled stays."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a file's bars.

    Attributes:
        bars: closed ones in the file.
        new: that the archive did not have.
        differing: that it has with other figures; replaced only if that was asked for.
    """

    bars: int
    new: int
    differing: int


@dataclass(frozen=True, slots=True)
class Filled:
    """How far filling has come: of `bars` that are missing, `done` were asked for and `found` exist.

    `waiting`: why it waits, and for how many seconds; empty if it does not.
    """

    bars: int
    done: int
    found: int
    waiting: str = ""


async def take(archive: CandleArchive, file: CandleFile, candles: Candles, *, replace: bool = False) -> Taken:
    """Keeps the bars of a file that the archive does not have; all of them with `replace`.

    That a file lacks a bar is not taken for a fact: it stays unknown, and the exchange is asked when it is needed.

    Raises:
        StoreUnavailable: MongoDB does not answer.
    """
    now = int(time.time() * 1000)
    candles = candles[: int(np.searchsorted(candles.close_time, now, side="right"))]
    taken = await _compared(archive, file, candles)
    if not taken.new and not (replace and taken.differing):
        return taken
    gate = asyncio.Semaphore(_MONTHS_AT_ONCE)
    origin = f"imported from {file.path.name}"

    async def learn(runs: list[Candles]) -> None:
        async with gate:
            for run in runs:
                span = Span(int(run.open_time[0]), int(run.close_time[-1]))
                known = Known(span, run, origin, now if replace else span.end)
                await archive.learn(file.symbol, file.timeframe, known)

    await asyncio.gather(*(learn(runs) for runs in _months_of_runs(candles)))
    return taken


async def fill(
    source: CandleSource, archive: CandleArchive, symbol: str, timeframe: Timeframe, span: Span
) -> AsyncIterator[Filled]:
    """Asks the exchange for all closed bars of a span that the archive does not know, oldest first.

    It asks after everybody else, and waits while the exchange cannot be asked.

    Raises:
        UnknownSymbol: the exchange lists no such symbol.
        Unavailable: the exchange or MongoDB did not answer for ten minutes.
    """
    whole = closed_bars(span, timeframe, await source.now())
    known = await archive.read(symbol, timeframe, whole)
    parts = [part for hole in without(whole, known.covered) for part in _parts(hole, timeframe)]
    bars = sum((part.end - part.start) // timeframe.milliseconds for part in parts)
    done = found = 0
    answered = time.monotonic()
    yield Filled(bars, 0, 0)
    for part in parts:
        while True:
            try:
                with asking_as(Priority.ARCHIVE):
                    said = known_of(await source.between(symbol, timeframe, part.start, part.end), part)
                await archive.learn(symbol, timeframe, said)
                break
            except Unavailable as error:
                pause = error.retry_after or _PAUSE
                if not error.retryable or time.monotonic() + pause - answered > GIVE_UP_AFTER:
                    raise
                yield Filled(bars, done, found, f"{error.message}; again in {pause:.0f} s")
                await asyncio.sleep(pause)
        answered = time.monotonic()
        done += (part.end - part.start) // timeframe.milliseconds
        found += len(said.candles)
        yield Filled(bars, done, found)


def _parts(span: Span, timeframe: Timeframe) -> Iterator[Span]:
    length = BARS_AT_ONCE * timeframe.milliseconds
    for start in range(span.start, span.end, length):
        yield Span(start, min(span.end, start + length))


async def _compared(archive: CandleArchive, file: CandleFile, candles: Candles) -> Taken:
    """The file beside what is kept."""
    if not len(candles):
        return Taken(0, 0, 0)
    span = Span(int(candles.open_time[0]), int(candles.close_time[-1]))
    kept = (await archive.read(file.symbol, file.timeframe, span)).candles
    _, ours, theirs = np.intersect1d(candles.open_time, kept.open_time, assume_unique=True, return_indices=True)
    differs = np.zeros(len(ours), dtype=np.bool_)
    for name in COLUMNS[1:]:
        one: Floats = getattr(candles, name)[ours]
        differs |= one != getattr(kept, name)[theirs]
    return Taken(len(candles), len(candles) - len(ours), int(differs.sum()))


def _months_of_runs(candles: Candles) -> Iterator[list[Candles]]:
    """For each month the stretches of bars without one missing in between."""
    for month in months(Span(int(candles.open_time[0]), int(candles.close_time[-1]))):
        part = cut(candles, month)
        ends = [*(np.flatnonzero(np.diff(part.open_time) > part.step) + 1).tolist(), len(part)]
        if len(part):
            yield [part[start:end] for start, end in zip([0, *ends], ends, strict=False)]
