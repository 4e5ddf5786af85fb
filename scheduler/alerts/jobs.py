"""What the watcher sends off: a job for moves of prices and what they crossed, a job for bars that closed."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog

from crypto_mcp.alerts.levels import ABOVE, Move
from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.jobs.scripting import insist
from crypto_mcp.models.alerts import Crossed, CrossingMove, EvaluateParams, FireParams

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from crypto_mcp.alerts.levels import Crossing
    from crypto_mcp.jobs.client import JobClient
    from crypto_mcp.market.live import ClosedBar
    from crypto_mcp.stores.alert_documents import AlertDocuments
    from scheduler.alerts.book import Series

log = structlog.get_logger(__name__)

_LOOK_AFTER = 30.0

CROSSED_A_JOB = 50
"""A job tells of none of its alerts before all of them have fired, and more of them are shared by the workers."""


class AlertJobs:
    """Puts jobs on `alerts:pending`, and looks after them until their alerts show what became of them."""

    def __init__(self, jobs: JobClient, documents: AlertDocuments) -> None:
        self._jobs = jobs
        self._documents = documents
        self._sent: deque[tuple[float, FireParams]] = deque()

    async def fire(self, moves: Sequence[CrossingMove], heard: int) -> None:
        """Sends off crossings, noticed at `heard` (ms); waits while the queue is away.

        What came together goes together: a job costs as much as a few firings.
        """
        kind, fires = CATALOGUE["fire_alerts"], packed(moves, heard)
        await asyncio.gather(*(insist(partial(self._jobs.submit, kind, params, share=False)) for params in fires))
        self._sent.extend((time.monotonic(), params) for params in fires)

    async def evaluate(self, ranges: Mapping[Series, tuple[int, int]]) -> None:
        """One job a series, whose id says which bars (open times, ms): asked twice it is done once."""
        kind = CATALOGUE["evaluate_alerts"]
        jobs = []
        for (symbol, timeframe), (first, last) in ranges.items():
            params = EvaluateParams(symbol=symbol, timeframe=timeframe, first=first, last=last)
            name = f"bars-{symbol}-{timeframe}-{first // 60_000}-{last // 60_000}"
            job_id = name if name.isascii() and len(name) <= 64 else None
            jobs.append(insist(partial(self._jobs.submit, kind, params, job_id=job_id, share=False)))
        await asyncio.gather(*jobs)

    async def look_after(self) -> None:
        """Until cancelled: what was sent off and is not to be seen in its alert half a minute later is sent again.

        The queue loses nothing; a Redis that does not sync every write may, when its machine fails.
        """
        while True:
            await asyncio.sleep(_LOOK_AFTER / 4)
            due = []
            while self._sent and self._sent[0][0] < time.monotonic() - _LOOK_AFTER:
                due.append(self._sent.popleft()[1])
            if not due:
                continue
            try:
                names = [crossed.alert_id for params in due for move in params.moves for crossed in move.crossed]
                numbers = {each["alert_id"]: each["number"] for each in await self._documents.unfinished(names)}
            except StoreUnavailable:
                self._sent.extendleft((time.monotonic() - _LOOK_AFTER, params) for params in reversed(due))
                continue
            for params in due:
                again = still_to_do(params.moves, numbers)
                if again:
                    log.warning("alerts are fired again", alerts=sum(len(move.crossed) for move in again))
                    await self.fire(again, params.noticed_at or 0)


def crossing_moves(symbol: str, move: Move, crossings: Sequence[Crossing]) -> list[CrossingMove]:
    """A move of a symbol's price with what it crossed, in parts that fit into a job."""
    crossed = [Crossed(alert_id=c.alert_id, number=c.number, level=c.level, above=c.side == ABOVE) for c in crossings]
    return [
        CrossingMove(
            symbol=symbol, low=move.low, high=move.high, price=move.price, at=move.at,
            crossed=crossed[i : i + CROSSED_A_JOB],
        )
        for i in range(0, len(crossed), CROSSED_A_JOB)
    ]  # fmt: skip


def packed(moves: Iterable[CrossingMove], heard: int) -> list[FireParams]:
    """Jobs of at most `CROSSED_A_JOB` crossings, in the order of the moves, none with an alert twice.

    Args:
        moves: in the order in which they happened.
        heard: the newest that the exchange said, ms.
    """
    jobs: list[list[CrossingMove]] = []
    named: set[str] = set()
    for move in moves:
        names = {crossed.alert_id for crossed in move.crossed}
        if not jobs or named & names or len(named) + len(names) > CROSSED_A_JOB:
            jobs.append([])
            named = set()
        jobs[-1].append(move)
        named |= names
    return [FireParams(moves=of_job, noticed_at=heard) for of_job in jobs]


def still_to_do(moves: Iterable[CrossingMove], numbers: Mapping[str, int]) -> list[CrossingMove]:
    """The part of moves that has left no trace: the alert is active and its last crossing is an earlier one."""
    left = []
    for move in moves:
        crossed = [each for each in move.crossed if numbers.get(each.alert_id, each.number) < each.number]
        if crossed:
            left.append(move.model_copy(update={"crossed": crossed}))
    return left


def move_of(bar: ClosedBar) -> Move:
    """A closed minute as a move of the price."""
    return Move(bar.low, bar.high, bar.close, bar.open_time, bar.open_time + bar.timeframe.milliseconds)


def moment(ms: int) -> datetime:
    """Of ms since the epoch."""
    return datetime.fromtimestamp(ms / 1000, UTC)
