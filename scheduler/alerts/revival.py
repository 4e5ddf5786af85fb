"""Jobs of alerts that died of an outage are done when it is over.

A job is tried for some eighteen minutes; what takes longer leaves it on the dead list. Once a minute one of a kind is
tried. When it has gone through the outage is over, and the others follow: bars that lie side by side as one job a
series. What had fired before is known by its alert and fires no more; the rest is told late, and said to be.
"""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import orjson
import structlog
from pydantic import ValidationError

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.errors import InternalError
from crypto_mcp.jobs.envelope import Envelope
from crypto_mcp.models.alerts import EvaluateParams, FireParams
from crypto_mcp.models.answers import JobState
from crypto_mcp.models.rest import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from crypto_mcp.jobs.client import JobClient
    from crypto_mcp.jobs.dead import DeadLetters

    Piece = tuple[EvaluateParams | FireParams, list[bytes]]

log = structlog.get_logger(__name__)

EVERY = 60.0
_LIST = "alerts:pending"
_OURS = frozenset({InternalError.code, "worker_crashed"})
"""What a job died of that a second time would not heal."""

_FARTHEST = timedelta(days=7)
"""Older events stay where they are."""

_MOST_BARS = 500
_AT_ONCE = 200
_MOST_READ = 5000


class Revival:
    """The leading scheduler's. Every method raises `StoreUnavailable` when Redis does not answer."""

    def __init__(self, jobs: JobClient, dead: DeadLetters) -> None:
        self._jobs = jobs
        self._dead = dead
        self._trials: dict[str, str] = {}

    async def turn(self, now: datetime | None = None) -> int:
        """How many jobs were made."""
        now = now or datetime.now(UTC)
        moves: list[tuple[FireParams, bytes]] = []
        bars: list[tuple[EvaluateParams, bytes]] = []
        for i, row in enumerate(reversed(await self._dead.rows(_LIST, _MOST_READ))):
            params = _dead_of_outage(row, now)
            if isinstance(params, FireParams):
                moves.append((params, row))
            elif params is not None:
                bars.append((params, row))
            if i % _AT_ONCE == 0:
                await asyncio.sleep(0)  # prices are watched in this process
        return await self._again("fire_alerts", _moves(moves, now)) + await self._again(
            "evaluate_alerts", _series(bars)
        )

    async def _again(self, kind: str, pieces: Sequence[Piece]) -> int:
        """Makes jobs of all that died, or of one while it is not known whether that helps."""
        trial, over = self._trials.get(kind), False
        if trial is not None:
            (record,) = await self._jobs.several([trial])
            if record is not None and not record.state.finished:
                return 0
            over = record is not None and record.state is JobState.DONE
            del self._trials[kind]
        pieces = pieces if over else pieces[:1]
        for i in range(0, len(pieces), _AT_ONCE):
            made = await asyncio.gather(*(self._made(kind, *piece) for piece in pieces[i : i + _AT_ONCE]))
            if not over:
                self._trials[kind] = made[0]
        if over and pieces:
            log.warning("an outage is over, jobs of alerts are done late", kind=kind, jobs=len(pieces))
        return len(pieces)

    async def _made(self, kind: str, params: EvaluateParams | FireParams, rows: list[bytes]) -> str:
        """The job that takes the place of dead ones; its id says which, so that it is made once."""
        job_id = f"again-{hashlib.blake2b(b''.join(rows), digest_size=12).hexdigest()}"
        await self._jobs.submit(CATALOGUE[kind], params, job_id=job_id, share=False)
        await self._dead.drop_rows(_LIST, rows)
        return job_id


def _dead_of_outage(row: bytes, now: datetime) -> FireParams | EvaluateParams | None:
    """What a job of a watcher was to do that may do better now; None if it is something else."""
    try:
        letter = DeadLetter.model_validate(orjson.loads(row))
        if letter.reason.code in _OURS or not letter.attempts:
            return None
        envelope = Envelope.model_validate(orjson.loads(letter.envelope or "null"))
        if envelope.reply_to or envelope.client:
            return None
        if envelope.kind == "fire_alerts":
            fire = FireParams.model_validate(envelope.params)
            return fire if _young(fire.moves[-1].at, now) else None
        if envelope.kind == "evaluate_alerts":
            evaluate = EvaluateParams.model_validate(envelope.params)
            return evaluate if _young(evaluate.last, now) else None
    except (orjson.JSONDecodeError, ValidationError):
        pass
    return None


def _young(at: int, now: datetime) -> bool:
    return at > 1000 * (now - _FARTHEST).timestamp()


def _moves(found: Iterable[tuple[FireParams, bytes]], now: datetime) -> list[Piece]:
    """Each as it was, but that it is noticed only now."""
    noticed_at = int(now.timestamp() * 1000)
    return [
        (params.model_copy(update={"noticed_at": max(noticed_at, params.noticed_at or 0)}), [row])
        for params, row in found
    ]


def _series(found: Iterable[tuple[EvaluateParams, bytes]]) -> list[Piece]:
    """Bars of a series that lie side by side together."""
    series: dict[tuple[str, str], list[tuple[EvaluateParams, bytes]]] = {}
    for params, row in found:
        series.setdefault((params.symbol, params.timeframe), []).append((params, row))
    pieces: list[Piece] = []
    for of_series in series.values():
        begun: EvaluateParams | None = None
        for params, row in sorted(of_series, key=lambda each: each[0].first):
            step = params.timeframe.milliseconds
            if (
                begun is not None
                and params.first <= begun.last + step
                and params.last < begun.first + _MOST_BARS * step
            ):
                begun = begun.model_copy(update={"last": max(begun.last, params.last)})
                pieces[-1] = (begun, [*pieces[-1][1], row])
            else:
                begun = params
                pieces.append((params, [row]))
    return pieces
