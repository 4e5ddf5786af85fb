"""The one place where a call becomes an answer: a cached result, or a job and as much waiting as the caller wants.

    parameters -> cached key -> memory -> Redis -> MongoDB -> job on its list -> result

Whoever stops waiting does not stop the job. Results stay JSON bytes on their way through.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import orjson
import structlog
from pydantic import BaseModel, ValidationError

from crypto_mcp.access.identity import current
from crypto_mcp.errors import CryptoMcpError, Forbidden, InvalidRequest, StoreUnavailable, UnknownJob
from crypto_mcp.jobs.client import Door
from crypto_mcp.jobs.envelope import new_id, write
from crypto_mcp.jobs.records import unknown_job
from crypto_mcp.models.answers import JobState
from crypto_mcp.server.outcome import Outcome, standing
from crypto_mcp.stores.cache import Outage
from crypto_mcp.validation import explain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from crypto_mcp.access.identity import Identity
    from crypto_mcp.job_kind import Catalogue, JobKind
    from crypto_mcp.jobs.client import JobClient
    from crypto_mcp.jobs.waiting import Watch, Watcher
    from crypto_mcp.models.answers import JobRecord, Progress
    from crypto_mcp.server.callers import Callers
    from crypto_mcp.settings import ServerSettings, Settings
    from crypto_mcp.stores.cache import ResultCache

log = structlog.get_logger(__name__)

_STORED_WITHIN = 0.5
"""A stored result that takes longer to find than this is not worth waiting for: it can be computed anew."""

_QUIET = 15.0
_CALLBACK = "post_callback"

OnProgress: TypeAlias = "Callable[[Progress], Awaitable[None]]"
Seen: TypeAlias = "tuple[JobRecord, bytes | None]"


class ResultExpired(InvalidRequest):
    """The job is done, but its result is no longer kept anywhere."""

    code = "result_expired"
    http_status = 410


class StoredResults(Protocol):
    """What answering needs of MongoDB."""

    async def find_result(self, kind: JobKind[Any, Any], cache_key: str) -> tuple[BaseModel, float] | None:
        """The newest result for a cached key that is still fresh, and for how many seconds more."""

    async def result_of_job(self, kind: JobKind[Any, Any], job_id: str) -> BaseModel | None:
        """The result a job wrote."""


def checked(kind: JobKind[Any, Any], arguments: Any) -> BaseModel:
    """The parameters of a kind; `InvalidRequest` says what is wrong with them and shows some that work."""
    try:
        return kind.params.model_validate(arguments)  # type: ignore[no-any-return]
    except ValidationError as error:
        raise InvalidRequest(explain(error), hint=_example(kind)) from None


def _example(kind: JobKind[Any, Any]) -> str:
    return f"An example that works: {orjson.dumps(dict(kind.example)).decode()}"


def longest_wait(settings: ServerSettings) -> float:
    """Seconds a call may wait at most, so that its answer leaves before the request times out."""
    return 0.9 * settings.request_timeout


def _visible(record: JobRecord) -> JobRecord:
    """The record, if the current client may know of it; `UnknownJob` as if there were none, if not."""
    identity = current()
    if not record.readable_by(identity.client) and not identity.may("jobs:all"):
        raise unknown_job(record.job_id)
    return record


class Answering:
    """Turns calls into answers. Raises `StoreUnavailable` when the queue's Redis does not answer."""

    def __init__(
        self,
        catalogue: Catalogue,
        jobs: JobClient,
        watcher: Watcher,
        cache: ResultCache,
        stored: StoredResults,
        settings: Settings,
        callers: Callers,
    ) -> None:
        self._catalogue = catalogue
        self._jobs = jobs
        self._watcher = watcher
        self._cache = cache
        self._stored = stored
        self._callers = callers
        self._noting: set[asyncio.Task[None]] = set()
        self._stored_outage = Outage("MongoDB", pause=5.0)
        self._queue = settings.queue
        self._longest_wait = longest_wait(settings.server)
        self._waiting: set[Watch] = set()
        self.closing = asyncio.Event()
        """The front end is about to end."""

    async def call(
        self,
        kind: JobKind[Any, Any],
        arguments: Any,
        *,
        wait: float,
        trace: str = "",
        idempotency_key: str | None = None,
        callback_url: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Outcome:
        """Answers from a cache, or by a job: its result if it ends within `wait` seconds, else how it stands.

        With an `idempotency_key` or a `callback_url`, which is posted to at the job's end, the caller wants that very
        job, so no cache is asked. `Forbidden` if the current
        client may not ask this, `TooManyRequests` if it asked too much.
        """
        params, began = None, time.perf_counter()
        try:
            params = checked(kind, await self._callers.sessions.completed(current().client, kind, arguments))
            outcome = await self._answer(kind, params, wait, trace, idempotency_key, callback_url, on_progress)
        except CryptoMcpError as error:
            self._callers.recorder.refused(kind, params, error, began)
            raise
        self._callers.recorder.answered(kind, params, outcome, began)
        self._remember(kind, params, outcome)
        return outcome

    async def _answer(
        self, kind: JobKind[Any, Any], params: BaseModel, wait: float, trace: str, idempotency_key: str | None,
        callback_url: str | None, on_progress: OnProgress | None,
    ) -> Outcome:  # fmt: skip
        identity = current()
        identity.require(kind.scope_of(params))
        about_a_job = idempotency_key is not None or callback_url is not None
        if not about_a_job and (outcome := await self._known(kind, params, identity.client)) is not None:
            return outcome
        if kind.cost > 1:
            await self._callers.rates.charge(identity, None, kind.cost - 1)
        job_id = new_id()
        async with self._watcher.watching(job_id) as watch:
            submitted = await self._jobs.submit(
                kind,
                params,
                job_id=job_id,
                client=identity.client,
                trace=trace,
                watcher=self._watcher.channel,
                idempotency_key=idempotency_key,
                door=self._door(kind, identity),
                after=b"" if callback_url is None else self._callback(callback_url, identity.client, trace),
            )
            log.info("job submitted", kind=kind.name, job_id=submitted.job_id, joined=submitted.joined)
            if submitted.joined:
                watch.follow(submitted.job_id)
                watch.wake()
            elif wait <= 0:
                return Outcome(submitted.state, submitted.job_id)
            seen = await self._watch(submitted.job_id, watch, wait, on_progress)
        if seen is None:  # accepted, and Redis went away: the job is safe
            return Outcome(submitted.state, submitted.job_id)
        return await self._outcome(*seen)

    def _door(self, kind: JobKind[Any, Any], identity: Identity) -> Door:
        queue = self._queue
        share = 0 if identity.local or not queue.client_share else max(1, queue.client_share // max(1, kind.cost))
        return Door(share, queue.client_waiting, queue.longest)

    def _callback(self, url: str, client: str, trace: str) -> bytes:
        """The envelope of the job that posts to an address when another has ended."""
        kind = self._catalogue[_CALLBACK]
        params = kind.params(job_id="@job", url=url)
        return write(new_id(), kind, params, reply_to="", trace=trace, client=client)

    async def result(self, job_id: str, *, wait: float, on_progress: OnProgress | None = None) -> Outcome:
        """The answer of a job. `UnknownJob` if there is none, `ResultExpired` if nobody has its result any more."""
        try:
            seen = await self._follow(job_id, wait, on_progress)
        except UnknownJob:
            outlived = await self._outlived(job_id)
            if outlived is None:
                raise
            return outlived
        return await self._outcome(*seen)

    async def status(self, job_id: str, *, wait: float = 0) -> JobRecord:
        """The job as it stands, or as it ends within `wait` seconds."""
        record, _ = await self._follow(job_id, wait, None)
        return record

    async def changes(self, job_id: str) -> AsyncIterator[JobRecord | None]:
        """The job as it stands now and after each change until it has ended; None when nothing changed for a while."""
        async with self._watcher.watching(job_id) as watch:
            await self._jobs.watch(job_id, self._watcher.channel)
            self._waiting.add(watch)
            try:
                told = None
                while told is None or not (told.state.finished or self.closing.is_set()):
                    with contextlib.suppress(StoreUnavailable):  # when Redis is back, every watch is woken
                        stands = await self._jobs.get(job_id)
                        if stands != told:
                            told = stands
                            yield told
                            continue
                    if not await watch.change(_QUIET):
                        yield None
            finally:
                self._waiting.discard(watch)

    def close(self) -> None:
        """Has every call that waits answered now, by how its job stands: the front end is about to end."""
        self.closing.set()
        for watch in self._waiting:
            watch.wake()

    async def cancel(self, job_id: str) -> JobRecord:
        """Asks for a job to be stopped; the job as it then stands. `Forbidden` if another client waits for it too."""
        record = _visible(await self._jobs.get(job_id))
        if not current().sees(record.client):
            raise Forbidden("another client asked for this job first", hint="It ends by itself; stop waiting for it.")
        return await self._jobs.cancel(job_id)

    def _remember(self, kind: JobKind[Any, Any], params: BaseModel, outcome: Outcome) -> None:
        """Notes the call in the client's session, and lets nobody wait for that. A change is not to be repeated."""
        if kind.tool and kind.shareable(params):
            task = asyncio.create_task(
                self._callers.sessions.note(current().client, kind, params, outcome.job_id), name="session"
            )
            self._noting.add(task)
            task.add_done_callback(self._noting.discard)

    async def _known(self, kind: JobKind[Any, Any], params: BaseModel, client: str) -> Outcome | None:
        """A cached answer, or a stored one that is fresh; the caches above where it was found get it too."""
        key = kind.cache_key(params, client)
        if kind.cache is None or key is None:
            return None
        found = await self._cache.get(key, in_memory=kind.cache.in_memory)
        if found is not None:
            return Outcome(JobState.DONE, result=found.body, cached_in=found.level)
        return await self._kept(kind, key) if kind.cache.collection is not None else None

    async def _kept(self, kind: JobKind[Any, Any], key: str) -> Outcome | None:
        if self._stored_outage.lasts:
            return None
        try:
            async with asyncio.timeout(_STORED_WITHIN):
                found = await self._stored.find_result(kind, key)
        except (StoreUnavailable, TimeoutError) as error:
            self._stored_outage.begin(error)
            return None
        except ValidationError:  # written by another version of the product
            found = None
        self._stored_outage.end()
        if found is None:
            return None
        result, seconds = found
        body = result.model_dump_json().encode()
        await self._cache.put(key, body, seconds)
        return Outcome(JobState.DONE, result=body, cached_in="mongodb")

    async def _follow(self, job_id: str, wait: float, on_progress: OnProgress | None) -> Seen:
        """Watches a job, submitted through any front end; `UnknownJob` if the current client may not see it."""
        seen = await self._jobs.get_with_answer(job_id)
        _visible(seen[0])
        if wait <= 0 or seen[0].state.finished:
            return seen
        async with self._watcher.watching(job_id) as watch:
            await self._jobs.watch(job_id, self._watcher.channel)
            watch.wake()
            ended = await self._watch(job_id, watch, wait, on_progress)
        return ended or await self._jobs.get_with_answer(job_id)

    async def _watch(self, job_id: str, watch: Watch, wait: float, on_progress: OnProgress | None) -> Seen | None:
        """The job when it has ended or `wait` seconds are over; None if Redis did not answer then."""
        self._waiting.add(watch)
        try:
            return await self._until(job_id, watch, min(wait, self._longest_wait), on_progress)
        finally:
            self._waiting.discard(watch)

    async def _until(self, job_id: str, watch: Watch, wait: float, on_progress: OnProgress | None) -> Seen | None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + wait
        while True:
            await watch.change(0.0 if self.closing.is_set() else max(0.0, deadline - clock()))
            over = self.closing.is_set() or clock() >= deadline
            try:
                seen = await self._jobs.get_with_answer(job_id)
            except StoreUnavailable:
                if over:
                    return None
                continue  # when Redis is back, every watch is woken
            if over or seen[0].state.finished:
                return seen
            if on_progress is not None and seen[0].progress is not None:
                await on_progress(seen[0].progress)

    async def _outcome(self, record: JobRecord, body: bytes | None) -> Outcome:
        outcome = replace(standing(record), kind=None, attempts=None, of_kind=record.kind)
        if record.state is not JobState.DONE:
            return outcome
        return replace(outcome, result=body if body is not None else await self._written(record.kind, record.job_id))

    async def _written(self, kind_name: str, job_id: str) -> bytes:
        """The result that a job wrote to MongoDB, when Redis has it no longer."""
        kind = self._catalogue[kind_name]
        if kind.cache is not None and kind.cache.collection is not None:
            result = await self._stored.result_of_job(kind, job_id)
            if result is not None:
                return result.model_dump_json().encode()
        raise ResultExpired(
            f"the result of job {job_id} is no longer kept", hint=f"Call {kind.name} again; it computes a new one."
        )

    async def _outlived(self, job_id: str) -> Outcome | None:
        """The answer of a job whose record has expired while MongoDB still has its result; not one that is owned."""
        for kind in self._catalogue:
            if kind.owned and not current().may("jobs:all"):
                continue
            try:
                return Outcome(JobState.DONE, job_id, await self._written(kind.name, job_id), of_kind=kind.name)
            except (ResultExpired, ValidationError):
                continue
        return None
