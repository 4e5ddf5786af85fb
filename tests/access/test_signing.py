"""Signed requests: RFC 9421's own example, and everything that must not pass."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from crypto_mcp.access.signatures import Signatures
from crypto_mcp.access.signing import BadSignature, Request, sign, signature_base, signing_secret
from crypto_mcp.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.local.redis_server import RedisServer

PEPPER, KEY = "pepper", "abcdefghijkl"
ASKED = Request("DELETE", "/v1/users/ann", "a=1&b=%20", b'{"x": 1}', {})
NOW = 1_790_000_000


@pytest.fixture
async def signatures(redis_server: RedisServer) -> AsyncIterator[Signatures]:
    async with Redis.from_url(redis_server.url(1)) as redis:
        yield Signatures(redis, PEPPER, clock=lambda: NOW)


def signed(request: Request = ASKED, *, key: str = KEY, at: int = NOW) -> Request:
    headers = sign(request, key, signing_secret(PEPPER, key), at)
    return replace(request, headers={name.lower(): value for name, value in headers.items()})


def test_the_signature_of_the_rfcs_example_is_the_rfcs() -> None:
    """RFC 9421, B.2.5: HMAC-SHA256 over a date, the authority and a content type."""
    secret = base64.b64decode(
        "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
    )
    headers = {"date": "Tue, 20 Apr 2021 02:07:55 GMT", "content-type": "application/json", "host": "example.com"}
    request = Request("POST", "/foo", "param=Value&Pet=dog", b"", headers)
    base = signature_base(
        request, ("date", "@authority", "content-type"), ';created=1618884473;keyid="test-shared-secret"'
    )
    mac = base64.b64encode(hmac.digest(secret, base, hashlib.sha256)).decode()
    assert mac == "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8="


async def test_a_signed_request_passes_once(signatures: Signatures) -> None:
    """Sent again by whoever saw it, it does not, for as long as its time lasts and longer."""
    request = signed()
    await signatures.check(request, "ann", KEY)
    with pytest.raises(BadSignature, match="used before"):
        await signatures.check(request, "ann", KEY)


@pytest.mark.parametrize(
    "altered",
    [
        {"method": "GET"},
        {"path": "/v1/users/bob"},
        {"query": "a=2&b=%20"},
        {"query": ""},
        {"body": b'{"x": 2}'},
        {"body": b""},
    ],
)
async def test_whatever_is_altered_does_not_pass(signatures: Signatures, altered: dict[str, object]) -> None:
    with pytest.raises(BadSignature):
        await signatures.check(replace(signed(), **altered), "ann", KEY)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("header", "was", "becomes"),
    [
        ("signature-input", "@method", "@authority"),
        ("signature-input", ' "content-digest"', ""),
        ("signature-input", "created=1790000000", "created=1790000030"),
        ("signature-input", 'alg="hmac-sha256"', 'alg="none"'),
        ("signature-input", f'keyid="{KEY}"', 'keyid="mnopqrstuvwx"'),
        ("signature-input", 'nonce="', 'nonce="a b'),
        ("signature-input", "sig=", "other="),
        ("signature-input", "sig=", "sig=();created=1, sig="),
        ("signature", "sig=:", "sig=:AAAA"),
        ("signature", "sig=:", "sig=:***"),
        ("content-digest", "sha-256=:", "sha-256=:AA"),
    ],
)
async def test_a_header_that_is_altered_does_not_pass(
    signatures: Signatures, header: str, was: str, becomes: str
) -> None:
    request = signed()
    assert was in request.headers[header]
    altered = {**request.headers, header: request.headers[header].replace(was, becomes, 1)}
    with pytest.raises(BadSignature):
        await signatures.check(replace(request, headers=altered), "ann", KEY)


@pytest.mark.parametrize("missing", ["signature", "signature-input", "content-digest"])
async def test_a_request_that_is_not_signed_does_not_pass(signatures: Signatures, missing: str) -> None:
    request = signed()
    headers = {name: value for name, value in request.headers.items() if name != missing}
    with pytest.raises(BadSignature, match="needs a signed request"):
        await signatures.check(replace(request, headers=headers), "ann", KEY)


@pytest.mark.parametrize("seconds", [-61, 61, -100_000])
async def test_a_signature_of_another_time_does_not_pass(signatures: Signatures, seconds: int) -> None:
    with pytest.raises(BadSignature, match="within 60 s"):
        await signatures.check(signed(at=NOW + seconds), "ann", KEY)
    await signatures.check(signed(at=NOW + 59), "ann", KEY)


async def test_a_signature_with_another_keys_secret_does_not_pass(signatures: Signatures) -> None:
    with pytest.raises(BadSignature):
        await signatures.check(signed(key="mnopqrstuvwx"), "ann", KEY)


async def test_while_nobody_knows_which_nonces_were_used_nothing_passes(redis_server: RedisServer) -> None:
    async with Redis.from_url("redis://127.0.0.1:1/1") as nowhere:
        with pytest.raises(StoreUnavailable):
            await Signatures(nowhere, PEPPER, clock=lambda: NOW).check(signed(), "ann", KEY)
