"""One stack on one data directory: a lock that ends with the process that holds it, however that ends."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from crypto_mcp.local.errors import AlreadyRunning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def only_stack(path: Path) -> Iterator[int | None]:
    """Holds the lock; the pid of a stack that ended without cleaning up, if there was one.

    Raises `AlreadyRunning`, naming the pid of the stack that has it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        said = os.read(descriptor, 20).decode().strip()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"a stack already runs on {path.parent}, as process {said or 'unknown'}",
                hint=f"End it with `kill {said}`, or set CRYPTO_MCP_LOCAL__DATA to another directory, and other ports.",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        try:
            yield int(said) if said.isdigit() else None
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
