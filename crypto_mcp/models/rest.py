"""What REST takes and answers beside the jobs themselves: read by the front end and by `crypto_mcp.client` alike."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from crypto_mcp.models.analysis import Analysis
from crypto_mcp.models.answers import Answer, Contract, ErrorBody, JobRecord, NextStep

LARGEST_BATCH = 100
"""Jobs of one request."""


class Problem(Contract):
    """An error over REST (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str = ""
    instance: str
    request_id: str
    job_id: str | None = None
    retry_after: float | None = None


class JobList(BaseModel, defer_build=True):
    """Recent jobs."""

    jobs: list[JobRecord]
    next: list[NextStep] = Field([], description="How to get older ones, where there may be some.")


class Kind(BaseModel, defer_build=True):
    """A kind of job that can be submitted."""

    name: str
    title: str
    summary: str
    href: str
    list: str
    params_schema: dict[str, Any]
    result_schema: dict[str, Any]
    example: dict[str, Any]
    timeout: float
    max_tries: int
    cached_seconds: int
    scope: str


class KindList(BaseModel, defer_build=True):
    """All kinds on offer."""

    kinds: list[Kind]


class BatchItem(Contract):
    """One job of a batch."""

    kind: str = Field(max_length=100, description="As in `GET /v1/kinds`.")
    params: dict[str, Any] = Field({}, description="Parameters of the kind.")


class Batch(Contract):
    """Jobs to be submitted."""

    jobs: list[BatchItem] = Field(min_length=1, max_length=LARGEST_BATCH)


class BatchAnswers(Contract):
    """How each job stands, in the order in which they were given; one that was refused has `failed` and its `error`."""

    answers: list[Answer[Any]]


class StoredAnalysis(BaseModel, defer_build=True):
    """An analysis and the job that made it."""

    job_id: str
    analysis: Analysis


class AnalysisList(BaseModel, defer_build=True):
    """Stored analyses, the newest first."""

    analyses: list[StoredAnalysis]
    next: list[NextStep] = Field([], description="How to get older ones, where there may be some.")


class DeadLetter(BaseModel, defer_build=True):
    """One entry of a dead list."""

    job_id: str
    list: str
    reason: ErrorBody
    attempts: int
    worker: str
    died_at: float
    envelope: str | None = None
    envelope_hex: str | None = None


class DeadLetterList(BaseModel, defer_build=True):
    """Entries of one dead list."""

    dead: list[DeadLetter]


class Replayed(BaseModel, defer_build=True):
    """The job an entry became."""

    job_id: str


class Erased(BaseModel, defer_build=True):
    """An erasure that is over."""

    erasure_id: str
    erased: dict[str, int]
    receipt: str
