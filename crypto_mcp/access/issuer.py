"""The public keys of an identity provider: found by discovery, remembered, asked for anew when they change.

OpenID Connect Discovery, or RFC 8414 where an issuer has no such document, names the key set (RFC 7517). It is asked
again after a while, and when a token names a key that is not in it, though not more often than every ten seconds:
tokens with invented key ids must not become requests to the issuer. While the issuer does not answer, its last keys
stay good for a time.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import orjson
import structlog
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from crypto_mcp.errors import Unavailable
from crypto_mcp.settings import encrypted_or_local

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crypto_mcp.settings import OAuthSettings

log = structlog.get_logger(__name__)

COOLDOWN = 10.0
"""Seconds between two questions for a key that is not known, or to an issuer that did not answer."""

_LARGEST_ANSWER = 512 * 1024
_WEAKEST_RSA = 2048


class IssuerUnavailable(Unavailable):
    """The identity provider does not answer, so that nobody knows whether a token is good."""

    code = "issuer_unavailable"


class IssuerKeys:
    """Keys of one issuer. `clock` counts seconds."""

    def __init__(
        self, settings: OAuthSettings, http: httpx2.AsyncClient, clock: Callable[[], float] = time.monotonic
    ) -> None:
        assert settings.issuer is not None
        self._issuer = settings.issuer
        self._settings = settings
        self._http = http
        self._clock = clock
        self._keys: Sequence[dict[str, Any]] = ()
        self._fetched: float | None = None
        self._tried: float | None = None
        self._silent = False
        self.trouble = ""
        """Why the issuer's keys could not be had, when it was asked last."""
        self._asking: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None, algorithm: str) -> PyJWK | None:
        """The key of that id for that algorithm; without an id, the only one that fits. None if there is none.

        Raises:
            IssuerUnavailable: no key is known, or only such as were known too long ago.
        """
        if self._age() >= self._settings.keys_for:
            await self._renew()
        if (found := self._fitting(key_id, algorithm)) is not None:
            return found
        await self._renew()
        found = self._fitting(key_id, algorithm)
        if found is None and self._silent:
            raise _unavailable()  # it may be a key that the issuer would tell of
        return found

    async def count(self) -> int:
        """How many keys the issuer has that check signatures. `IssuerUnavailable` if they cannot be had."""
        await self._renew()
        return len(self._keys)

    def _age(self) -> float:
        return float("inf") if self._fetched is None else self._clock() - self._fetched

    async def _renew(self) -> None:
        """Asks the issuer, once for all who wait, unless it was asked just now. Returns if usable keys are known."""
        if self._asking is None and (self._tried is None or self._clock() - self._tried >= COOLDOWN):
            self._tried = self._clock()
            self._asking = asyncio.create_task(self._fetch(), name="keys of the issuer")
            self._asking.add_done_callback(self._asked)
        if self._asking is not None:
            await asyncio.shield(self._asking)
        if self._age() >= self._settings.keys_for + self._settings.keys_grace:
            raise _unavailable()

    def _asked(self, _: asyncio.Task[None]) -> None:
        self._asking = None

    async def _fetch(self) -> None:
        self._silent = True
        try:
            async with asyncio.timeout(2 * self._settings.timeout):
                keys = (await self._get(await self._key_set_address())).get("keys")
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError) as error:
            self.trouble = f"{type(error).__name__}: {error}"[:200]
            log.warning("no keys of the issuer", issuer=self._issuer, error=self.trouble)
            return
        usable = [key for key in keys if _for_signatures(key)] if isinstance(keys, list) else []
        self._keys, self._fetched, self._silent = usable, self._clock(), False
        log.info("keys of the issuer", issuer=self._issuer, keys=len(usable))

    async def _key_set_address(self) -> str:
        parts = urlsplit(self._issuer)
        openid = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        oauth = parts._replace(path=f"/.well-known/oauth-authorization-server{parts.path.rstrip('/')}").geturl()
        try:
            told = await self._get(openid)
        except httpx2.HTTPStatusError as error:
            if error.response.status_code != httpx2.codes.NOT_FOUND:
                raise
            told = await self._get(oauth)
        if told.get("issuer") != self._issuer:
            raise ValueError(f"it calls itself {str(told.get('issuer'))[:100]!r}")
        address = told.get("jwks_uri")
        unsafe = not isinstance(address, str) or not encrypted_or_local(address.partition("?")[0])
        if unsafe or (parts.scheme == "https" and urlsplit(str(address)).scheme != "https"):
            raise ValueError("its jwks_uri is no https URL")
        return str(address)

    async def _get(self, url: str) -> dict[str, Any]:
        """A JSON object of bounded size; redirects are not followed."""
        async with self._http.stream("GET", url, timeout=self._settings.timeout, follow_redirects=False) as response:
            if response.is_redirect:
                raise ValueError("it redirects")
            response.raise_for_status()
            body = b""
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _LARGEST_ANSWER:
                    raise ValueError("its answer is too long")
        value = orjson.loads(body)
        if not isinstance(value, dict):
            raise ValueError("its answer is no object")  # noqa: TRY004 - of the wire, not of our types
        return value

    def _fitting(self, key_id: str | None, algorithm: str) -> PyJWK | None:
        found = [
            built
            for key in self._keys
            if key_id is None or key.get("kid") == key_id
            if (built := _built(key, algorithm)) is not None
        ]
        return found[0] if len(found) == 1 else None


def _unavailable() -> IssuerUnavailable:
    return IssuerUnavailable(
        "the issuer of access tokens does not answer",
        hint="Come back later, or send an API key.",
        retry_after=COOLDOWN,
    )


def _for_signatures(key: Any) -> bool:
    """Whether a member of a key set checks signatures and is public: neither symmetric nor a private key let slip."""
    return (
        isinstance(key, dict)
        and key.get("kty") in ("RSA", "EC", "OKP")
        and "d" not in key
        and key.get("use", "sig") == "sig"
        and "verify" in key.get("key_ops", ["verify"])
    )


def _built(key: dict[str, Any], algorithm: str) -> PyJWK | None:
    """The key for that algorithm; None where it is for another one, or too weak."""
    if key.get("alg", algorithm) != algorithm:
        return None
    try:
        built = PyJWK(key, algorithm)
        built.Algorithm.prepare_key(built.key)  # whether the curve is the algorithm's
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    return None if getattr(built.key, "key_size", _WEAKEST_RSA) < _WEAKEST_RSA and key["kty"] == "RSA" else built
