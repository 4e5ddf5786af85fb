"""What every tool and route answers, whatever the kind of job."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from crypto_mcp.errors import CryptoMcpError

LOCAL = "local"
"""The client of whoever works on this machine: the command line, stdio, a push from outside that names none."""

ResultT = TypeVar("ResultT", bound=BaseModel)


class JobState(StrEnum):
    """Where a job is in its life. docs/queue.md has the diagram."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to the job by itself."""
        return self in _FINISHED


_FINISHED = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.DEAD})


class Contract(BaseModel):
    """Base of everything on the wire: unknown fields are an error, NaN and infinity do not exist.

    Validators are built when they are first needed: a front end, which passes results on as they were written, needs
    few of them, and starts a tenth of a second sooner.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, defer_build=True)


def build_contracts() -> None:
    """Builds the validators of every contract that is imported: for processes that do work, or fork those that do."""
    waiting: list[type[BaseModel]] = [Contract]
    for model in waiting:
        model.model_rebuild()
        waiting += model.__subclasses__()


def absent(value: object) -> bool:
    """Whether a field is left out of what is written: for `exclude_if`."""
    return value is None


def only_full(description: str) -> Any:
    """A field that only a full answer has: in a summary every word costs its reader."""
    return Field(None, exclude_if=absent, description=f"{description} Only with `detail` full.")


UNLISTED: dict[str, Any] = {"x-unlisted": True}
"""`json_schema_extra` of a parameter that is seldom set: it is accepted, and left out of the list of tools."""


def unit(words: str) -> dict[str, Any]:
    """`json_schema_extra` of a parameter whose unit its few words in the list of tools do not say."""
    return {"x-unit": words}


class ErrorBody(Contract):
    """An error a caller can act on."""

    code: str = Field(description="Stable code; branch on this.")
    message: str = Field(description="What went wrong.")
    hint: str = Field("", description="What to do about it.")
    retry_after: float | None = Field(None, description="Seconds after which the same call may succeed.")
    status: int | None = Field(None, description="What REST answers it with.")

    @classmethod
    def of(cls, error: CryptoMcpError) -> Self:
        """An error as it is written down and sent."""
        return cls(
            code=error.code,
            message=error.message,
            hint=error.hint,
            retry_after=error.retry_after,
            status=error.http_status,
        )


class Progress(Contract):
    """How far a running job is."""

    fraction: float = Field(ge=0, le=1, description="Share of the work that is done, 0 to 1.")
    words: str = Field("", description="What it is doing.")


class Timings(Contract):
    """When things happened. Times are UTC; durations are milliseconds."""

    submitted_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    queued_ms: float | None = Field(None, description="From submission to the first start.")
    run_ms: float | None = Field(None, description="Of the last attempt.")
    total_ms: float | None = Field(None, description="From submission to the end.")


class NextStep(Contract):
    """A call that goes on from here: a tool in an answer over MCP, a request in one over REST."""

    tool: str | None = None
    arguments: dict[str, Any] | None = None
    method: str | None = None
    href: str | None = None
    why: str


class JobRecord(Contract):
    """A job as it stands: what `GET /v1/jobs/{id}` and `job_status` say, without the result."""

    job_id: str
    kind: str
    list: str = Field(description="Redis list the job travels on.")
    state: JobState
    attempts: int = Field(0, description="Times the job was started.")
    max_tries: int = 0
    progress: Progress | None = None
    error: ErrorBody | None = None
    worker: str | None = Field(None, description="Worker that has or had it last.")
    timings: Timings = Timings()
    client: str | None = None
    trace: str | None = None
    _readers: frozenset[str] = PrivateAttr(frozenset())

    def shared_with(self, clients: Iterable[str]) -> Self:
        """Itself, readable by these clients too: their equal requests joined it."""
        self._readers = frozenset(clients)
        return self

    def readable_by(self, client: str) -> bool:
        """Whether a client asked for this job, first or by joining it."""
        return client == (self.client or LOCAL) or client in self._readers


class Answer(Contract, Generic[ResultT]):
    """The envelope around every answer, whether the job is done or not. Fields without a value are left out."""

    status: JobState
    job_id: str | None = Field(None, description="Absent when the answer came from a cache.")
    result: ResultT | None = Field(None, description="Present when status is `done`.")
    more: list[str] = Field([], description="Over MCP: fields of the result of which there is more on request.")
    error: ErrorBody | None = None
    cached: bool = Field(False, description="Whether no job had to run.")
    cached_in: Literal["memory", "redis", "mongodb"] | None = None
    progress: Progress | None = None
    timings: Timings = Timings()
    kind: str | None = Field(None, description="Of the job; only where its status was asked for.")
    attempts: int | None = Field(None, description="Times the job was started; only where its status was asked for.")
    next: list[NextStep] = Field([], description="What to call to go on.")
