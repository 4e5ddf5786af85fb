"""Access tokens of an identity provider (RFC 9068, JSON Web Tokens), as an OAuth 2.1 resource server takes them.

A token counts when its issuer signed it with a key of its key set, by an algorithm of the list, for this resource, and
its time is now. What it may do is translated by the operator's table; values that are not in the table mean nothing.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jwt

from crypto_mcp.access.identity import Identity, InsufficientScope
from crypto_mcp.access.roles import SCOPES, Role, known_scopes
from crypto_mcp.errors import InvalidRequest, Unauthorized

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crypto_mcp.access.issuer import IssuerKeys
    from crypto_mcp.settings import OAuthSettings

_LONGEST = 8192
_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt"})
_SAID = {
    jwt.ExpiredSignatureError: "the token has expired",
    jwt.ImmatureSignatureError: "the token is not good yet",
    jwt.InvalidAudienceError: "the token is for another resource",
    jwt.InvalidIssuerError: "the token is of another issuer",
    jwt.MissingRequiredClaimError: "the token lacks a claim",
}


class InvalidToken(Unauthorized):
    """An access token that does not hold."""

    code = "invalid_token"


def token_client(issuer: str, subject: str) -> str:
    """The name under which jobs, portfolios and alerts of a subject are kept: of nobody else, at no other issuer."""
    digest = hashlib.sha256(f"{issuer}\0{subject}".encode()).digest()[:16]
    return f"oidc.{base64.b32encode(digest).decode().rstrip('=').lower()}"


def granted_by(settings: OAuthSettings) -> Mapping[str, frozenset[str]]:
    """The operator's table: scopes of the product by value of the claim. `InvalidRequest` if it names unknown ones."""
    table = {}
    for value, names in settings.scopes.items():
        strange = set(names) - set(Role) - known_scopes()
        if strange:
            raise InvalidRequest(
                f"oauth.scopes: {value!r} stands for {min(strange)!r}, which is no role and no scope",
                hint=f"Known: {', '.join([*Role, *sorted(known_scopes())])}.",
            )
        table[value] = frozenset().union(*(SCOPES[Role(name)] if name in set(Role) else {name} for name in names))
    return table


class AccessTokens:
    """Recognises clients by their access tokens."""

    def __init__(self, settings: OAuthSettings, keys: IssuerKeys) -> None:
        self._settings = settings
        self._keys = keys
        self._table = granted_by(settings)

    async def identify(self, token: str) -> Identity:
        """The client whose token this is.

        Raises:
            InvalidToken: it does not hold; why, as far as that helps its rightful holder.
            InsufficientScope: it holds, and is good for nothing here.
            IssuerUnavailable: nobody knows whether it holds.
        """
        claims = await self._claims(token)
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise _invalid("the token names nobody")
        scopes = frozenset().union(*(self._table.get(value, ()) for value in self._values(claims)))
        if not scopes:
            raise InsufficientScope("", "token")
        return Identity(token_client(claims["iss"], subject), scopes, "token", expires_at=_moment(claims["exp"]))

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            algorithm, key_id = self._header(token)
            key = await self._keys.find(key_id, algorithm)
            if key is None:
                raise _invalid("the token is signed with a key that its issuer does not have")
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self._settings.issuer,
                audience=self._settings.audience or self._settings.resource,
                leeway=self._settings.leeway,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise _invalid(_SAID.get(type(error), "the token does not hold")) from None

    def _header(self, token: str) -> tuple[str, str | None]:
        """Algorithm and key id, of a header in which nothing else is believed."""
        if len(token) > _LONGEST:
            raise _invalid("the token is too long")
        header = jwt.get_unverified_header(token)
        algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "jwt")
        if algorithm not in self._settings.algorithms:
            raise _invalid("the token is signed in a way that is not accepted")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise _invalid("this is no access token")
        return algorithm, key_id

    def _values(self, claims: Mapping[str, Any]) -> Sequence[str]:
        found: Any = claims
        for name in self._settings.scope_claim:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, str):
            return found.split()
        return [value for value in found if isinstance(value, str)] if isinstance(found, list) else []


def _moment(seconds: Any) -> datetime:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        raise _invalid("the token never ends") from None


def _invalid(message: str) -> InvalidToken:
    return InvalidToken(message, hint="Get a new access token for this resource.")
