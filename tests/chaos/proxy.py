"""A TCP proxy whose connections can be cut or stalled."""

from __future__ import annotations

import asyncio
import contextlib
import random


class CuttingProxy:
    """Forwards a port to another; `cut` drops connections without a word."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.cuts = 0
        self._target = target_port
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listens on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self, share: float, chance: random.Random) -> None:
        """Resets each connection with this probability, in mid-command if it is in one."""
        for pair in list(self._pairs):
            if chance.random() < share:
                self.cuts += 1
                for writer in pair:
                    writer.transport.abort()

    async def stop(self) -> None:
        """Drops everything."""
        if self._server is not None:
            self._server.close()
        for pair in list(self._pairs):
            for writer in pair:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, far_writer)
        self._pairs.add(pair)
        try:
            with contextlib.suppress(asyncio.CancelledError):  # the run is over
                await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            self._pairs.discard(pair)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()
