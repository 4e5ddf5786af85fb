"""A queue whose worker is moved by hand: the protocol's own calls, one after another, without a process."""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import BaseModel
from redis.asyncio import Redis

from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.job_kind import Catalogue, JobKind
from crypto_mcp.jobs import envelope, keys
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.jobs.dead import DeadLetters
from crypto_mcp.jobs.desk import Desk, Start
from crypto_mcp.jobs.envelope import Accepted
from crypto_mcp.jobs.leases import Lease
from crypto_mcp.jobs.scripting import Scripts
from crypto_mcp.settings import QueueSettings

LIST: Final = "analysis:queue"
QUEUE_DB = 2


class Ask(BaseModel, extra="forbid"):
    """What a job is told."""

    n: int = 0
    text: str = ""


class Told(BaseModel):
    """What it answers."""

    n: int = 0


def _kind(name: str, **options: Any) -> JobKind[Ask, Told]:
    return JobKind(name, LIST, Ask, Told, "none:none", name, name, example={"n": 1}, max_tries=3, **options)


WORK, OTHER = _kind("work"), _kind("other")
CATALOGUE = Catalogue((WORK, OTHER))
SETTINGS = QueueSettings(restart_grace=0)


class HandDriven:
    """The queue, a client of it, and one worker that does only what a test tells it to."""

    def __init__(self, redis: Redis, worker: str = "hand", settings: QueueSettings = SETTINGS) -> None:
        self.redis = redis
        self.settings = settings
        self.worker = worker
        self.scripts = Scripts(redis)
        self.jobs = JobClient(redis, settings)
        self.letters = DeadLetters(redis, settings)
        self.desk = Desk(self.scripts, worker, QUEUE_DB, settings)
        self.lease = Lease(redis, self.scripts, worker, settings)

    async def submit(self, n: int = 0, **options: Any) -> str:
        return (await self.jobs.submit(WORK, Ask(n=n), **options)).job_id

    async def push(self, body: bytes | dict[str, Any], list_name: str = LIST) -> None:
        """As a stranger pushes: one LPUSH."""
        raw = json.dumps(body).encode() if isinstance(body, dict) else body
        await self.redis.lpush(list_name, raw)  # type: ignore[misc]

    async def handle(self, list_name: str = LIST) -> tuple[Accepted, Start] | str:
        """Takes the oldest envelope: on the desk it comes, or as no job to the dead list; then its letter's id."""
        (raw,) = await self.desk.take(list_name, 1)
        try:
            job = envelope.read(raw, list_name, CATALOGUE, self.settings.max_envelope)
        except CryptoMcpError as error:
            kind, reply_to = envelope.hints(raw)
            return await self.desk.refuse(raw, list_name, error, envelope.new_id(), kind, reply_to)
        return job, await self.desk.accept(raw, job, self.desk.claim())

    async def accept(self) -> tuple[Accepted, Start]:
        """Takes the oldest envelope, which is a job."""
        handled = await self.handle()
        assert not isinstance(handled, str), "the envelope was refused"
        return handled

    async def waiting(self) -> list[str]:
        """Ids of the jobs on the list, the next one first."""
        rows = await self.redis.lrange(LIST, 0, -1)  # type: ignore[misc]
        return [json.loads(row)["id"] for row in reversed(rows)]

    async def lines(self, reply_to: str) -> list[dict[str, Any]]:
        """What a reply list holds, oldest first."""
        return [json.loads(row) for row in reversed(await self.redis.lrange(reply_to, 0, -1))]  # type: ignore[misc]

    async def field(self, job_id: str, name: str) -> bytes | None:
        """A field of a job's hash."""
        found: bytes | None = await self.redis.hget(keys.job(job_id), name)  # type: ignore[misc]
        return found
