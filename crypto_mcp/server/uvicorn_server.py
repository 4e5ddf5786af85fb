"""uvicorn, set up for one of several processes on one socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import socket

    from fastapi import FastAPI


_KEEP_ALIVE = 75
"""Seconds: longer than a proxy keeps an idle connection (nginx: 60), which else would send a request into its end."""


_HEADERS_WITHIN = 10.0
"""Seconds in which a request's headers must be there. uvicorn waits for ever: who sends a byte now and then would keep
a connection."""


class BoundedProtocol(HttpToolsProtocol):
    """Cuts connections on which no request gets complete."""

    _headers_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection is open; its first request is awaited."""
        super().connection_made(transport)
        self._expect_headers()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._expect_headers()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The headers of a request are there."""
        self._expect_nothing()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._expect_nothing()
        super().connection_lost(exc)

    def _expect_headers(self) -> None:
        self._expect_nothing()
        self._headers_due = self.loop.call_later(_HEADERS_WITHIN, self.transport.close)

    def _expect_nothing(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()


class GracefulServer(uvicorn.Server):
    """Does not let calls that wait for a job hold up its end: they are answered at once by how the job stands."""

    def __init__(self, app: FastAPI, grace: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http=BoundedProtocol,
                ws="none",
                lifespan="on",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,  # whom to believe is the gate's business
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=grace,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends within the grace."""
        self.lifespan.state["front"].answering.close()
        await super().shutdown(sockets)
