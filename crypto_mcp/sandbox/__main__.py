"""`python -m crypto_mcp.sandbox`: the sandbox as a process of its own."""

from __future__ import annotations

import uvicorn

from crypto_mcp.logs import configure
from crypto_mcp.sandbox.app import create_app
from crypto_mcp.sandbox.sockets import PING_EVERY, PONG_WITHIN
from crypto_mcp.settings import Settings, get_settings


def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT."""
    configure(settings.log)
    at = settings.sandbox
    uvicorn.run(
        create_app(at),
        host=at.host,
        port=at.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        ws_ping_interval=PING_EVERY,
        ws_ping_timeout=PONG_WITHIN,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    run(get_settings())
