"""uvicorn, set up for one of several processes on one socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import socket

    from fastapi import FastAPI


_KEEP_ALIVE = 75
"""Seconds: longer than a proxy keeps an idle connection (nginx: 60), which else would send a request into its end."""


class GracefulServer(uvicorn.Server):
    """Does not let calls that wait for a job hold up its end: they are answered at once by how the job stands."""

    def __init__(self, app: FastAPI, grace: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http=HttpToolsProtocol,
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
