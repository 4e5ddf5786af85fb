"""Backups and restores: what comes back, what is refused, what is kept. Needs restic, else only a part runs."""

from __future__ import annotations

import asyncio
import os
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import bson
import pytest
from bson.timestamp import Timestamp
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.local import binaries
from crypto_mcp.local.redis_server import RedisServer
from crypto_mcp.models.analysis import AnalyzeParams
from crypto_mcp.settings import QueueSettings
from scheduler.backup import mongo_restore
from scheduler.backup.duty import next_hour
from scheduler.backup.errors import BackupFailed, RestoreRefused
from scheduler.backup.generation import Sources, begun
from scheduler.backup.invariants import broken_jobs
from scheduler.backup.manifest import Manifest
from scheduler.backup.postgres_copy import PostgresCopy
from scheduler.backup.programs import postgres_program, run
from scheduler.backup.repository import FULL, Repository
from scheduler.backup.restore import Target, fetch, require_room, restore
from tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from crypto_mcp.local.mongo_server import MongoServer
    from crypto_mcp.local.postgres_server import PostgresServer
    from crypto_mcp.settings import Settings

KEY = "a-key"

needs_postgres_tools = pytest.mark.skipif(
    postgres_program("pg_receivewal") is None, reason="PostgreSQL's client programs are not installed"
)
needs_restic = pytest.mark.skipif(shutil.which("restic") is None, reason="restic is not installed")


@pytest.fixture
async def sources(settings: Settings, mongo_database: Any) -> Sources:
    """Redis and MongoDB with something in them."""
    await mongo_database.notes.insert_many([{"_id": n, "text": "before"} for n in range(1000)])
    await mongo_database.notes.create_index("text")
    return Sources.of(settings)


