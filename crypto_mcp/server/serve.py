"""The front end's processes, all on one port.

The parent imports the application once and forks, which takes a good second of computing for four processes. uvicorn's
own `workers` are interpreters that import everything anew, and take that second each.
"""

from __future__ import annotations

import gc
import os
import socket
import tempfile
from typing import TYPE_CHECKING

import structlog

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.server.fleet import Fleet

if TYPE_CHECKING:
    from crypto_mcp.job_kind import Catalogue
    from crypto_mcp.settings import ServerSettings, Settings

log = structlog.get_logger(__name__)

GRACE = 15
"""Seconds after SIGTERM in which requests may finish. Calls that wait for a job are answered at once; it goes on.
Streams are ended. So only a machine that is short of time needs them all; the stack allows twice as many."""

_BACKLOG = 2048


class CannotListen(CryptoMcpError):
    """The port is taken, or the address is not this machine's."""

    code = "cannot_listen"


def run(settings: Settings, catalogue: Catalogue = CATALOGUE) -> None:
    """Serves until SIGTERM or SIGINT, then returns. `CannotListen` if the port is taken."""
    with listen(settings.server) as listening, tempfile.TemporaryDirectory(prefix="crypto-mcp-metrics-") as counted:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = counted  # before prometheus_client is imported, which looks for it
        gc.disable()  # nothing that imports make is garbage
        from crypto_mcp.server.app import build_app  # after the port is known to be free: this is what takes time
        from crypto_mcp.server.uvicorn_server import GracefulServer

        app = build_app(settings, catalogue)

        def serve() -> None:
            gc.enable()
            GracefulServer(app, grace=GRACE).run(sockets=[listening])

        host, port = listening.getsockname()[:2]
        log.info("front end starts", address=f"http://{host}:{port}", processes=settings.server.workers)
        gc.freeze()  # what the children share is left alone, so that it stays shared
        Fleet(settings.server.workers, serve, grace=2 * GRACE).run()
    log.info("front end stopped")


def listen(settings: ServerSettings) -> socket.socket:
    """The listening socket."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise CannotListen(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}",
            hint="Stop what uses the port, or choose another with CRYPTO_MCP_SERVER__PORT (CRYPTO_MCP_SERVER__HOST).",
        ) from None
    return listening
