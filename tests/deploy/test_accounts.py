"""What each account of the databases may and may not do, on real servers."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, WriteError
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.deploy import mongo_setup, postgres_setup
from crypto_mcp.deploy.accounts import Passwords, redis_acl
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.local import binaries
from crypto_mcp.local.mongo_server import MongoServer
from crypto_mcp.models.analysis import AnalyzeParams
from crypto_mcp.settings import QueueSettings
from tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.local.redis_server import RedisServer
    from tests.servers import Servers

DATABASE = "deployed"


@pytest.fixture
async def mongo(tmp_path: Path) -> AsyncIterator[tuple[MongoServer, Passwords]]:
    """A replica set of its own, whose accounts are ours to change."""
    server = MongoServer(tmp_path / "mongodb", free_port(), "first", "first-admin", database=DATABASE)
    await server.start()
    yield server, replace(Passwords(), mongo_keyfile=(server.data / "keyfile").read_text())
    await server.kill()


async def test_mongodb_accounts_do_their_work_and_nothing_else(mongo: tuple[MongoServer, Passwords]) -> None:
    """Set up twice; the product writes its database only, readers write nothing, validators hold."""
    server, passwords = mongo
    hosts = [f"127.0.0.1:{server.port}"]
    first = await mongo_setup.set_up(hosts, passwords, DATABASE, tls={}, within=30)
    assert "MongoDB: account crypto_mcp_backup" in first
    assert await mongo_setup.set_up(hosts, passwords, DATABASE, tls={}, within=30) == []

    def login(user: str, password: str) -> AsyncMongoClient[dict[str, Any]]:
        return AsyncMongoClient(hosts[0], username=user, password=password, directConnection=True)

    async with login("crypto_mcp", passwords.mongo_app) as app:
        await app[DATABASE].notes.insert_one({"a": 1})
        assert "symbol_1_timestamp_-1" in await app[DATABASE].analyses.index_information()
        with pytest.raises(WriteError, match="validation"):
            await app[DATABASE].analyses.insert_one({"symbol": "BTCUSDT"})
        for forbidden in (app.other.notes.insert_one({"a": 1}), app.admin.command("serverStatus")):
            with pytest.raises(OperationFailure, match="not authorized"):
                await forbidden
    async with login("crypto_mcp_read", passwords.mongo_read) as reader:
        assert await reader[DATABASE].notes.count_documents({}) == 1
        with pytest.raises(OperationFailure, match="not authorized"):
            await reader[DATABASE].notes.insert_one({"a": 2})
    async with login("crypto_mcp_backup", passwords.mongo_backup) as backup:
        assert await backup.local["oplog.rs"].find_one({}) is not None
        with pytest.raises(OperationFailure, match="not authorized"):
            await backup[DATABASE].notes.delete_many({})


async def test_postgresql_roles_do_their_work_and_nothing_else(
    servers: Servers, postgres_database: asyncpg.Connection
) -> None:
    """The product writes rows but makes no tables and rewrites no audit; readers see no keys; backups read no rows."""
    local = servers.postgres
    admin, own = (urlsplit(url).password or "" for url in (local.admin_url, local.url))
    passwords = replace(Passwords(), postgres_admin=admin, postgres_app=own)

    def url(user: str, password: str, database: str) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{local.port}/{database}"

    @asynccontextmanager
    async def login(user: str, password: str) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(url(user, password, DATABASE))
        try:
            yield connection
        finally:
            await connection.close()

    assert "PostgreSQL: role crypto_mcp_owner" in await postgres_setup.set_up(url, passwords, DATABASE, within=30)
    assert await postgres_setup.set_up(url, passwords, DATABASE, within=30) == []
    async with login("crypto_mcp", own) as app:
        await app.execute("INSERT INTO clients (client_id, role) VALUES ('somebody', 'reader')")
        for statement in (
            "CREATE TABLE mine (a int)",
            "DROP TABLE clients",
            "UPDATE audit SET actor = 'nobody'",
            "DELETE FROM schema_migrations",
            "CREATE ROLE other",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute(statement)
    async with login("crypto_mcp_read", passwords.postgres_read) as reader:
        assert await reader.fetchval("SELECT count(*) FROM clients") == 1
        for statement in ("SELECT * FROM api_keys", "DELETE FROM clients"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await reader.execute(statement)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with login("crypto_mcp_backup", passwords.postgres_backup):
            pass


@asynccontextmanager
async def redis_with_accounts(folder: Path, passwords: Passwords) -> AsyncIterator[Redis]:
    """A Redis as `compose/databases/start-redis.sh` starts it, but for TLS; killed at the end, as by a power cut."""
    (folder / "redis.acl").write_text(redis_acl(passwords))
    options = ("--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "yes")
    process = await asyncio.create_subprocess_exec(
        binaries.redis_server(), *options, "--aclfile", "redis.acl", cwd=folder, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        path = str(folder / "redis.sock")
        async with Redis(unix_socket_path=path, username="worker", password=passwords.redis_worker) as worker:
            async with asyncio.timeout(20):
                while True:
                    try:
                        await worker.ping()
                        break
                    except RedisError:
                        await asyncio.sleep(0.02)
            yield worker
    finally:
        process.kill()
        await process.wait()


async def test_a_killed_redis_has_every_job_again_under_its_accounts() -> None:
    """Jobs are written in transactions, which Redis replays from its file as `default`, who may not log in."""
    passwords = Passwords()
    with tempfile.TemporaryDirectory(prefix="acl-") as name:  # a socket's path has to be short
        async with redis_with_accounts(Path(name), passwords) as redis:
            jobs = JobClient(redis, QueueSettings())
            for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
                await jobs.submit(CATALOGUE["analyze_crypto"], AnalyzeParams(symbol=symbol), job_id=symbol)
        async with redis_with_accounts(Path(name), passwords) as redis:
            assert await redis.llen("analysis:queue") == 3  # type: ignore[misc]
            assert (await JobClient(redis, QueueSettings()).get("ETHUSDT")).state == "queued"
            async with Redis(unix_socket_path=f"{name}/redis.sock") as nobody:
                with pytest.raises(RedisError):
                    await nobody.ping()


async def test_redis_accounts_cannot_flush_configure_or_read_what_is_not_theirs(redis_server: RedisServer) -> None:
    """Workers use what the product uses, and no more; the account of backups replicates and reads no key."""
    passwords = Passwords()
    async with Redis.from_url(redis_server.url(0)) as admin:
        for line in redis_acl(passwords).splitlines():
            _, name, *rules = line.split()
            if name != "default":
                await admin.execute_command("ACL", "SETUSER", name, "reset", *rules)
        try:
            async with Redis(port=redis_server.port, username="worker", password=passwords.redis_worker) as worker:
                await worker.lpush("analysis:queue", "{}")
                await worker.config_get("maxmemory-policy")
                await worker.sort("analysis:queue", by="nosort")
                assert await worker.eval("return redis.call('LLEN', KEYS[1])", 1, "analysis:queue") == 1
                for command in (("FLUSHALL",), ("CONFIG", "SET", "appendonly", "no"), ("KEYS", "*"), ("SHUTDOWN",)):
                    with pytest.raises(NoPermissionError):
                        await worker.execute_command(*command)
            async with Redis(port=redis_server.port, username="backup", password=passwords.redis_backup) as backup:
                assert await backup.info("replication")
                for command in (("GET", "a"), ("LRANGE", "analysis:queue", "0", "-1"), ("SET", "a", "b")):
                    with pytest.raises(NoPermissionError):
                        await backup.execute_command(*command)
            async with Redis(port=redis_server.port) as nobody:
                with pytest.raises(RedisError):
                    await nobody.ping()
        finally:
            await admin.execute_command("ACL", "DELUSER", "front", "worker", "scheduler", "backup")
