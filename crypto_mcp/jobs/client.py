"""Submitting jobs and asking after them. Used by the front end, the command line and jobs that make jobs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from crypto_mcp.errors import IdempotencyConflict, QueueFull, StoreUnavailable, TooManyJobs
from crypto_mcp.jobs import envelope, keys
from crypto_mcp.jobs.records import read_records, read_with_answer, unknown_job
from crypto_mcp.jobs.scripting import Scripts, unavailable
from crypto_mcp.models.answers import JobRecord, JobState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel
    from redis.asyncio import Redis

    from crypto_mcp.errors import CryptoMcpError
    from crypto_mcp.job_kind import JobKind
    from crypto_mcp.settings import QueueSettings

_SUBMIT_TRIES = 3
_SUBMIT_PAUSE = 0.2
_LISTING_PAGE = 200
_LATER = 5.0


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a submission: a new job, or one that was there already and is shared."""

    job_id: str
    state: JobState
    joined: bool


@dataclass(frozen=True, slots=True)
class Door:
    """How many jobs may come in from outside.

    Attributes:
        share: of one kind a client has at most so many on the list or beyond, more wait in a list of its own; 0: any.
        most_held: so many of them may wait there.
        longest: so many may wait for a list, all clients together; 0: any.
    """

    share: int = 0
    most_held: int = 0
    longest: int = 0


_OPEN = Door()


@dataclass(frozen=True, slots=True)
class Total:
    """What has ended of a kind on a list: `counts` by final state, and `wait_ms` and `run_ms` of all together."""

    list: str
    kind: str
    counts: Mapping[str, int]

    @property
    def ended(self) -> int:
        """Jobs that ended, however."""
        return sum(count for what, count in self.counts.items() if not what.endswith("_ms"))


