"""Signed requests: RFC 9421's own example, and everything that must not pass."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from redis.asyncio import Redis

from crypto_mcp.access.signatures import Signatures, _verifies
from crypto_mcp.access.signing import BadSignature, Request, public_key, sign, signature_base, signing_secret
from crypto_mcp.errors import InvalidRequest, StoreUnavailable

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


def private_pem(key: Ed25519PrivateKey | X25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: Ed25519PrivateKey | X25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


PAIR = Ed25519PrivateKey.generate()
PUBLIC = PAIR.public_key().public_bytes_raw()


def signed_by(pair: Ed25519PrivateKey, key: str = KEY, at: int = NOW) -> Request:
    headers = sign(ASKED, key, private_pem(pair), at)
    return replace(ASKED, headers={name.lower(): value for name, value in headers.items()})


def test_an_ed25519_signature_of_the_rfcs_example_is_the_rfcs() -> None:
    """RFC 9421, B.2.6, with the key of its B.1.4."""
    der = "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="
    pem = f"-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----"
    headers = {
        "date": "Tue, 20 Apr 2021 02:07:55 GMT", "content-type": "application/json", "content-length": "18",
        "host": "example.com",
    }  # fmt: skip
    names = ("date", "@method", "@path", "@authority", "content-type", "content-length")
    base = signature_base(
        Request("POST", "/foo", "param=Value&Pet=dog", b"", headers),
        names,
        ';created=1618884473;keyid="test-key-ed25519"',
    )
    given = base64.b64decode("wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==")
    assert _verifies(base, given, public_key(pem))
    assert not _verifies(base + b" ", given, public_key(pem))


async def test_who_has_a_key_pair_signs_with_its_private_half_once(signatures: Signatures) -> None:
    request = signed_by(PAIR)
    assert 'alg="ed25519"' in request.headers["signature-input"]
    await signatures.check(request, "ann", KEY, PUBLIC)
    with pytest.raises(BadSignature, match="used before"):
        await signatures.check(request, "ann", KEY, PUBLIC)


@pytest.mark.parametrize("altered", [{"method": "GET"}, {"path": "/v1/users/bob"}, {"query": ""}, {"body": b""}])
async def test_nothing_is_altered_under_a_key_pairs_signature(
    signatures: Signatures, altered: dict[str, object]
) -> None:
    with pytest.raises(BadSignature):
        await signatures.check(replace(signed_by(PAIR), **altered), "ann", KEY, PUBLIC)  # type: ignore[arg-type]


async def test_with_a_key_pair_registered_nothing_else_signs(signatures: Signatures) -> None:
    """Not another pair, not the secret made of the pepper, not the public key as a secret, not an old signature."""
    as_secret = sign(ASKED, KEY, public_pem(PAIR).replace("-----BEGIN", "BEGIN"), NOW)
    confused = {name.lower(): value for name, value in as_secret.items()}
    renamed = {**confused, "signature-input": confused["signature-input"].replace("hmac-sha256", "ed25519")}
    for request in (
        signed_by(Ed25519PrivateKey.generate()),
        signed(),
        replace(ASKED, headers=confused),
        replace(ASKED, headers=renamed),
        signed_by(PAIR, key="mnopqrstuvwx"),
        signed_by(PAIR, at=NOW - 61),
    ):
        with pytest.raises(BadSignature):
            await signatures.check(request, "ann", KEY, PUBLIC)


async def test_a_key_pair_that_is_not_registered_does_not_sign(signatures: Signatures) -> None:
    with pytest.raises(BadSignature, match="hmac-sha256"):
        await signatures.check(signed_by(PAIR), "ann", KEY)


def test_only_an_ed25519_key_is_one() -> None:
    """A private key in the place of a public one is refused: it would have been sent to whoever keeps the keys."""
    assert public_key(public_pem(PAIR)) == PUBLIC
    for pem in (private_pem(PAIR), public_pem(X25519PrivateKey.generate()), "", "no key"):
        with pytest.raises(InvalidRequest, match="no Ed25519 public key") as refused:
            public_key(pem)
        assert "BEGIN" not in refused.value.message
    for pem in (public_pem(PAIR), private_pem(X25519PrivateKey.generate()), "-----BEGIN nothing"):
        with pytest.raises(InvalidRequest, match="no Ed25519 private key"):
            sign(ASKED, KEY, pem)
