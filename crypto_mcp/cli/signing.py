"""`crypto-mcp sign`: headers for a request that must be signed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from crypto_mcp.cli.private_files import read_private
from crypto_mcp.errors import InvalidRequest

Method = Annotated[str, typer.Argument(help="GET, POST, DELETE, ...")]
Url = Annotated[str, typer.Argument(help="Address or path with its query, such as /v1/users/me/export.")]
KeyId = Annotated[str, typer.Option(help="Id of the API key the request is sent with.")]
Secret = Annotated[
    str | None,
    typer.Option(
        help="Its signing secret (`crypto-mcp keys signing-secret`); - reads it from standard input.",
        envvar="CRYPTO_MCP_SIGNING_SECRET",
    ),
]
PrivateKey = Annotated[
    Path | None, typer.Option(help="File with the private key (Ed25519, PEM, mode 600) of `keys signing-key`, instead.")
]
Body = Annotated[Path | None, typer.Option(help="File with the body, exactly as it is sent.")]


def sign(
    method: Method,
    url: Url,
    key_id: KeyId,
    secret: Secret = None,
    private_key: PrivateKey = None,
    body: Body = None,
) -> None:
    """Print the headers that sign a request; a minute good, and once: curl $(crypto-mcp sign ...) URL"""
    from crypto_mcp.access.signing import Request
    from crypto_mcp.access.signing import sign as signed

    parts = urlsplit(url)
    if private_key is not None:
        known = read_private(private_key, "private key")
    elif secret is None:
        raise InvalidRequest("there is nothing to sign with", hint="Give --private-key or CRYPTO_MCP_SIGNING_SECRET.")
    else:
        known = secret.strip() if secret != "-" else sys.stdin.readline().strip()  # noqa: S105 - the dash is no password # nosec B105
    content = b"" if body is None else body.read_bytes()
    request = Request(method.upper(), parts.path or "/", parts.query, content, {})
    for name, value in signed(request, key_id, known).items():
        print(f"{name}: {value}")
