"""The front end, as the command line reaches it: through the product's own client."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2

from crypto_mcp.client import CryptoMcp
from crypto_mcp.errors import Unavailable
from crypto_mcp.local.ports import http_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crypto_mcp.settings import Settings

_START = "Start everything with `crypto-mcp run`, or set CRYPTO_MCP_SERVER__HOST and CRYPTO_MCP_SERVER__PORT."
_PATIENCE = 10.0
"""Seconds that somebody at a terminal is kept waiting because the front end asks for a pause."""


@contextmanager
def front_end(settings: Settings) -> Iterator[CryptoMcp]:
    """A client of the front end of these settings. Raises `Unavailable` with what to do if nobody answers."""
    url = http_url(settings.server.host, settings.server.port)
    with CryptoMcp(url, timeout=settings.server.request_timeout + 5, retries=1, longest_pause=_PATIENCE) as client:
        try:
            yield client
        except Unavailable as error:
            if not isinstance(error.__cause__, httpx2.TransportError):
                raise
            raise Unavailable(error.message, hint=_START) from error
