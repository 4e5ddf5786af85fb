"""Access tokens: what holds, what does not, and what happens when the issuer's keys change or it is away."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError

from crypto_mcp.access.identity import Identity, InsufficientScope
from crypto_mcp.access.issuer import COOLDOWN, IssuerKeys, IssuerUnavailable
from crypto_mcp.access.roles import SCOPES, Role
from crypto_mcp.access.tokens import AccessTokens, InvalidToken, token_client
from crypto_mcp.errors import InvalidRequest
from crypto_mcp.settings import OAuthSettings
from tests.access.issuing import RESOURCE, Issuer, another_rsa_key, issuing
from tests.clock import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[Issuer]:
    async with issuing() as issuer:
        yield issuer


@pytest.fixture
def issuer(provider: Issuer) -> Issuer:
    """The provider with one key, as good as new."""
    fresh = Issuer(provider.url)
    fresh.publish("one")
    for name in ("asked", "fails", "changes", "openid", "redirects", "keys"):
        setattr(provider, name, getattr(fresh, name))
    return provider


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient() as client:
        yield client


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(issuer: Issuer, http: httpx2.AsyncClient, clock: Clock) -> AccessTokens:
    return taking(issuer, http, clock)


def taking(issuer: Issuer, http: httpx2.AsyncClient, clock: Clock, **changes: Any) -> AccessTokens:
    settings = issuer.settings(**changes)
    return AccessTokens(settings, IssuerKeys(settings, http, clock))


async def test_a_good_token_is_a_client_of_its_own_with_the_scopes_it_names(
    issuer: Issuer, tokens: AccessTokens
) -> None:
    """Of the same subject always the same; at another issuer another one."""
    ann = await tokens.identify(issuer.token())
    assert (ann.by, ann.key_id, ann.scopes, ann.local) == ("token", None, SCOPES[Role.READER], False)
    assert ann.client == token_client(issuer.url, "ann")
    assert len({token_client(issuer.url, "bob"), token_client("https://id.example", "ann"), ann.client}) == 3
    assert ann.expires_at is not None
    both = await tokens.identify(issuer.token(scope="crypto:read crypto:trade email"))
    assert (both.client, both.scopes) == (ann.client, SCOPES[Role.TRADER])


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_each_accepted_algorithm_is_accepted(issuer: Issuer, tokens: AccessTokens, algorithm: str) -> None:
    issuer.publish("two", algorithm)
    assert isinstance(await tokens.identify(issuer.token("two", algorithm)), Identity)


async def test_audiences_and_times_within_the_leeway_hold(issuer: Issuer, tokens: AccessTokens) -> None:
    now = int(time.time())
    for changes in (
        {"aud": ["https://other.example", RESOURCE]}, {"exp": now - 20}, {"nbf": now + 20}, {"iat": now + 20},
        {"iat": None, "nbf": None}, {"header": {"typ": "JWT"}}, {"header": {"typ": "application/at+jwt"}},
    ):  # fmt: skip
        assert await tokens.identify(issuer.token(**changes))


def _now(seconds: int) -> int:
    return int(time.time()) + seconds


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "expired": {"exp": _now(-3600)},
    "without an end": {"exp": None},
    "an end that is no number": {"exp": "soon"},
    "an end that is no time": {"exp": 10**30},
    "not yet good": {"nbf": _now(36_000)},
    "made in the future": {"iat": _now(36_000)},
    "another audience": {"aud": "https://other.example/mcp"},
    "nearly the audience": {"aud": RESOURCE + "/"},
    "no audience": {"aud": None},
    "another issuer": {"iss": "https://id.example/realms/trading"},
    "nearly the issuer": {"iss": "http://127.0.0.1"},
    "no issuer": {"iss": None},
    "nobody": {"sub": None},
    "an empty name": {"sub": ""},
    "a name that is an object": {"sub": {"$gt": ""}},
    "a name without end": {"sub": "a" * 300},
    "an id token": {"header": {"typ": "id+jwt"}},
    "a logout token": {"header": {"typ": "logout+jwt"}},
    "a type that is no text": {"header": {"typ": 1}},
    "an extension it must understand": {"header": {"crit": ["exp"], "exp": 1}},
    "longer than a header": {"padding": "x" * 9000},
    "another key's id": {"kid": "two"},
}


@pytest.mark.parametrize("changes", BAD_CLAIMS.values(), ids=BAD_CLAIMS)
async def test_what_does_not_hold_is_refused(issuer: Issuer, tokens: AccessTokens, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken) as caught:
        await tokens.identify(issuer.token(**changes))
    assert caught.value.message.startswith(("the token", "this is"))
    assert "ann" not in caught.value.message


def _b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _unsigned(issuer: Issuer, algorithm: str, mac_key: bytes | None = None) -> str:
    """The good token with another algorithm in its header, signed by what an attacker has."""
    _, claims, _ = issuer.token().split(".")
    header = _b64(json.dumps({"alg": algorithm, "kid": "one", "typ": "at+jwt"}).encode())
    signed = f"{header}.{claims}"
    return f"{signed}.{_b64(hmac.digest(mac_key, signed.encode(), hashlib.sha256)) if mac_key else ''}"


async def test_nobody_makes_tokens_without_the_private_key(issuer: Issuer, tokens: AccessTokens) -> None:
    """Not by `none`, not by HMAC with the public key as its secret, in whatever way that is written."""
    public = jwt.PyJWK(issuer.keys[0]).key
    texts = [public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), json.dumps(issuer.keys[0]).encode()]
    forged = [_unsigned(issuer, name) for name in ("none", "None", "NONE", "", "HS256", "RS256", "ES256")]
    forged += [_unsigned(issuer, name, text) for name in ("HS256", "hs256", "RS256") for text in texts]
    head, claims, signature = issuer.token().split(".")
    _, others, _ = issuer.token(sub="bob").split(".")
    forged += [
        f"{head}.{others}.{signature}", f"{head}.{claims}.", f"{head}..{signature}", f".{claims}.{signature}", "..",
        issuer.token(key=another_rsa_key()), issuer.token(None, key=another_rsa_key()), "é.é.é",
        jwt.encode({"sub": "ann"}, "secret" * 8, "HS256"),
    ]  # fmt: skip
    own = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(another_rsa_key().public_key()))
    for header in ({"jwk": own}, {"jku": "http://127.0.0.1:1/keys"}, {"x5u": "http://127.0.0.1:1/cert"}):
        forged.append(issuer.token(key=another_rsa_key(), header=header))
    for text in forged:
        with pytest.raises(InvalidToken):
            await tokens.identify(text)
    assert set(issuer.asked) == {"/realms/trading/.well-known/openid-configuration", "/realms/trading/keys"}


async def test_a_key_is_for_its_own_algorithm_and_public_and_strong(
    issuer: Issuer, http: httpx2.AsyncClient, clock: Clock
) -> None:
    """One of the set that is symmetric, private, weak, for encryption or of another curve checks nothing."""
    weak = rsa.generate_private_key(65537, 1024)
    secret = b"0123456789abcdef0123456789abcdef"
    issuer.publish("weak", private=weak)
    issuer.publish("enc", "ES256", use="enc")
    issuer.publish("wrap", "EdDSA", key_ops=["wrapKey"])
    issuer.publish("curve", "ES384")
    issuer.publish("rs", "RS256", alg="RS512")
    issuer.keys += [
        {"kid": "oct", "kty": "oct", "k": _b64(secret)}, {"kid": "broken", "kty": "RSA", "n": "!", "e": 1}, 7, None,
        {"kid": "slip", **json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(another_rsa_key()))},
    ]  # fmt: skip
    tokens = taking(issuer, http, clock, algorithms=["RS256", "ES256", "EdDSA"])
    assert await tokens.identify(issuer.token())
    curve = issuer.token("curve", "ES256")
    for text in (
        issuer.token("weak", key=weak), issuer.token("enc", "ES256"), issuer.token("wrap", "EdDSA"), curve,
        issuer.token("rs"), issuer.token("oct", "HS256", key=secret), issuer.token("broken"),
        issuer.token("slip", key=another_rsa_key()), issuer.token(algorithm="PS256"),
    ):  # fmt: skip
        with pytest.raises(InvalidToken):
            await tokens.identify(text)


async def test_a_token_that_names_no_key_needs_a_set_with_one_that_fits(
    issuer: Issuer, http: httpx2.AsyncClient, clock: Clock
) -> None:
    issuer.publish("two", "ES256")
    assert await taking(issuer, http, clock).identify(issuer.token(None))
    issuer.publish("three", private=another_rsa_key())
    with pytest.raises(InvalidToken):
        await taking(issuer, http, clock).identify(issuer.token(None))


async def test_a_new_key_is_taken_at_once_and_invented_ones_do_not_ask_the_issuer_each_time(
    issuer: Issuer, tokens: AccessTokens, clock: Clock
) -> None:
    await tokens.identify(issuer.token())
    issuer.publish("two", private=another_rsa_key())
    clock.now += COOLDOWN
    assert await tokens.identify(issuer.token("two", key=another_rsa_key()))
    asked = len(issuer.asked)
    for name in range(20):
        with pytest.raises(InvalidToken):
            await tokens.identify(issuer.token(f"invented{name}"))
    assert len(issuer.asked) == asked


async def test_keys_are_asked_for_once_by_all_who_wait_and_again_after_a_while(
    issuer: Issuer, tokens: AccessTokens, clock: Clock
) -> None:
    await asyncio.gather(*(tokens.identify(issuer.token()) for _ in range(20)))
    assert len(issuer.asked) == 2
    clock.now += 301
    await tokens.identify(issuer.token())
    assert len(issuer.asked) == 4


async def test_a_key_that_was_withdrawn_is_refused_after_a_while(
    issuer: Issuer, tokens: AccessTokens, clock: Clock
) -> None:
    await tokens.identify(issuer.token())
    issuer.keys = []
    issuer.publish("two", private=another_rsa_key())
    clock.now += 301
    with pytest.raises(InvalidToken):
        await tokens.identify(issuer.token())


async def test_while_the_issuer_is_away_known_keys_stay_good_for_a_time(
    issuer: Issuer, tokens: AccessTokens, clock: Clock
) -> None:
    """A key it might have added meanwhile is neither good nor bad: nobody knows. It is not asked at each call."""
    await tokens.identify(issuer.token())
    issuer.fails = True
    clock.now += 301
    assert await tokens.identify(issuer.token())
    asked = len(issuer.asked)
    assert await tokens.identify(issuer.token())
    assert len(issuer.asked) == asked
    with pytest.raises(IssuerUnavailable):
        await tokens.identify(issuer.token("two"))
    clock.now += 3600
    with pytest.raises(IssuerUnavailable) as away:
        await tokens.identify(issuer.token())
    assert away.value.retry_after
    issuer.fails = False
    clock.now += COOLDOWN
    assert await tokens.identify(issuer.token())


@pytest.mark.parametrize(
    "wrong",
    [
        {"fails": True},
        {"redirects": True},
        {"changes": {"issuer": "https://id.example"}},
        {"changes": {"jwks_uri": None}},
        {"changes": {"jwks_uri": "http://id.example/keys"}},
        {"changes": {"jwks_uri": "file:///etc/passwd"}},
        {"changes": {"jwks_uri": "http://127.0.0.1:1/keys"}},
        {"changes": {"padding": "x" * 600_000}},
        {"openid": False, "changes": {"issuer": "other"}},
    ],
)
async def test_an_issuer_that_is_not_what_it_should_be_is_away(
    issuer: Issuer, tokens: AccessTokens, wrong: dict[str, Any]
) -> None:
    for name, value in wrong.items():
        setattr(issuer, name, value)
    with pytest.raises(IssuerUnavailable):
        await tokens.identify(issuer.token())


async def test_an_issuer_without_an_openid_document_is_found_by_rfc_8414(issuer: Issuer, tokens: AccessTokens) -> None:
    issuer.openid = False
    assert await tokens.identify(issuer.token())


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"scope": None, "realm_access": {"roles": ["offline", "desk"]}}, Role.TRADER),
        ({"scope": None, "realm_access": {"roles": "desk"}}, Role.TRADER),
        ({"realm_access": {"roles": ["offline", 1, None]}}, None),
        ({"realm_access": ["desk"]}, None),
        ({"realm_access": None}, None),
    ],
)
async def test_scopes_are_found_where_the_provider_puts_them(
    issuer: Issuer, http: httpx2.AsyncClient, clock: Clock, claims: dict[str, Any], role: Role | None
) -> None:
    """A token without any that means something here is good for nothing."""
    tokens = taking(issuer, http, clock, scope_claim=["realm_access", "roles"], scopes={"desk": ["trader"]})
    if role is None:
        with pytest.raises(InsufficientScope):
            await tokens.identify(issuer.token(**claims))
    else:
        assert (await tokens.identify(issuer.token(**claims))).scopes == SCOPES[role]


def test_settings_that_would_leave_the_door_open_are_refused(issuer: Issuer) -> None:
    for wrong in (
        {"algorithms": ["none"]}, {"algorithms": ["HS256"]}, {"algorithms": []}, {"resource": None}, {"leeway": 3600},
        {"issuer": "http://id.example"}, {"issuer": "https://u:p@id.example"}, {"issuer": "id.example"},
        {"resource": "ftp://x"}, {"scope_claim": []},
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            issuer.settings(**wrong)
    assert OAuthSettings().issuer is None
    with pytest.raises(InvalidRequest, match="emperor"):
        AccessTokens(issuer.settings(scopes={"x": ["emperor"]}), None)  # type: ignore[arg-type]
