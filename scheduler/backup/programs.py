"""Programs of others, run as children: what they complain about is told, secrets stay out of their arguments."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from crypto_mcp.local import binaries
from crypto_mcp.local.errors import ServerNotFound
from scheduler.backup.errors import BackupFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SAID = 800
_DEBIAN = Path("/usr/lib/postgresql")


async def run(argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Runs a program to its end; its standard output. Raises `BackupFailed` with the end of its complaints."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=os.environ | dict(env or {}),
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, complaint = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        said = complaint.decode(errors="replace").strip()[-_SAID:]
        raise BackupFailed(f"{argv[0].rsplit('/', 1)[-1]} ended with status {process.returncode}: {said}")
    return output.decode(errors="replace")


def postgres_program(name: str, debian: Path = _DEBIAN) -> str | None:
    """Path of one of PostgreSQL's client programs: beside a server's, where Debian keeps them, or on PATH.

    Debian puts only some of them on PATH, and `pg_verifybackup` is not among those.
    """
    try:
        beside = binaries.postgres_programs() / name
        if beside.is_file():
            return str(beside)
    except ServerNotFound:
        pass
    installed = [path for path in debian.glob(f"*/bin/{name}") if path.parents[1].name.isdigit()]
    newest = max(installed, key=lambda path: int(path.parents[1].name), default=None)
    return str(newest) if newest is not None else shutil.which(name)


def require_all() -> None:
    """Raises `BackupFailed` that names what backups need and is not here. Asked when the scheduler's image is built."""
    found = {name: postgres_program(name) for name in ("pg_basebackup", "pg_receivewal", "pg_verifybackup")}
    found["restic"] = shutil.which("restic")
    missing = sorted(name for name, path in found.items() if path is None)
    if missing:
        raise BackupFailed(f"not installed: {', '.join(missing)}", hint="apt-get install restic postgresql-client")
