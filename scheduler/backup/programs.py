"""Programs of others, run as children: what they complain about is told, secrets stay out of their arguments."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING

from crypto_mcp.local import binaries
from crypto_mcp.local.errors import ServerNotFound
from scheduler.backup.errors import BackupFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_SAID = 800


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


def postgres_program(name: str) -> str | None:
    """Path of one of PostgreSQL's client programs: beside a server's, or on PATH."""
    try:
        beside = binaries.postgres_programs() / name
        if beside.is_file():
            return str(beside)
    except ServerNotFound:
        pass
    return shutil.which(name)
