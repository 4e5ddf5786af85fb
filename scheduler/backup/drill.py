"""A disaster on purpose: servers of its own, data, writers that count, every data folder destroyed, a restore
elsewhere.

Writers put rising numbers into all three databases, each once a tenth of a second, until the servers are killed in
the middle of it. What the restored servers know last, against what the writers know was accepted, is what was lost
(RPO), in seconds; from the kill until everything answers and is checked is what it took (RTO). Nothing of a running
stack is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import secrets
import shutil
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError
from redis.asyncio import Redis

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.local.mongo_server import MongoServer
from crypto_mcp.local.postgres_server import PostgresServer
from crypto_mcp.local.redis_server import RedisServer
from crypto_mcp.models.analysis import AnalyzeParams
from crypto_mcp.settings import PostgresSettings, QueueSettings
from crypto_mcp.stores.postgres import PostgresStore
from scheduler.backup.generation import Sources, begun
from scheduler.backup.invariants import broken_jobs
from scheduler.backup.repository import FULL, TAIL, Repository
from scheduler.backup.restore import Target, fetch, restore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_DATABASE = "crypto_mcp"
_EVERY = 0.1
_GONE = (CryptoMcpError, PyMongoError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
_RPO_BAR, _RTO_BAR = 60.0, 180.0


@dataclass(frozen=True, slots=True)
class Servers:
    """Redis, MongoDB and PostgreSQL in a folder of their own."""

    redis: RedisServer
    mongo: MongoServer
    postgres: PostgresServer

    @classmethod
    def under(cls, folder: Path, ports: Sequence[int], passwords: Sequence[str]) -> Servers:
        """Servers that are not started yet."""
        redis, mongo, postgres = ports
        return cls(
            RedisServer(folder / "redis", redis, passwords[0]),
            MongoServer(folder / "mongodb", mongo, passwords[1], passwords[2], database=_DATABASE),
            PostgresServer(folder / "postgresql", postgres, passwords[3], passwords[4]),
        )

    async def start(self) -> None:
        """All of them."""
        await asyncio.gather(self.redis.start(), self.mongo.start(), self.postgres.start())

    async def kill(self) -> None:
        """As a power cut would."""
        await asyncio.gather(*(each.kill() for each in (self.redis, self.mongo, self.postgres) if each.pid is not None))

    def sources(self) -> Sources:
        """Logins that may read everything."""
        parts = urlsplit(self.postgres.admin_url)
        return Sources(self.mongo.admin_url, _DATABASE, self.redis.url(2), urlunsplit(parts._replace(path="/postgres")))


@dataclass(slots=True)
class Report:
    """What a drill found.

    Attributes:
        rto_seconds: from the kill until the restored servers were checked.
        rpo_seconds: by server, age of the oldest accepted write that is gone; 0 if none is.
        lost: accepted writes that are gone, by server.
        checks: what was verified, and what came of it.
        steps: seconds each step took.
    """

    at: str
    rto_seconds: float = 0.0
    rpo_seconds: dict[str, float] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    checks: dict[str, str] = field(default_factory=dict)
    steps: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Within the bars, with every check fine."""
        fine = all(said.startswith("ok") for said in self.checks.values())
        return fine and self.rto_seconds <= _RTO_BAR and max(self.rpo_seconds.values(), default=0.0) <= _RPO_BAR

    def in_words(self) -> str:
        """For people."""
        rows = [f"Drill of {self.at}: {'passed' if self.passed else 'FAILED'}"]
        rows.append(f"  RTO {self.rto_seconds:.1f} s (bar {_RTO_BAR:.0f} s)")
        for name, seconds in self.rpo_seconds.items():
            rows.append(
                f"  RPO {name}: {seconds:.1f} s, {self.lost[name]} of {self.accepted[name]} accepted writes lost"
                f" (bar {_RPO_BAR:.0f} s)"
            )
        rows += [f"  {name}: {said}" for name, said in self.checks.items()]
        rows += [f"  {name} took {seconds:.1f} s" for name, seconds in self.steps.items()]
        return "\n".join(rows)

    def write(self, folder: Path) -> Path:
        """Keeps it as JSON; where."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"drill-{self.at.replace(':', '')}.json"
        path.write_text(json.dumps(asdict(self) | {"passed": self.passed}, indent=2))
        return path


class Writer:
    """Puts rising numbers somewhere and remembers when each was accepted."""

    def __init__(self, name: str, put: Callable[[int], Any]) -> None:
        self.name = name
        self.accepted: dict[int, float] = {}
        self._put = put

    async def run(self) -> None:
        """Until cancelled, or until the server is gone."""
        number = 0
        while True:
            number += 1
            with contextlib.suppress(*_GONE):
                await self._put(number)
                self.accepted[number] = time.monotonic()
            await asyncio.sleep(_EVERY)

    def lost(self, known: set[int], killed_at: float) -> tuple[int, float]:
        """Accepted writes that are gone, and how long before the kill the first of them was accepted."""
        gone = [at for number, at in self.accepted.items() if number not in known]
        return len(gone), max(0.0, killed_at - min(gone)) if gone else 0.0


async def drill(
    folder: Path, ports: Sequence[int], *, documents: int, seconds: float, tail_every: float, say: Callable[[str], None]
) -> Report:
    """The whole of it, in an empty folder that is left empty again. `ports` are three free ones."""
    report = Report(datetime.now(UTC).isoformat(timespec="seconds"))
    passwords = [secrets.token_hex(12) for _ in range(5)]
    before, after = (Servers.under(folder / name, ports, passwords) for name in ("before", "after"))
    repository = Repository(str(folder / "repository"), secrets.token_hex(16))
    try:
        say("starting servers and filling them")
        await before.start()
        await _fill(before, documents)
        # What drivers say of servers that vanish under them is no finding.
        with contextlib.redirect_stderr(io.StringIO()):
            writers, killed_at = await _disaster(before, repository, folder, seconds, tail_every, report, say)
        destroyed_at = time.monotonic()
        for name in ("before", "work"):
            await asyncio.to_thread(shutil.rmtree, folder / name)
        say("all data is destroyed; restoring elsewhere")
        await _bring_back(repository, folder, after, report, say)
        await _check(after, writers, killed_at, report)
        report.rto_seconds = time.monotonic() - destroyed_at
    finally:
        await before.kill()
        await after.kill()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    return report


async def _fill(servers: Servers, documents: int) -> None:
    async with AsyncMongoClient[dict[str, Any]](servers.mongo.admin_url) as client:
        rows = ({"n": n, "symbol": f"S{n % 400}USDT", "note": secrets.token_hex(60)} for n in range(documents))
        await client[_DATABASE].filled.insert_many(rows, ordered=False)
        await client[_DATABASE].filled.create_index("symbol")
    store = PostgresStore(PostgresSettings.model_validate({"url": servers.postgres.url, "timeout": 30}))
    await store.migrate()
    async with store.connection() as connection:
        await connection.execute("CREATE TABLE sequence (n int PRIMARY KEY)")
        await connection.execute(
            "CREATE TABLE filled AS SELECT n, md5(n::text) AS note FROM generate_series(1, $1::int) n", documents
        )
    await store.close()


async def _disaster(
    servers: Servers,
    repository: Repository,
    folder: Path,
    seconds: float,
    tail_every: float,
    report: Report,
    say: Callable[[str], None],
) -> tuple[list[Writer], float]:
    """Writes, backs up, and kills everything in the middle of it; when that was."""
    relational = await asyncpg.connect(servers.postgres.url)
    async with (
        Redis.from_url(servers.redis.url(2)) as redis,
        AsyncMongoClient[dict[str, Any]](servers.mongo.admin_url) as client,
    ):
        jobs = JobClient(redis, QueueSettings())

        async def submit(number: int) -> None:
            params = AnalyzeParams(symbol=f"S{number}USDT")
            await jobs.submit(CATALOGUE["analyze_crypto"], params, job_id=f"drill{number}")

        writers = [
            Writer("redis", submit),
            Writer("mongodb", lambda n: client[_DATABASE].sequence.insert_one({"_id": n})),
            Writer("postgresql", lambda n: relational.execute("INSERT INTO sequence VALUES ($1)", n)),
        ]
        writing = [asyncio.create_task(writer.run()) for writer in writers]
        began = time.monotonic()
        await repository.prepare()
        async with begun(folder / "work", servers.sources()) as generation:
            await repository.keep([generation.folder], FULL)
            report.steps["full backup"] = time.monotonic() - began
            say(f"full backup after {report.steps['full backup']:.1f} s; {seconds:g} s of writes follow")
            until, took = time.monotonic() + seconds, 0.0
            while time.monotonic() + tail_every + took < until:
                await asyncio.sleep(tail_every)
                tailed = time.monotonic()
                await repository.keep([generation.folder], TAIL)
                took = time.monotonic() - tailed
            report.steps["backup of changes"] = took
            await asyncio.sleep(max(0.0, until - time.monotonic()))
            say("killing everything")
            killed_at = time.monotonic()
            await servers.kill()
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
    relational.terminate()
    return writers, killed_at


async def _bring_back(
    repository: Repository, folder: Path, servers: Servers, report: Report, say: Callable[[str], None]
) -> None:
    began = time.monotonic()
    snapshot, found = await fetch(repository, "latest", None, folder / "fetched")
    report.checks["checksums"] = f"ok, snapshot {snapshot.id}"
    report.steps["fetch and checksums"] = time.monotonic() - began
    began = time.monotonic()
    files = Target(redis=servers.redis.data, postgres=servers.postgres.data / "cluster")
    servers.postgres.data.mkdir(parents=True)
    await restore(found, files, say=say)
    await asyncio.to_thread(servers.postgres.own_data)
    await servers.start()
    done = await restore(found, Target(mongo_url=servers.mongo.admin_url), say=say)
    report.checks["documents"] = f"ok, {sum(done['documents'].values())} and {done['operations']} operations after"
    report.steps["restore and start"] = time.monotonic() - began


async def _check(servers: Servers, writers: list[Writer], killed_at: float, report: Report) -> None:
    """What is known again, and what must be true of it."""
    began = time.monotonic()
    relational = await asyncpg.connect(servers.postgres.url)
    async with (
        Redis.from_url(servers.redis.url(2)) as redis,
        AsyncMongoClient[dict[str, Any]](servers.mongo.admin_url) as client,
    ):
        database = client[_DATABASE]
        known = {
            "redis": {int(key.decode().removeprefix("job:drill")) async for key in redis.scan_iter("job:drill*")},
            "mongodb": {row["_id"] async for row in database.sequence.find({}, {"_id": 1})},
            "postgresql": {row["n"] for row in await relational.fetch("SELECT n FROM sequence")},
        }
        for writer in writers:
            lost, age = writer.lost(known[writer.name], killed_at)
            report.accepted[writer.name] = len(writer.accepted)
            report.lost[writer.name], report.rpo_seconds[writer.name] = lost, age
        broken = await broken_jobs(redis)
        report.checks["queue"] = f"{len(broken)} jobs in no place or in two" if broken else "ok, every job in one place"
        indexes = await database.filled.index_information()
        report.checks["indexes"] = "ok" if "symbol_1" in indexes else "the index is missing"
        await relational.execute("INSERT INTO sequence VALUES (-1)")
        await database.sequence.insert_one({"_id": -1})
        await redis.set("drill", "1")
        report.checks["writable"] = "ok"
        rows = await relational.fetchval("SELECT count(*) FROM filled WHERE note = md5(n::text)")
        whole = rows == await database.filled.count_documents({})
        report.checks["rows"] = f"ok, {rows} in each" if whole else "rows and documents differ"
    await relational.close()
    report.steps["checks"] = time.monotonic() - began
