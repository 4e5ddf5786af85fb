"""One job's way through a worker: checked, put on the desk, run, ended."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

import structlog
from redis.exceptions import RedisError
from structlog.contextvars import bind_contextvars

from crypto_mcp.errors import Cancelled, CryptoMcpError
from crypto_mcp.jobs import envelope
from crypto_mcp.jobs.desk import CacheEntry
from crypto_mcp.jobs.scripting import insist
from crypto_mcp.models.answers import LOCAL, JobState
from workers.job import Job, Resting
from workers.retries import Crashed, as_error, pause

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from arq.worker import Function
    from pydantic import BaseModel
    from redis.asyncio import Redis

    from crypto_mcp.job_kind import Catalogue
    from crypto_mcp.jobs.desk import Desk, Start
    from crypto_mcp.jobs.envelope import Accepted
    from crypto_mcp.settings import QueueSettings
    from workers.intake import Intake
    from workers.services import Services

log = structlog.get_logger(__name__)

Spawn: TypeAlias = "Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]"


class Interruption(StrEnum):
    """Why a running handler was stopped."""

    BY_REQUEST = "cancelled on request"
    LOST = "taken for dead, the job was given to another worker"


@dataclass(slots=True, eq=False)
class Held:
    """A job this worker has, or is about to have, on its desk."""

    job: Accepted
    intake: Intake
    attempt: int = 0
    handler: asyncio.Task[Any] | None = None
    due: asyncio.TimerHandle | None = None
    interrupted: Interruption | None = None


@dataclass(frozen=True, slots=True)
class CachePlace:
    """Where cached keys go: a database of the queue's Redis, written by the finishing script, or another Redis."""

    db: int | None
    redis: Redis | None