class JobClient:
    """The queue as its users see it. Every method raises `StoreUnavailable` when Redis does not answer."""

    def __init__(self, redis: Redis, settings: QueueSettings) -> None:
        self._redis = redis
        self._settings = settings
        self._scripts = Scripts(redis)

    async def submit(  # noqa: PLR0913 - all but two are named options
        self,
        kind: JobKind[Any, Any],
        params: BaseModel,
        *,
        job_id: str | None = None,
        client: str = "",
        trace: str = "",
        reply_to: str = "",
        watcher: str = "",
        idempotency_key: str | None = None,
        share: bool = True,
        door: Door = _OPEN,
        after: bytes = b"",
    ) -> Submitted:
        """Puts a job on its list, or joins an equal one that is not finished (unless `share` is False, or it changes
        something: then two equal requests are two jobs).

        With an `idempotency_key` a repeated call gets the first call's job for a day; `IdempotencyConflict` if it asks
        for something else. `watcher` is a channel that hears of each change of the job's state. `QueueFull` or
        `TooManyJobs` if it does not fit through the `door`; then nothing was accepted. `after` is an envelope that is
        pushed to `notifications:queue` at the job's end, in the same step; `@job` as its `job_id` becomes the job's.
        """
        job_id = job_id or envelope.new_id()
        digest = envelope.params_digest(kind, params, client)
        text = envelope.write(job_id, kind, params, reply_to=reply_to, trace=trace, client=client)
        key = keys.idempotency(client, idempotency_key) if idempotency_key else ""
        outcome, known, state = await self._insist(
            "submit",
            (kind.list, key),
            (
                job_id,
                text,
                kind.name,
                digest,
                client,
                trace,
                reply_to,
                watcher,
                self._settings.recent,
                self._settings.idempotency_ttl,
                "1" if share and kind.shareable(params) else "0",
                door.share,
                door.most_held,
                door.longest,
                after,
            ),
        )
        if outcome in (b"full", b"crowded"):
            raise _no_room(outcome == b"full", kind)
        if outcome == b"conflict":
            raise IdempotencyConflict(
                "this Idempotency-Key was used for another request",
                hint="Use a new key for a new request, or repeat the first request unchanged.",
            )
        return Submitted(known.decode(), JobState(state.decode()), joined=known.decode() != job_id)

    async def _insist(self, script: str, keys_: tuple[str, ...], args: tuple[Any, ...]) -> Any:
        """Repeats a script over a broken connection: it knows its own earlier run by the job's id."""
        for _ in range(_SUBMIT_TRIES - 1):
            try:
                return await self._scripts.run(script, keys_, args)
            except StoreUnavailable:
                await asyncio.sleep(_SUBMIT_PAUSE)
        return await self._scripts.run(script, keys_, args)

    async def get(self, job_id: str) -> JobRecord:
        """The job as it stands; `UnknownJob` if there is none."""
        record, _ = await self.get_with_answer(job_id)
        return record

    async def get_with_answer(self, job_id: str) -> tuple[JobRecord, bytes | None]:
        """The job and, if it is done and Redis still has it, its result as JSON, in one round trip."""
        try:
            record, found = await read_with_answer(self._redis, job_id)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        if record is None:
            raise unknown_job(job_id)
        return record, found

    async def several(self, job_ids: Sequence[str]) -> list[JobRecord | None]:
        """These jobs as they stand, None for those that are unknown, in one round trip."""
        try:
            return await read_records(self._redis, job_ids)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def answers(self, job_ids: Sequence[str]) -> list[bytes | None]:
        """The results of these jobs as JSON, None where Redis does not have it (any more), in one round trip."""
        try:
            return await self._redis.mget([keys.answer(job_id) for job_id in job_ids]) if job_ids else []
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def watch(self, job_id: str, watcher: str) -> JobState:
        """Tells a channel of each change of the job from now on; the job's state. `UnknownJob` if there is none."""
        state = (await self._insist("watch", (), (job_id, watcher))).decode()
        if state == "unknown":
            raise unknown_job(job_id)
        return JobState(state)

    async def cancel(self, job_id: str) -> JobRecord:
        """Takes a waiting job from its list, or tells the worker that runs it to stop; the job as it then stands."""
        outcome = await self._insist("cancel", (), (job_id, self._settings.record_ttl))
        if outcome == b"unknown":
            raise unknown_job(job_id)
        return await self.get(job_id)

    async def recent(
        self,
        *,
        kind: str | None = None,
        state: JobState | None = None,
        client: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> list[JobRecord]:
        """The newest jobs first; with `client`, those that client asked for or joined.

        With `after`, those that follow this one; `UnknownJob` if it is not among the recent ones any more.
        """
        found: list[JobRecord] = []
        start = 0
        try:
            if after is not None:
                rank = await self._redis.zrevrank(keys.RECENT, after)
                if rank is None:
                    raise unknown_job(after)
                start = rank + 1
            while len(found) < limit:
                ids = await self._redis.zrevrange(keys.RECENT, start, start + _LISTING_PAGE - 1)
                if not ids:
                    break
                records = await read_records(self._redis, [job_id.decode() for job_id in ids])
                found += [r for r in records if r is not None and _fits(r, kind, state, client)]
                start += _LISTING_PAGE
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return found[:limit]

    async def depths(self, *lists: str) -> dict[str, int]:
        """Envelopes waiting on each list."""
        try:
            pipe = self._redis.pipeline(transaction=False)
            for name in lists:
                pipe.llen(name)
            return dict(zip(lists, await pipe.execute(), strict=True))
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def totals(self) -> list[Total]:
        """What has ended so far, by list and kind."""
        try:
            rows = await self._redis.hgetall(keys.STATS)  # type: ignore[misc]
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        found: dict[tuple[str, str], dict[str, int]] = {}
        for name, value in rows.items():
            of_list, kind, what = name.decode().split(" ")
            found.setdefault((of_list, kind), {})[what] = int(value)
        return [Total(*key, what) for key, what in sorted(found.items())]

    async def held(self, *lists: str) -> dict[str, int]:
        """Jobs that wait for their clients' shares of each list, and not on it."""
        try:
            counts = await self._redis.hmget(keys.HELD_LENGTHS, list(lists))  # type: ignore[misc]
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return {name: int(count or 0) for name, count in zip(lists, counts, strict=True)}

    async def ages(self, *lists: str) -> dict[str, float | None]:
        """Seconds the next job of each list has waited; None where there is none, or it was pushed from outside."""
        try:
            pipe = self._redis.pipeline(transaction=False)
            for name in lists:
                pipe.lindex(name, -1)
            ids = [envelope.named_id(raw) if raw else "" for raw in await pipe.execute()]
            for job_id in ids:
                pipe.hget(keys.job(job_id), "submitted_at")
            pipe.time()
            *submitted, (seconds, micros) = await pipe.execute()
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        now = seconds + micros / 1e6
        return {
            name: None if at is None else round(max(0.0, now - float(at) / 1000), 3)
            for name, at in zip(lists, submitted, strict=True)
        }


def _no_room(full: bool, kind: JobKind[Any, Any]) -> CryptoMcpError:
    if full:
        return QueueFull(
            f"too many jobs wait for {kind.list}", hint="Come back later; more workers help.", retry_after=_LATER
        )
    return TooManyJobs(
        f"too many jobs of this client wait for {kind.name}",
        hint="Submit more as these end; GET /v1/jobs?state=queued lists them.",
        retry_after=_LATER,
    )


def _fits(record: JobRecord, kind: str | None, state: JobState | None, client: str | None) -> bool:
    return (
        (kind is None or record.kind == kind)
        and (state is None or record.state == state)
        and (client is None or record.readable_by(client))
    )
