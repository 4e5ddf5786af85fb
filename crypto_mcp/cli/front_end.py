"""The front end, as the command line reaches it: through the product's own client."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2

from crypto_mcp.cli.configuration import BadSettings
from crypto_mcp.cli.private_files import read_private
from crypto_mcp.client import CryptoMcp
from crypto_mcp.errors import Unavailable
from crypto_mcp.local.ports import http_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crypto_mcp.settings import ClientSettings, Settings

_START = "Start everything with `crypto-mcp run`, or set CRYPTO_MCP_CLIENT__URL (or --url) to a front end elsewhere."
_ELSEWHERE = "Is CRYPTO_MCP_CLIENT__URL (or --url) the address of a front end, and CRYPTO_MCP_CLIENT__CA_FILE its CA?"
_PATIENCE = 10.0
"""Seconds that somebody at a terminal is kept waiting because the front end asks for a pause."""


@contextmanager
def front_end(settings: Settings) -> Iterator[CryptoMcp]:
    """A client of the front end that commands ask. Raises `Unavailable` with what to do if nobody answers."""
    with _client(settings, settings.client) as client:
        yield client


@contextmanager
def own_front_end(settings: Settings) -> Iterator[CryptoMcp]:
    """A client of the front end on this machine, whichever one commands ask."""
    with _client(settings, type(settings.client)()) as client:
        yield client


@contextmanager
def _client(settings: Settings, asked: ClientSettings) -> Iterator[CryptoMcp]:
    url = http_url(settings.server.host, settings.server.port) if asked.url is None else _address(asked.url)
    with CryptoMcp(
        url,
        key=_key(asked, url),
        timeout=settings.server.request_timeout + 5,
        retries=1,
        longest_pause=_PATIENCE,
        verify=_trusted(asked),
    ) as client:
        try:
            yield client
        except Unavailable as error:
            if not isinstance(error.__cause__, httpx2.TransportError):
                raise
            raise Unavailable(error.message, hint=_START if asked.url is None else _ELSEWHERE) from error


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.username is None
    except ValueError:
        usable = False
    if not usable:
        raise BadSettings(
            "what is given as the front end's address is none",
            hint="Such as https://crypto.example.com, no name in it.",
        )
    return url


def _key(asked: ClientSettings, url: str) -> str | None:
    """The key to ask with. `BadSettings` where others could read it, here or on its way."""
    if asked.key is not None and asked.key_file is not None:
        raise BadSettings("there is a key and a file with one", hint="Give one: the file is safer.")
    if asked.key_file is not None:
        key = read_private(asked.key_file, "key")
    elif asked.key is not None:
        key = asked.key.get_secret_value().strip()
    else:
        return None
    if not key or not all("!" <= character <= "~" for character in key):
        raise BadSettings("what is given as the key is none", hint="A key is one word: cmcp_...")
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise BadSettings(f"the key would go to {parts.hostname} unencrypted", hint="Give an https:// address.")
    return key


def _trusted(asked: ClientSettings) -> ssl.SSLContext | bool:
    if asked.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=asked.ca_file)
    except (OSError, ssl.SSLError):
        raise BadSettings(f"there are no certificates in {asked.ca_file}", hint="It must be PEM.") from None
