"""A worker's side of the protocol: from an envelope taken to a job finished. Every move is one script."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import orjson

from crypto_mcp.jobs import keys
from crypto_mcp.jobs.envelope import dead_entry, named_id
from crypto_mcp.models.answers import ErrorBody, JobState

if TYPE_CHECKING:
    from crypto_mcp.errors import CryptoMcpError
    from crypto_mcp.jobs.envelope import Accepted
    from crypto_mcp.jobs.scripting import Scripts
    from crypto_mcp.settings import QueueSettings


@dataclass(frozen=True, slots=True)
class Start:
    """What became of an envelope, or of a retry that was due.

    `run`: attempt `attempt` begins; `later`: not before `due_ms`; the others need nothing from this worker.
    """

    verdict: Literal["run", "later", "duplicate", "cancelled", "gone"]
    attempt: int = 0
    submitted_ms: float = 0.0
    due_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """Where a result is cached: in the finishing script if `db` names a database of the same Redis."""

    key: str
    seconds: int
    db: int | None


class Desk:
    """The moves a worker makes with its jobs."""

    def __init__(self, scripts: Scripts, worker: str, queue_db: int, settings: QueueSettings) -> None:
        self.worker = worker
        self._scripts = scripts
        self._key = keys.desk(worker)
        self._queue_db = queue_db
        self._settings = settings
        self._calls = itertools.count()

    def claim(self) -> str:
        """A name for one accepting call, so that it can be repeated."""
        return f"{self.worker}#{next(self._calls)}"

    async def accept(self, raw: bytes, job: Accepted, claim: str) -> Start:
        """Moves an arrived envelope to the desk and begins an attempt."""
        reply = await self._scripts.run(
            "accept",
            (keys.arriving(self.worker, job.kind.list), self._key),
            (
                raw,
                job.id,
                job.kind.name,
                job.kind.list,
                self.worker,
                job.text,
                job.kind.max_tries,
                job.client,
                job.trace,
                job.reply_to,
                self._settings.recent,
                self._settings.record_ttl,
                claim,
            ),
        )
        return _start(reply)

    async def start(self, job_id: str) -> Start:
        """Begins the attempt of a retry that is due."""
        return _start(await self._scripts.run("start", (self._key,), (job_id,)))

    async def progress(self, job_id: str, attempt: int, fraction: float, words: str) -> None:
        """Notes how far a job is."""
        await self._scripts.run("progress", (self._key,), (job_id, attempt, fraction, words))

    async def finish(
        self,
        job_id: str,
        attempt: int,
        state: JobState,
        *,
        result: bytes = b"",
        error: CryptoMcpError | None = None,
        cache: CacheEntry | None = None,
    ) -> bool:
        """Ends a job, unless it was taken from this worker: then nothing is written and the answer is False."""
        inside = cache is not None and cache.db is not None
        reply = await self._scripts.run(
            "finish",
            (self._key, keys.answer(job_id), cache.key if cache and inside else ""),
            (
                job_id,
                self.worker,
                attempt,
                state,
                result,
                _body(error) if error else b"",
                self._settings.record_ttl,
                self._settings.answer_ttl,
                cache.seconds if cache and inside else 0,
                cache.db if cache and cache.db is not None else 0,
                self._queue_db,
            ),
        )
        return bool(reply != b"stale")

    async def retry(self, job_id: str, attempt: int, delay: float, error: CryptoMcpError) -> float | None:
        """Keeps a job for another attempt after `delay` seconds; when it is due (epoch ms), None if it was taken."""
        reply = await self._scripts.run(
            "retry", (self._key,), (job_id, self.worker, attempt, delay * 1000, _body(error))
        )
        return float(reply[1]) if reply[0] == b"ok" else None

    async def rest(self, job_id: str, attempt: int, delay: float) -> float | None:
        """Lets a job that waits for others lie for `delay` seconds; when it is due (epoch ms), None if it was taken."""
        reply = await self._scripts.run("rest", (self._key,), (job_id, attempt, delay * 1000))
        return float(reply[1]) if reply[0] == b"ok" else None

    async def bury(self, job: Accepted, attempt: int, error: CryptoMcpError) -> bool:
        """Moves a job that failed for good to the dead list."""
        entry = dead_entry(
            job.text, job.kind.list, error, job_id=job.id, attempts=attempt, worker=self.worker, at=time.time()
        )
        reply = await self._scripts.run(
            "bury",
            (self._key, keys.dead(job.kind.list)),
            (job.id, self.worker, attempt, entry, _body(error), self._settings.record_ttl),
        )
        return bool(reply != b"stale")

    async def refuse(
        self, raw: bytes, list_name: str, error: CryptoMcpError, job_id: str, kind: str, reply_to: str
    ) -> str:
        """Moves what is no job to the dead list; the id it has there: `job_id`, or that of the job it was to be."""
        entry = dead_entry(raw, list_name, error, job_id=None, attempts=0, worker=self.worker, at=time.time())
        reply: bytes = await self._scripts.run(
            "refuse",
            (keys.arriving(self.worker, list_name), keys.dead(list_name)),
            (
                raw,
                job_id,
                entry,
                _body(error),
                kind,
                list_name,
                self.worker,
                reply_to,
                self._settings.recent,
                self._settings.record_ttl,
                named_id(raw),
            ),
        )
        return reply.decode()

    async def release(self, job_id: str) -> None:
        """Returns one job to its list."""
        await self._scripts.run("release", (self._key,), (job_id, self._settings.record_ttl))

    async def take(self, list_name: str, most: int) -> list[bytes]:
        """Up to `most` waiting envelopes, oldest first, now among this worker's arrivals."""
        reply: list[bytes] = await self._scripts.run(
            "take", (list_name, keys.arriving(self.worker, list_name)), (most,)
        )
        return reply


def _start(reply: list[bytes]) -> Start:
    match reply[0]:
        case b"run":
            return Start("run", attempt=int(reply[1]), submitted_ms=float(reply[2]))
        case b"later":
            return Start("later", due_ms=float(reply[1]))
        case b"duplicate":
            return Start("duplicate")
        case b"cancelled":
            return Start("cancelled")
        case _:
            return Start("gone")


def _body(error: CryptoMcpError) -> bytes:
    return orjson.dumps(ErrorBody.of(error).model_dump(exclude_none=True))
