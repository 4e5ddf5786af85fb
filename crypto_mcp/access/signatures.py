"""Checks signed requests, and that each signature is used once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from crypto_mcp.access.signing import (
    COVERED,
    ED25519,
    HMAC,
    BadSignature,
    content_digest,
    signature_base,
    signing_secret,
)
from crypto_mcp.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from redis.asyncio import Redis

    from crypto_mcp.access.signing import Request

WINDOW = 60
"""Seconds that a signature may be old, or ahead of this clock."""

_LABEL = re.compile(
    r'^([a-z*][a-z0-9_.*-]{0,63})=\(((?:"[@a-z0-9-]+"(?: |(?=\))))*)\)((?:;[a-z]+=(?:\d+|"[^"\\]{1,200}"))*)$'
)
_NAMES, _PARAMETERS = re.compile(r'"([@a-z0-9-]+)"'), re.compile(r';([a-z]+)=(?:(\d+)|"([^"\\]*)")')
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")


class Signatures:
    """Checks signed requests. Redis remembers which nonces were used."""

    def __init__(self, redis: Redis, pepper: str, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._pepper = pepper
        self._clock = clock

    async def check(self, request: Request, client: str, key_id: str, public: bytes | None = None) -> None:
        """Returns if the holder of this key signed this request, just now, for the first time.

        With a `public` key (Ed25519) registered for it, only its private half signs: the secret made of the pepper,
        which whoever has the pepper knows, no longer does.

        Raises:
            BadSignature: which says what is wrong, never what would be right.
            StoreUnavailable: Redis is away, so that nobody knows whether the nonce was used.
        """
        names, parameters, given = _read(request)
        said = {name: number or text for name, number, text in _PARAMETERS.findall(parameters)}
        self._check_claims(names, said, key_id, HMAC if public is None else ED25519)
        if request.headers["content-digest"] != content_digest(request.body):
            raise _bad("the Content-Digest is not of this body")
        base = signature_base(request, names, parameters)
        if not (self._holds(base, given, key_id) if public is None else _verifies(base, given, public)):
            raise _bad("the signature is not of this request with this key")
        try:
            fresh = await self._redis.set(f"nonce:{client}:{said['nonce']}", b"", nx=True, ex=2 * WINDOW)
        except (RedisError, OSError) as error:
            raise StoreUnavailable(
                "Redis for nonces does not answer", hint="Sign it anew and repeat it.", retry_after=2
            ) from error
        if not fresh:
            raise _bad("the signature was used before")

    def _holds(self, base: bytes, given: bytes, key_id: str) -> bool:
        mac = hmac.digest(signing_secret(self._pepper, key_id).encode(), base, hashlib.sha256)
        return hmac.compare_digest(mac, given)

    def _check_claims(self, names: Sequence[str], said: Mapping[str, str], key_id: str, algorithm: str) -> None:
        missing = [name for name in COVERED if name not in names]
        if missing:
            raise _bad(f"the signature does not cover {missing[0]}")
        if said.get("alg") != algorithm or said.get("keyid") != key_id:
            raise _bad(f"alg must be {algorithm} and keyid the id of the key the request comes with")
        if not _NONCE.fullmatch(said.get("nonce", "")):
            raise _bad("the nonce must be 16 to 64 of A-Z a-z 0-9 _ -")
        created = said.get("created", "")
        if not created.isdigit() or abs(self._clock() - int(created[:12])) > WINDOW:
            raise _bad(f"created must be within {WINDOW} s of this clock")


def _verifies(base: bytes, given: bytes, public: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(given, base)
    except InvalidSignature:
        return False
    return True


def _read(request: Request) -> tuple[list[str], str, bytes]:
    """Components, parameters as they are written, and the signature. Of several signatures none is guessed to count."""
    headers = request.headers
    if any(name not in headers for name in ("signature-input", "signature", "content-digest")):
        raise _bad("this operation needs a signed request")
    read = _LABEL.match(headers["signature-input"].strip())
    if read is None:
        raise _bad("Signature-Input must hold one signature")
    value = re.fullmatch(rf"{re.escape(read[1])}=:([A-Za-z0-9+/=]{{1,200}}):", headers["signature"].strip())
    names = _NAMES.findall(read[2])
    try:
        mac = base64.b64decode(value[1], validate=True) if value is not None else b""
        for name in names:
            request.component(name)
    except (ValueError, KeyError):
        mac = b""
    if not mac:
        raise _bad("Signature and Signature-Input do not fit each other or the request")
    return names, read[3], mac


def _bad(message: str) -> BadSignature:
    return BadSignature(message, hint="docs/security.md says how; `crypto-mcp sign` makes the headers.")
