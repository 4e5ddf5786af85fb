"""PostgreSQL by its own tools: a base backup, and its write-ahead log as it is written.

`pg_basebackup` copies the cluster while it works and checks what it wrote; `pg_receivewal` streams every change, so
that a restore can go on from the copy to within seconds of the end, or to a moment before a mistake.
https://www.postgresql.org/docs/current/continuous-archiving.html
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from scheduler.backup.errors import BackupFailed
from scheduler.backup.programs import postgres_program, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_ANSWERS_WITHIN = 30.0
_EVERY_CLUSTER_HAS = "postgres"
"""A database the account may enter; into the product's it may not."""
_LOOK_EVERY = 0.02
_ENDS_WITHIN = 10.0


class PostgresCopy:
    """A cluster's copy in `folder/base` and its log in `folder/wal`."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._password = _without_password(url)
        self._base, self._wal = folder / "base", folder / "wal"
        self._receiving: asyncio.subprocess.Process | None = None

    async def begin(self) -> None:
        """Starts to follow the log, copies the cluster, verifies the copy. Raises `BackupFailed`."""
        self._wal.mkdir(parents=True)
        copy = [_program("pg_basebackup"), "-D", str(self._base), "-d", self._url, "-c", "fast", "-X", "stream", "-w"]
        try:
            async with self._log_is_kept():
                await self._receive()
                await run(copy, env={"PGPASSWORD": self._password})
            await run([*_verifier(), "-q", str(self._base)])
        except BaseException:
            await self.close()
            raise

    async def _receive(self) -> None:
        """Starts to follow the log, and waits until it comes in."""
        self._receiving = await asyncio.create_subprocess_exec(
            *(_program("pg_receivewal"), "-D", str(self._wal), "-d", self._url, "--no-loop", "--synchronous", "-w"),
            env=os.environ | {"PGPASSWORD": self._password},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN):
                while not any(self._wal.iterdir()):
                    if self._receiving.returncode is not None:
                        await self.follow()
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError:
            raise BackupFailed(f"no log of PostgreSQL came within {_ANSWERS_WITHIN:.0f} s") from None

    @asynccontextmanager
    async def _log_is_kept(self) -> AsyncIterator[None]:
        """While inside, the server keeps its log: a copy makes it end a segment and throw it away, read or not.

        The slot is this connection's, and gone with it: one that outlived a crash would fill the server's disk.
        """
        try:
            connection = await asyncpg.connect(
                self._url, password=self._password, database=_EVERY_CLUSTER_HAS, timeout=_ANSWERS_WITHIN
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise BackupFailed(f"PostgreSQL: {error}") from None
        try:
            slot = f"crypto_mcp_copy_{secrets.token_hex(6)}"
            await connection.execute("SELECT pg_create_physical_replication_slot($1, true, true)", slot)
            yield
        except asyncpg.PostgresError as error:
            raise BackupFailed(f"PostgreSQL keeps no log: {error}", hint="See its max_replication_slots.") from None
        finally:
            connection.terminate()

    async def follow(self) -> None:
        """Until cancelled. Raises `BackupFailed` when the log can no longer be followed."""
        assert self._receiving is not None
        assert self._receiving.stderr is not None
        try:
            said = (await self._receiving.stderr.read()).decode(errors="replace").strip()
            status = await self._receiving.wait()
        finally:
            await self.close()
        raise BackupFailed(f"pg_receivewal ended with status {status}: {said[-400:]}")

    async def close(self) -> None:
        """Ends the following."""
        process, self._receiving = self._receiving, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(_ENDS_WITHIN):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def prepare_recovery(folder: Path, cluster: Path, *, until: str | None = None) -> None:
    """Makes of a copied base and its log a cluster that recovers when it is started, to the end or to a moment.

    `until` is an ISO time with offset. The log's last, unfinished segment counts as far as it goes.
    """
    wal = cluster / "restored_wal"
    wal.mkdir(mode=0o700)
    for file in sorted((folder / "wal").iterdir()):
        target = wal / file.name.removesuffix(".partial")
        target.write_bytes(file.read_bytes())
    lines = ["restore_command = 'cp restored_wal/%f %p'", "recovery_target_timeline = 'latest'"]
    if until is not None:
        lines += [f"recovery_target_time = '{until}'", "recovery_target_action = 'promote'"]
    with (cluster / "postgresql.auto.conf").open("a") as settings:
        settings.write("\n".join(lines) + "\n")
    (cluster / "recovery.signal").touch()


def _program(name: str) -> str:
    found = postgres_program(name)
    if found is None:
        raise BackupFailed(f"{name} is not installed", hint="apt-get install postgresql-client; the image has it.")
    return found


def _verifier() -> list[str]:
    """`pg_verifybackup`, which reads the copy's log with `pg_waldump`.

    Debian has that in the server's package only: without it the files are compared with their checksums, and the log is
    read when it is replayed.
    """
    program = _program("pg_verifybackup")
    return [program] if Path(program).with_name("pg_waldump").exists() else [program, "--no-parse-wal"]


def _without_password(url: str) -> tuple[str, str]:
    """The URL without its password, which every user of the machine could read, and the password."""
    parts = urlsplit(url)
    login = f"{parts.username}@" if parts.username else ""
    place = f"{login}{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    query = urlencode(parse_qsl(parts.query), safe="/")
    return urlunsplit((parts.scheme, place, parts.path, query, "")), parts.password or ""