class Runner:
    """Runs what the intakes bring and keeps account of what the desk holds.

    `spawn` starts a task that the worker waits for before it stops.
    """

    def __init__(
        self, desk: Desk, catalogue: Catalogue, functions: Mapping[str, Function], services: Services,
        settings: QueueSettings, cache: CachePlace, spawn: Spawn,
    ) -> None:  # fmt: skip
        self.held: dict[str, Held] = {}
        self.counts = dict.fromkeys(("done", "failed", "retried", "refused"), 0)
        self._desk = desk
        self._catalogue = catalogue
        self._functions = functions
        self._services = services
        self._settings = settings
        self._cache = cache
        self._spawn = spawn

    def begin(self, intake: Intake, raw: bytes) -> None:
        """An envelope has arrived; a place in the intake's room is held for it."""
        self._spawn(self._arrive(intake, raw))

    def interrupt(self, job_id: str, why: Interruption) -> None:
        """Stops the handler of a job; nothing if it has none running."""
        held = self.held.get(job_id)
        if held is not None and held.handler is not None and not held.handler.done():
            held.interrupted = why
            held.handler.cancel()

    def running(self) -> set[str]:
        """Ids of the jobs whose handlers run."""
        return {job_id for job_id, held in self.held.items() if held.handler is not None}

    def forget_retries(self) -> None:
        """Starts no further retries: the worker stops, and its desk goes back to the lists."""
        for held in self.held.values():
            if held.due is not None:
                held.due.cancel()

    async def _arrive(self, intake: Intake, raw: bytes) -> None:
        try:
            try:
                job = envelope.read(raw, intake.list_name, self._catalogue, self._settings.max_envelope)
            except CryptoMcpError as error:
                await self._refuse(intake, raw, error)
                return
            held = Held(job, intake)
            self.held.setdefault(job.id, held)
            claim = self._desk.claim()
            start = await insist(lambda: self._desk.accept(raw, job, claim))
            intake.left(raw)
            await self._go(held, start)
        finally:
            intake.room.leave()

    async def _refuse(self, intake: Intake, raw: bytes, error: CryptoMcpError) -> None:
        """What is no job goes to the dead list, with the reason."""
        self.counts["refused"] += 1
        kind, reply_to = envelope.hints(raw)
        job_id = envelope.new_id()
        log.warning("envelope refused", list=intake.list_name, job_id=job_id, code=error.code)
        await insist(lambda: self._desk.refuse(raw, intake.list_name, error, job_id, kind, reply_to))
        intake.left(raw)

    async def _go(self, held: Held, start: Start) -> None:
        job_id = held.job.id
        if start.verdict in ("run", "later") and self.held.get(job_id) is not held:
            # The job came back to us while an earlier attempt of it, lost meanwhile, was still running here.
            self.interrupt(job_id, Interruption.LOST)
            self.held[job_id] = held
        try:
            if start.verdict == "later":
                self._run_at(held, start.due_ms)
            elif start.verdict == "run":
                held.attempt = start.attempt
                # For good: each attempt is a task of its own, and so has a context of its own.
                bind_contextvars(job_id=job_id, **({"request_id": held.job.trace} if held.job.trace else {}))
                await self._run(held)
        finally:
            if held.due is None and self.held.get(job_id) is held:
                del self.held[job_id]

    def _run_at(self, held: Held, due_ms: float) -> None:
        """Starts the next attempt when it is due."""
        delay = max(0.0, due_ms / 1000 - time.time())
        held.due = asyncio.get_running_loop().call_later(delay, lambda: self._spawn(self._retry(held)))

    async def _retry(self, held: Held) -> None:
        held.due = None
        await held.intake.room.enter()
        try:
            start = await insist(lambda: self._desk.start(held.job.id))
            await self._go(held, start)
        finally:
            held.intake.room.leave()

    async def _run(self, held: Held) -> None:
        job, kind = held.job, held.job.kind
        if held.attempt > kind.max_tries:
            error = Crashed(
                f"the workers that ran this job died, {held.attempt - 1} times",
                hint="Look at the workers' logs for its id, then replay it with `crypto-mcp dead replay`.",
            )
            await self._bury(held, error)
            return
        handle = Job(
            id=job.id, kind=kind.name, attempt=held.attempt, max_tries=kind.max_tries, client=job.client or LOCAL,
            trace=job.trace, services=self._services, _report=self._reporter(held),
        )  # fmt: skip
        began = time.monotonic()
        held.handler = asyncio.ensure_future(self._functions[kind.name].coroutine({"job": handle}, job.params))
        try:
            async with asyncio.timeout(kind.timeout) as clock:
                result = await held.handler
        except asyncio.CancelledError:
            if held.interrupted is None:
                raise  # the worker stops; its desk goes back to the lists
            await self._interrupted(held)
        except Resting as pause:
            await self._rest(held, pause.seconds)
        except Exception as raised:  # noqa: BLE001 - whatever a handler raises ends its job, never the worker
            if held.interrupted is not None:
                await self._interrupted(held)
            else:
                await self._failed(held, raised, as_error(raised, kind, timed_out=clock.expired()))
        else:
            await self._done(held, result, time.monotonic() - began)

    def _reporter(self, held: Held) -> Callable[[float, str], Coroutine[Any, Any, None]]:
        return lambda fraction, words: self._desk.progress(held.job.id, held.attempt, fraction, words)

    async def _done(self, held: Held, result: BaseModel, seconds: float) -> None:
        """Effects outside Redis first, keyed by the job's id; then the fenced end."""
        try:
            body, entry = await self._kept(held, result)
        except Exception as raised:  # noqa: BLE001 - a result that cannot be kept ends its job, never the worker
            await self._failed(held, raised, as_error(raised, held.job.kind, timed_out=False))
            return
        if await self._finish(held, JobState.DONE, result=body, cache=entry):
            self.counts["done"] += 1
            await self._cache_elsewhere(entry, body)
            log.info("job done", kind=held.job.kind.name, attempt=held.attempt, ms=round(seconds * 1000, 1))

    async def _kept(self, held: Held, result: BaseModel) -> tuple[bytes, CacheEntry | None]:
        """The result as JSON and where it is to be cached, when MongoDB has it."""
        job, rule = held.job, held.job.kind.cache
        if not isinstance(result, job.kind.result):
            raise TypeError(f"{job.kind.handler} returned {type(result).__name__}")
        body = result.model_dump_json().encode()
        if rule is None:
            return body, None
        key = job.kind.cache_key(job.params, job.client)
        entry = None if key is None else CacheEntry(key, rule.seconds(result), self._cache.db)
        if rule.collection is not None:
            await self._services.mongo.save_result(job.kind, job.id, key, result)
        return body, entry

    async def _cache_elsewhere(self, entry: CacheEntry | None, body: bytes) -> None:
        if entry is not None and entry.seconds and self._cache.redis is not None:
            with contextlib.suppress(RedisError, OSError):  # the answer stands; the cache is a convenience
                await self._cache.redis.set(entry.key, body, ex=entry.seconds)

    async def _failed(self, held: Held, raised: Exception, error: CryptoMcpError) -> None:
        """Another attempt, the dead list, or the plain failure of a request that cannot succeed."""
        job, attempt = held.job, held.attempt
        delay = pause(raised, error, attempt)
        if delay is None:
            self.counts["failed"] += 1
            log.info("job failed", kind=job.kind.name, attempt=attempt, code=error.code)
            await self._finish(held, JobState.FAILED, error=error)
        elif attempt < job.kind.max_tries:
            self.counts["retried"] += 1
            log.warning("job retried", kind=job.kind.name, attempt=attempt, code=error.code, delay=round(delay, 2))
            due = await insist(lambda: self._desk.retry(job.id, attempt, delay, error))
            held.handler = None
            if due is not None:
                self._run_at(held, due)
        else:
            await self._bury(held, error)

    async def _rest(self, held: Held, seconds: float) -> None:
        """Lets the job lie; its place goes to others meanwhile."""
        if held.interrupted is not None:
            await self._interrupted(held)
            return
        due = await insist(lambda: self._desk.rest(held.job.id, held.attempt, seconds))
        held.handler = None
        if due is not None:
            self._run_at(held, due)

    async def _bury(self, held: Held, error: CryptoMcpError) -> None:
        self.counts["failed"] += 1
        log.error("job dead", kind=held.job.kind.name, attempt=held.attempt, code=error.code)
        await insist(lambda: self._desk.bury(held.job, held.attempt, error))

    async def _interrupted(self, held: Held) -> None:
        log.info("job stopped", kind=held.job.kind.name, why=held.interrupted)
        if held.interrupted is Interruption.BY_REQUEST:
            await self._finish(held, JobState.CANCELLED, error=Cancelled("the job was cancelled on request"))

    async def _finish(
        self, held: Held, state: JobState, *, result: bytes = b"", error: CryptoMcpError | None = None,
        cache: CacheEntry | None = None,
    ) -> bool:  # fmt: skip
        ended = await insist(
            lambda: self._desk.finish(held.job.id, held.attempt, state, result=result, error=error, cache=cache)
        )
        if not ended:
            log.warning("a late end was refused", kind=held.job.kind.name, attempt=held.attempt)
        return ended
