"""Whom outgoing connections trust."""

from __future__ import annotations

import ssl
from functools import cache

import httpx2


def trust(url: str) -> ssl.SSLContext:
    """What a client of this address checks certificates with: one for the whole process.

    To read whom this machine trusts takes 50 ms and megabytes, which each client would do for itself. Plain HTTP has
    nobody to trust: led to TLS, such a client would refuse every certificate.
    """
    return _authorities() if url.lower().startswith("https:") else _nobody()


@cache
def _authorities() -> ssl.SSLContext:
    return httpx2.create_ssl_context()


@cache
def _nobody() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
