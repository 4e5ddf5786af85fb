"""What the watcher sends off: a job for a move of a price and what it crossed, a job for bars that closed."""

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
from crypto_mcp.models.alerts import Crossed, EvaluateParams, FireParams

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crypto_mcp.alerts.levels import Crossing
    from crypto_mcp.jobs.client import JobClient
    from crypto_mcp.market.live import ClosedBar
    from crypto_mcp.stores.alert_documents import AlertDocuments
    from scheduler.alerts.book import Series

log = structlog.get_logger(__name__)

_LOOK_AFTER = 30.0


class AlertJobs:
    """Puts jobs on `alerts:pending`, and looks after them until their alerts show what became of them."""

    def __init__(self, jobs: JobClient, documents: AlertDocuments) -> None:
        self._jobs = jobs
        self._documents = documents
        self._sent: deque[tuple[float, FireParams]] = deque()

    async def fire(self, fires: Sequence[FireParams]) -> None:
        """Sends off crossings; waits while the queue is away."""
        kind = CATALOGUE["fire_alerts"]
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
                names = [crossed.alert_id for params in due for crossed in params.crossed]
                numbers = {each["alert_id"]: each["number"] for each in await self._documents.unfinished(names)}
            except StoreUnavailable:
                self._sent.extendleft((time.monotonic() - _LOOK_AFTER, params) for params in reversed(due))
                continue
            again = [left for params in due if (left := still_to_do(params, numbers)) is not None]
            if again:
                log.warning("alerts are fired again", alerts=sum(len(params.crossed) for params in again))
                await self.fire(again)


def fire_job(symbol: str, move: Move, crossings: Sequence[Crossing], heard: int) -> FireParams:
    """The job of a move and what it crossed; `heard` is the newest that the exchange said, ms."""
    crossed = [Crossed(alert_id=c.alert_id, number=c.number, level=c.level, above=c.side == ABOVE) for c in crossings]
    return FireParams(
        symbol=symbol, low=move.low, high=move.high, price=move.price, at=move.at, noticed_at=heard, crossed=crossed
    )


def still_to_do(params: FireParams, numbers: Mapping[str, int]) -> FireParams | None:
    """The part of a job that has left no trace: the alert is active and its last crossing is an earlier one."""
    crossed = [each for each in params.crossed if numbers.get(each.alert_id, each.number) < each.number]
    return params.model_copy(update={"crossed": crossed}) if crossed else None


def move_of(bar: ClosedBar) -> Move:
    """A closed minute as a move of the price."""
    return Move(bar.low, bar.high, bar.close, bar.open_time, bar.open_time + bar.timeframe.milliseconds)


def moment(ms: int) -> datetime:
    """Of ms since the epoch."""
    return datetime.fromtimestamp(ms / 1000, UTC)
