"""A job's hash in Redis as a `JobRecord`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from crypto_mcp.errors import UnknownJob
from crypto_mcp.jobs import keys
from crypto_mcp.models.answers import ErrorBody, JobRecord, JobState, Progress, Timings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis.asyncio import Redis

FIELDS = [
    "kind",
    "list",
    "state",
    "resting",
    "attempts",
    "max_tries",
    "progress",
    "words",
    "error",
    "worker",
    "submitted_at",
    "started_at",
    "run_at",
    "finished_at",
    "client",
    "trace",
    "readers",
]


async def read_records(redis: Redis, job_ids: Sequence[str]) -> list[JobRecord | None]:
    """The records of these jobs in one round trip, None for those that are unknown or have expired."""
    pipe = redis.pipeline(transaction=False)
    for job_id in job_ids:
        pipe.hmget(keys.job(job_id), FIELDS)
    rows = await pipe.execute()
    return [from_hash(job_id, dict(zip(FIELDS, row, strict=True))) for job_id, row in zip(job_ids, rows, strict=True)]


async def read_with_answer(redis: Redis, job_id: str) -> tuple[JobRecord | None, bytes | None]:
    """A job's record and its result as JSON, read in one round trip."""
    pipe = redis.pipeline(transaction=True)
    pipe.hmget(keys.job(job_id), FIELDS)
    pipe.get(keys.answer(job_id))
    row, answer = await pipe.execute()
    return from_hash(job_id, dict(zip(FIELDS, row, strict=True))), answer


def from_hash(job_id: str, fields: Mapping[str, bytes | None]) -> JobRecord | None:
    """The record in a job's hash, None if there is none."""
    text = {name: value.decode() for name, value in fields.items() if value is not None}
    if "state" not in text:
        return None
    error = text.get("error")
    return JobRecord(
        job_id=job_id,
        kind=text.get("kind", ""),
        list=text.get("list", ""),
        # A job that rests has not failed: it waits for the jobs it has made.
        state=JobState.RUNNING if text["state"] == JobState.RETRYING and "resting" in text else JobState(text["state"]),
        attempts=int(text.get("attempts", 0)),
        max_tries=int(text.get("max_tries", 0)),
        progress=Progress(fraction=float(text["progress"]), words=text.get("words", ""))
        if "progress" in text
        else None,
        error=ErrorBody.model_validate(orjson.loads(error)) if error else None,
        worker=text.get("worker") or None,
        timings=_timings(text),
        client=text.get("client") or None,
        trace=text.get("trace") or None,
    ).shared_with(text.get("readers", "").split())


def _timings(text: Mapping[str, str]) -> Timings:
    submitted, started, run, finished = (
        float(text[name]) if name in text else None for name in ("submitted_at", "started_at", "run_at", "finished_at")
    )
    return Timings(
        submitted_at=_utc(submitted),
        started_at=_utc(started),
        finished_at=_utc(finished),
        queued_ms=_between(submitted, started),
        run_ms=_between(run, finished),
        total_ms=_between(submitted, finished),
    )


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else max(0.0, end - start)


def _utc(ms: float | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)


def unknown_job(job_id: str) -> UnknownJob:
    """The error for an id that names no job."""
    return UnknownJob(
        f"there is no job {job_id[:64]!r}", hint="Records are kept for a day after a job's end; submit it again."
    )