@pytest.fixture
async def empty_redis(redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[RedisServer]:
    """Another Redis, not started yet."""
    password = redis_server.url(0).split(":")[2].split("@")[0]
    server = RedisServer(tmp_path / "other-redis", free_port(), password)
    yield server
    if server.pid is not None:
        await server.kill()


async def test_what_was_written_after_the_copy_comes_back_too(
    sources: Sources, settings: Settings, mongo_server: MongoServer, empty_redis: RedisServer, tmp_path: Path
) -> None:
    """The dump is old, the streams are not: changes, deletions, a transaction, an index and a collection made later."""
    async with (
        Redis.from_url(sources.redis_url) as redis,
        AsyncMongoClient[dict[str, Any]](sources.mongo_url) as client,
        begun(tmp_path, sources) as generation,
    ):
        database = client[sources.database]
        await database.notes.update_one({"_id": 1}, {"$set": {"text": "after", "inner.deep": 2}})
        await database.notes.delete_one({"_id": 2})
        await database.later.create_index("a", unique=True)
        async with client.start_session() as session, await session.start_transaction():
            await database.later.insert_one({"_id": "one", "a": 1}, session=session)
            await database.notes.insert_one({"_id": 5000}, session=session)
        jobs = JobClient(redis, QueueSettings())
        for number in range(50):
            await jobs.submit(CATALOGUE["analyze_crypto"], AnalyzeParams(symbol=f"A{number}USDT"), job_id=f"n{number}")
        expected = [row async for row in database.notes.find(sort=[("_id", 1)])]
        await _until_followed(generation.folder, redis)
        kept = shutil.copytree(generation.folder, tmp_path / "kept")
        assert generation.failure() is None
        await client.drop_database(sources.database)
        await client[sources.database].create_collection("notes")  # as `deploy init` has made it, and nobody filled it
    done = await restore(kept, Target(redis=empty_redis.data, mongo_url=mongo_server.admin_url), say=lambda _: None)
    assert done["documents"]["notes"] == 1000
    await empty_redis.start()
    async with (
        Redis.from_url(empty_redis.url(2)) as redis,
        AsyncMongoClient[dict[str, Any]](sources.mongo_url) as client,
    ):
        database = client[sources.database]
        assert [row async for row in database.notes.find(sort=[("_id", 1)])] == expected
        assert await database.later.find_one({"_id": "one"}) == {"_id": "one", "a": 1}
        assert (await database.later.index_information())["a_1"]["unique"]
        assert "text_1" in await database.notes.index_information()
        assert await redis.llen("analysis:queue") == 50
        assert await broken_jobs(redis) == []
        with pytest.raises(RestoreRefused, match="has collections"):
            await restore(kept, Target(mongo_url=mongo_server.admin_url), say=lambda _: None)
    with pytest.raises(RestoreRefused, match="has data of Redis"):
        require_room(Target(redis=empty_redis.data))


async def _until_followed(folder: Path, redis: Redis) -> None:
    """Both streams have what was written last."""
    await redis.set("last", "written")
    async with asyncio.timeout(20):
        while b"written" not in (folder / "redis/appendonlydir/appendonly.aof.1.incr.aof").read_bytes():
            await asyncio.sleep(0.02)
        while b"one" not in (folder / "mongo/oplog.bson").read_bytes():
            await asyncio.sleep(0.02)


@needs_postgres_tools
async def test_the_log_is_followed_from_before_the_copy_on(postgres_server: PostgresServer, tmp_path: Path) -> None:
    """The copy makes the server end its segment and throw it away: who comes to read it a moment later gets nothing."""
    for number in range(5):
        copy = PostgresCopy(postgres_server.admin_url, tmp_path / f"{number}")
        await copy.begin()
        following = asyncio.create_task(copy.follow())
        connection = await asyncpg.connect(postgres_server.admin_url)
        try:
            await connection.execute(f"CREATE TABLE noted_{number} AS SELECT 'after the copy' AS words")
            async with asyncio.timeout(20):
                while not (following.done() or _in_the_log(tmp_path / f"{number}", f"noted_{number}")):
                    await asyncio.sleep(0.02)
            assert not following.done(), following.exception()
            await connection.execute(f"DROP TABLE noted_{number}")
        finally:
            await connection.close()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def _in_the_log(folder: Path, words: str) -> bool:
    return any(words.encode() in file.read_bytes() for file in (folder / "wal").iterdir())


async def test_a_restore_stops_at_the_moment_it_is_told(
    mongo_server: MongoServer, mongo_database: Any, tmp_path: Path
) -> None:
    """What was done after that moment, such as a mistake, does not come back."""
    name = mongo_database.name
    (tmp_path / name).mkdir()
    made = {"ts": Timestamp(1, 1), "op": "c", "ns": f"{name}.$cmd", "o": {"create": "notes"}, "v": 2}
    entries = [
        made,
        *(
            {"ts": Timestamp(at, 1), "op": "i", "ns": f"{name}.notes", "o": {"_id": at}, "v": 2}
            for at in (100, 200, 300)
        ),
    ]
    (tmp_path / "oplog.bson").write_bytes(b"".join(map(bson.encode, entries)) + b"\x99\x00\x00\x00cut off")
    async with AsyncMongoClient[dict[str, Any]](mongo_server.admin_url) as client:
        replayed = await mongo_restore.restore(client, name, tmp_path, until=200)
        assert [row["_id"] async for row in client[name].notes.find()] == [100, 200]
    assert (replayed.operations, replayed.until) == (3, Timestamp(200, 1))


@needs_restic
async def test_damage_wrong_keys_and_half_finished_backups_are_found_before_anything_is_touched(tmp_path: Path) -> None:
    """Each is refused with what to do; a repository is not made anew over one that another key opens."""
    repository = Repository(str(tmp_path / "repository"), KEY)
    await repository.prepare()
    unfinished = tmp_path / "work"
    unfinished.mkdir()
    (unfinished / "some.bson").write_bytes(b"x" * 1000)
    await repository.keep([unfinished], FULL)
    with pytest.raises(RestoreRefused, match="was not finished"):
        await fetch(repository, "latest", None, tmp_path / "fetched")
    with pytest.raises(BackupFailed, match="is there and does not open"):
        await Repository(repository.place, "another").prepare()
    with pytest.raises(RestoreRefused, match="there is no snapshot"):
        await fetch(repository, "ffff", None, tmp_path / "fetched")
    with pytest.raises(BackupFailed, match="wrong password"):
        await fetch(Repository(repository.place, "another"), "latest", None, tmp_path / "fetched")
    await repository.check()
    pack = next(path for path in (tmp_path / "repository" / "data").rglob("*") if path.is_file())
    pack.chmod(0o600)
    pack.write_bytes(pack.read_bytes()[:-1] + b"?")
    with pytest.raises(BackupFailed, match="restic ended"):
        await repository.check()


@pytest.fixture
async def small_disk(tmp_path: Path) -> AsyncIterator[Path]:
    """A disk of eight megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        await run(["mount", "-t", "tmpfs", "-o", "size=8m", "small", str(place)])
    except (BackupFailed, OSError):
        pytest.skip("a small disk can only be mounted by root")
    yield place
    await run(["umount", "--lazy", str(place)])


@needs_restic
async def test_a_full_disk_fails_the_backup_and_costs_none_that_is_there(tmp_path: Path, small_disk: Path) -> None:
    """It is said in words; the earlier backup is listed and restored from the full disk, and the next succeeds."""
    repository = Repository(str(small_disk / "repository"), KEY)
    await repository.prepare()
    data = tmp_path / "data"
    data.mkdir()
    (data / "small").write_text("kept")
    Manifest(0.0, 1.0, "db", {}, []).write(data)
    await repository.keep([data], FULL)
    (data / "large").write_bytes(os.urandom(16 << 20))
    with pytest.raises(BackupFailed, match="no space left on device"):
        await repository.keep([data], FULL)
    (small_disk / "filling").write_bytes(b"x" * shutil.disk_usage(small_disk).free)
    _, folder = await fetch(repository, "latest", None, tmp_path / "fetched")
    assert (folder / "small").read_text() == "kept"
    (small_disk / "filling").unlink()
    (data / "large").unlink()
    assert await repository.keep([data], FULL)


def test_a_backup_of_a_newer_version_is_refused_and_one_of_an_older_is_taken() -> None:
    """Migrations only go forward."""
    Manifest(0.0, 1.0, "db", {}, [], version="0.0.1").require_known_version()
    Manifest(0.0, 1.0, "db", {}, []).require_known_version()
    with pytest.raises(RestoreRefused, match="is of version 99"):
        Manifest(0.0, 1.0, "db", {}, [], version="99.0.0").require_known_version()


@needs_restic
async def test_old_backups_go_and_the_newest_of_each_day_week_and_month_stays(tmp_path: Path) -> None:
    """With two of each kept: the last two days, and the ends of two weeks and two months before."""
    repository = Repository(str(tmp_path / "repository"), KEY)
    await repository.prepare()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("the same")
    end = datetime(2026, 3, 20, 3, tzinfo=UTC)
    for days in (60, 21, 20, 9, 8, 1, 0):
        await repository.keep([tmp_path / "data"], FULL, at=end - timedelta(days=days))
    await repository.forget((2, 2, 2))
    kept = [(end.date() - snapshot.at.date()).days for snapshot in await repository.snapshots()]
    assert kept == [20, 8, 1, 0]


def test_programs_are_found_where_debian_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pg_verifybackup` is not on PATH there; the newest version counts, as a number."""
    monkeypatch.setattr(binaries, "postgres_programs", lambda: tmp_path / "no-server")
    for version in ("9", "15", "17"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "pg_verifybackup").touch()
    assert postgres_program("pg_verifybackup", tmp_path) == str(tmp_path / "17" / "bin" / "pg_verifybackup")
    assert postgres_program("pg_nothing", tmp_path) is None


def test_the_daily_backup_is_due_at_its_hour() -> None:
    """Today if it is still to come, else tomorrow."""
    assert next_hour(datetime(2026, 1, 1, 2, 59, tzinfo=UTC), 3) == datetime(2026, 1, 1, 3, tzinfo=UTC)
    assert next_hour(datetime(2026, 1, 1, 3, 0, tzinfo=UTC), 3) == datetime(2026, 1, 2, 3, tzinfo=UTC)
