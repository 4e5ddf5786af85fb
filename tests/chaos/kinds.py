"""The kind of job that chaos runs: it notes that it began, works for a while, and notes what its worker ended."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from pydantic import BaseModel

from crypto_mcp.job_kind import Catalogue, JobKind
from workers.job import Job

NOTES = "CHAOS_NOTES"


class Work(BaseModel):
    """How long to work."""

    number: int
    milliseconds: int


class Worked(BaseModel):
    """What was worked."""

    number: int


def note(what: str, job_id: str, attempt: int) -> None:
    """A line in this process's file, whole or not at all: what happened outside the queue's own bookkeeping."""
    line = f"{what} {job_id} {attempt} {time.time():.6f}\n".encode()
    file = os.open(Path(os.environ[NOTES]) / str(os.getpid()), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)


async def work(job: Job, params: Work) -> Worked:
    """Works for a while."""
    note("began", job.id, job.attempt)
    await asyncio.sleep(params.milliseconds / 1000)
    return Worked(number=params.number)


WORK = JobKind(
    name="work",
    list="analysis:queue",
    params=Work,
    result=Worked,
    handler="tests.chaos.kinds:work",
    title="Work",
    summary="Works for a while.",
    timeout=300,  # a crashed worker's job must not wait for this
    max_tries=50,
)

CATALOGUE = Catalogue((WORK,))
