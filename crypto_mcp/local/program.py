"""One of our own programs as a child."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from crypto_mcp.local.child import Child, NotReady
from crypto_mcp.local.process import Launch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Program(Child):
    """`crypto-mcp` with these arguments. Ready at once, or when it answers HTTP on `port`."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        *,
        env: Mapping[str, str],
        log: Path,
        port: int | None = None,
        stop_grace: float = 10.0,
    ) -> None:
        super().__init__(name, log)
        self.stop_grace = stop_grace
        self._arguments = arguments
        self._env = env
        self._port = port

    def prepare(self) -> Launch:
        """The same Python, whatever is on PATH."""
        return Launch([sys.executable, "-m", "crypto_mcp.cli", *self._arguments], env=self._env)

    async def ready(self) -> None:
        """Answers HTTP, with whatever status."""
        if self._port is None:
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(b"HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            if not await reader.readline():
                raise NotReady
        finally:
            writer.close()
