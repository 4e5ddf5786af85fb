"""Signed requests (RFC 9421, HTTP Message Signatures) for operations that a stolen key alone must not do.

    Signature-Input: sig=("@method" "@path" "@query" "content-digest");created=1767225600;nonce="...";keyid="...";\
alg="hmac-sha256"
    Signature: sig=:base64 of HMAC-SHA256 over the signature base:

The secret belongs to an API key and is never sent: it is made of the pepper and the key's id (HMAC-SHA256), so nothing
of it is stored. Or the key's holder has a key pair (alg="ed25519"), of which only the public half is known here. A
signature is good for a minute, and once: its nonce is kept in Redis db 1 for as long.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crypto_mcp import base64url
from crypto_mcp.errors import Forbidden, InvalidRequest
from crypto_mcp.models.answers import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

COVERED = ("@method", "@path", "@query", "content-digest")
HMAC, ED25519 = "hmac-sha256", "ed25519"
_PEM = "-----BEGIN "


class BadSignature(Forbidden):
    """The request is not signed, or its signature does not hold."""

    code = "bad_signature"


@dataclass(frozen=True, slots=True)
class Request:
    """What is signed of a request. `path` and `query` (without its question mark) as they are on the wire."""

    method: str
    path: str
    query: str
    body: bytes
    headers: Mapping[str, str]

    def component(self, name: str) -> str:
        """The value of a component (RFC 9421, section 2). `KeyError` if the request has none of that name."""
        match name:
            case "@method":
                return self.method
            case "@path":
                return self.path
            case "@query":
                return f"?{self.query}"
            case "@authority":
                return self.headers["host"].lower()
            case _:
                return " ".join(self.headers[name].split())


def signing_secret(pepper: str, key_id: str) -> str:
    """The secret that goes with an API key."""
    digest = hmac.digest(pepper.encode(), f"request signing:{key_id}".encode(), hashlib.sha256)
    return "cmcs_" + base64url.encode(digest)


def callback_secret(pepper: str, client: str) -> bytes:
    """What callbacks to a client are signed with."""
    return hmac.digest(pepper.encode(), f"callbacks:{client or LOCAL}".encode(), hashlib.sha256)


def content_digest(body: bytes) -> str:
    """The `Content-Digest` header (RFC 9530)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def signature_base(request: Request, names: Sequence[str], parameters: str) -> bytes:
    """What is signed (RFC 9421, section 2.5)."""
    lines = [f'"{name}": {request.component(name)}' for name in names]
    listed = " ".join(f'"{name}"' for name in names)
    return "\n".join([*lines, f'"@signature-params": ({listed}){parameters}']).encode()


def public_key(pem: str) -> bytes:
    """The 32 bytes of an Ed25519 public key in PEM. `InvalidRequest` for anything else, a private key above all."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidRequest("that is no Ed25519 public key in PEM", hint="openssl pkey -in private.pem -pubout")
    return key.public_bytes_raw()


def _signer(secret: str) -> tuple[str, Callable[[bytes], bytes]]:
    """The algorithm of a secret, and what signs with it."""
    if not secret.lstrip().startswith(_PEM):
        return HMAC, lambda base: hmac.digest(secret.encode(), base, hashlib.sha256)
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(secret.strip().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidRequest(
            "that is no Ed25519 private key in PEM without a password", hint="openssl genpkey -algorithm ed25519"
        )
    return ED25519, key.sign


def sign(request: Request, key_id: str, secret: str, now: int | None = None) -> dict[str, str]:
    """The three headers that make a request a signed one.

    `secret` is the signing secret of the key, or the private key (Ed25519, PEM) whose public half is registered for it.
    `InvalidRequest` for a private key of another kind.
    """
    algorithm, signer = _signer(secret)
    digest = content_digest(request.body)
    signed = Request(request.method, request.path, request.query, request.body, {"content-digest": digest})
    parameters = (
        f';created={int(time.time()) if now is None else now};nonce="{secrets.token_urlsafe(18)}"'
        f';keyid="{key_id}";alg="{algorithm}"'
    )
    mac = signer(signature_base(signed, COVERED, parameters))
    names = " ".join(f'"{name}"' for name in COVERED)
    return {
        "Content-Digest": digest,
        "Signature-Input": f"sig=({names}){parameters}",
        "Signature": f"sig=:{base64.b64encode(mac).decode()}:",
    }
