"""Routes that a key alone does not open: the request must be signed too, unless the user of this machine asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crypto_mcp.access.identity import current
from crypto_mcp.access.signing import BadSignature, Request
from crypto_mcp.server.rest import front_of

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest


async def require_signature(http: HttpRequest) -> None:
    """Returns if the request is signed by the key it came with, or needs not to be."""
    identity, front = current(), front_of(http)
    if identity.local or front.signatures is None:
        return
    if identity.key_id is None:
        raise BadSignature(
            "an access token cannot sign, and this needs a signed request", hint="Do it with an API key of this client."
        )
    headers: dict[str, str] = {}
    for name, value in http.headers.items():
        if name in headers and name in ("signature", "signature-input", "content-digest"):
            raise BadSignature(f"there are two {name} headers", hint="Send one.")
        headers[name] = value
    raw_path: bytes = http.scope["raw_path"]
    request = Request(
        method=http.method,
        path=raw_path.partition(b"?")[0].decode("ascii", "replace"),
        query=http.scope["query_string"].decode("ascii", "replace"),
        body=await http.body(),
        headers=headers,
    )
    await front.signatures.check(request, identity.client, identity.key_id, identity.signing_key)
