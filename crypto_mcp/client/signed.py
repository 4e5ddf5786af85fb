"""Signing requests with the secret of an API key, by the same code that signs on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2

from crypto_mcp.access.keys import ApiKey
from crypto_mcp.access.signing import Request, sign
from crypto_mcp.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Generator


class Signing(httpx2.Auth):
    """Signs each request as it is on the wire; a repeated one anew, because a signature is good once."""

    requires_request_body = True

    def __init__(self, key: str | None, secret: str) -> None:
        read = ApiKey.read(key or "")
        if read is None:
            raise InvalidRequest(
                "the signing secret goes with an API key, and none is given",
                hint="Give the key whose secret it is: cmcp_...",
            )
        self._key_id = read.key_id
        self._secret = secret

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Adds the three headers."""
        path, _, query = request.url.raw_path.partition(b"?")
        as_sent = Request(request.method, path.decode("ascii"), query.decode("ascii"), request.content, {})
        request.headers.update(sign(as_sent, self._key_id, self._secret))
        yield request
