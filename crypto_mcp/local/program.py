"""Our own programs as children."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.jobs.leases import known_workers
from crypto_mcp.local.child import Child, NotReady
from crypto_mcp.local.ports import reachable
from crypto_mcp.local.process import Launch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Program(Child):
    """`crypto-mcp` with these arguments. Ready as soon as it runs."""

    poll = 0.05

    def __init__(
        self,
        name: str,
        arguments: list[str],
        *,
        env: Mapping[str, str],
        log: Path,
        stop_grace: float = 10.0,
    ) -> None:
        super().__init__(name, log)
        self.stop_grace = stop_grace
        self._arguments = arguments
        self._env = env

    def prepare(self) -> Launch:
        """The same Python, whatever is on PATH."""
        return Launch([sys.executable, "-m", "crypto_mcp.cli", *self._arguments], env=self._env)

    async def ready(self) -> None:
        """There is nothing to wait for."""
        return


class WebProgram(Program):
    """Ready when it answers HTTP, with whatever status."""

    def __init__(
        self, name: str, arguments: list[str], *, host: str, port: int, env: Mapping[str, str], log: Path
    ) -> None:
        super().__init__(name, arguments, env=env, log=log)
        self._address = reachable(host), port

    async def ready(self) -> None:
        """Answers HTTP."""
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            if not await reader.readline():
                raise NotReady
        finally:
            writer.close()


class WorkerProgram(Program):
    """Ready when its heartbeat is in Redis."""

    def __init__(
        self, name: str, lists: list[str], *, queue_url: str, env: Mapping[str, str], log: Path, stop_grace: float
    ) -> None:
        super().__init__(name, ["worker", *lists], env=env, log=log, stop_grace=stop_grace)
        self._queue_url = queue_url

    async def ready(self) -> None:
        """Is among the living workers, whose names carry their pid."""
        async with Redis.from_url(self._queue_url) as redis:
            try:
                workers = await known_workers(redis)
            except StoreUnavailable as error:
                raise NotReady from error
        if not any(name.split("-")[-2:-1] == [str(self.pid)] for name, info in workers.items() if info is not None):
            raise NotReady
