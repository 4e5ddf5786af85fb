"""An answer on its way out, its result still as bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from crypto_mcp.errors import Cancelled
from crypto_mcp.models.answers import ErrorBody, JobState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel

    from crypto_mcp.models.answers import JobRecord, Progress, Timings
    from crypto_mcp.stores.cache import Level


@dataclass(frozen=True, slots=True)
class Outcome:
    """An `Answer` with its result still as bytes."""

    status: JobState
    job_id: str | None = None
    result: bytes | None = None
    error: ErrorBody | None = None
    cached_in: Level | None = None
    progress: Progress | None = None
    timings: Timings | None = None
    kind: str | None = None
    attempts: int | None = None
    of_kind: str | None = None  # whose result it is, for whoever goes on with it; not on the wire

    @property
    def failed(self) -> bool:
        """Whether the job ended without a result."""
        return self.status.finished and self.status is not JobState.DONE

    def to_json(
        self, next_steps: Iterable[Mapping[str, Any]] = (), *, told: bytes | None = None, more: Iterable[str] = ()
    ) -> bytes:
        """The envelope as `Answer` describes it, without what has no value.

        `told` stands in place of a result that is not told whole, `more` names what it lacks. Then a job's timings are
        left out too: `job_status` has them.
        """
        result = self.result if told is None else told
        fields = {
            "status": self.status,
            "job_id": self.job_id,
            "kind": self.kind,
            "attempts": self.attempts,
            "result": None if result is None else orjson.Fragment(result),
            "more": list(more) or None,
            "cached": self.cached_in is not None,
            "cached_in": self.cached_in,
            "error": _present(self.error),
            "progress": _present(self.progress),
            "timings": _present(self.timings) if told is None else None,
            "next": list(next_steps) or None,
        }
        return orjson.dumps(
            {name: value for name, value in fields.items() if value is not None}, option=orjson.OPT_UTC_Z
        )


def _present(part: BaseModel | None) -> dict[str, Any] | None:
    return None if part is None else {name: value for name, value in part if value is not None and value != ""}


def standing(record: JobRecord) -> Outcome:
    """How a job stands, without its result."""
    error = record.error
    if record.state is JobState.CANCELLED and error is None:
        error = ErrorBody(
            code=Cancelled.code, message="the job was cancelled on request", hint="Submit it again if it is wanted."
        )
    return Outcome(
        record.state,
        record.job_id,
        error=error,
        progress=None if record.state.finished else record.progress,
        timings=record.timings,
        kind=record.kind,
        attempts=record.attempts,
    )
