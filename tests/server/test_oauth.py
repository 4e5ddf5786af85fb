"""Access tokens at the door, over REST and MCP, and how a client that has none finds the way to one."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from crypto_mcp.access.tokens import token_client
from tests.access.issuing import RESOURCE, Issuer, issuing
from tests.server.doors import with_key
from tests.server.running import front_end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.access.directory import Directory
    from crypto_mcp.settings import Settings

WELL_KNOWN = "/.well-known/oauth-protected-resource"


@pytest.fixture(scope="module")
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as provider:
        yield provider


@pytest.fixture(scope="module")
async def door(closed: Settings, directory: Directory, issuer: Issuer) -> AsyncIterator[str]:
    """A front end that takes keys and tokens."""
    async with front_end(closed.model_copy(update={"oauth": issuer.settings()})) as url:
        yield url


@pytest.fixture
async def http(door: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=door, timeout=30) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_client_without_a_token_is_led_to_the_issuer(http: httpx2.AsyncClient, issuer: Issuer) -> None:
    """RFC 9728: the refusal names the metadata, and the metadata the issuer; pages of any site may read it."""
    for refused in (await http.post("/mcp", json={}), await http.get("/v1/jobs")):
        assert refused.status_code == 401
        challenge = refused.headers["www-authenticate"]
        assert f'resource_metadata="http://127.0.0.1:8080{WELL_KNOWN}/mcp"' in challenge
        assert 'scope="crypto:read crypto:trade"' in challenge
        assert "error=" not in challenge
    for path in (f"{WELL_KNOWN}/mcp", WELL_KNOWN):
        told = await http.get(path, headers={"origin": "https://client.example"})
        assert told.json() == {
            "resource": RESOURCE, "authorization_servers": [issuer.url],
            "scopes_supported": ["crypto:read", "crypto:trade"],
            "bearer_methods_supported": ["header"], "resource_name": "Crypto MCP",
        }  # fmt: skip
        assert told.headers["access-control-allow-origin"] == "*"


async def test_a_token_is_a_client_with_its_own_jobs_and_limit(
    http: httpx2.AsyncClient, issuer: Issuer, directory: Directory
) -> None:
    """Not the local user's rights, and neither another subject's jobs nor a key's."""
    ann, bob = bearer(issuer.token()), bearer(issuer.token(sub="bob"))
    _, keyed = await with_key(directory)
    me = (await http.get("/v1/client", headers=ann)).json()
    assert (me["client"], me["by"]) == (token_client(issuer.url, "ann"), "token")
    assert "analysis:read" in me["scopes"]
    assert (await http.get("/v1/client", headers=keyed)).json()["by"] == "key"
    submitted = await http.post("/v1/jobs/gated", json={"text": secrets.token_hex(4)}, headers=ann)
    assert submitted.headers["ratelimit"].startswith('"client"')
    job = submitted.json()["job_id"]
    assert (await http.get(f"/v1/jobs/{job}", headers=ann)).json()["client"] == me["client"]
    assert (await http.get(f"/v1/jobs/{job}", headers=bob)).status_code == 404
    await http.delete(f"/v1/jobs/{job}", headers=ann)
    for path in ("/metrics", "/v1/dead/analysis:queue"):
        refused = await http.get(path, headers=ann)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]


async def test_a_token_opens_mcp(door: str, issuer: Issuer) -> None:
    async with (
        httpx2.AsyncClient(headers=bearer(issuer.token())) as http,
        Client(streamable_http_client(f"{door}/mcp", http_client=http)) as client,
    ):
        answer = await client.call_tool("echo", {"text": secrets.token_hex(4), "wait": 0})
    assert answer.structured_content is not None
    assert answer.structured_content["status"] == "queued"


async def test_a_bad_token_is_told_what_is_wrong_with_it(http: httpx2.AsyncClient, issuer: Issuer) -> None:
    """One that means nothing here is known, and may nothing: its client can ask its user for more."""
    expired = await http.get("/v1/jobs", headers=bearer(issuer.token(exp=1)))
    assert (expired.status_code, expired.json()["code"]) == (401, "invalid_token")
    assert 'error="invalid_token", error_description="the token has expired"' in expired.headers["www-authenticate"]
    useless = await http.get("/v1/jobs", headers=bearer(issuer.token(scope="openid")))
    assert useless.status_code == 403
    assert 'error="insufficient_scope"' in useless.headers["www-authenticate"]
    assert 'scope="crypto:read crypto:trade"' in useless.headers["www-authenticate"]
    two = await http.get("/v1/jobs", headers=bearer(issuer.token()) | {"X-API-Key": issuer.token(sub="bob")})
    assert two.status_code == 401


async def test_what_must_be_signed_is_not_done_with_a_token(http: httpx2.AsyncClient, issuer: Issuer) -> None:
    """It is sent with every request, and there is nothing else to sign with."""
    own = f"/v1/users/{token_client(issuer.url, 'ann')}"
    for method, path in (("GET", f"{own}/export"), ("DELETE", own)):
        refused = await http.request(method, path, headers=bearer(issuer.token()))
        assert (refused.status_code, refused.json()["code"]) == (403, "bad_signature")


async def test_while_the_issuer_is_away_keys_go_on_and_tokens_are_not_judged(
    closed: Settings, directory: Directory, issuer: Issuer
) -> None:
    issuer.fails = True
    _, keyed = await with_key(directory)
    try:
        async with (
            front_end(closed.model_copy(update={"oauth": issuer.settings()})) as url,
            httpx2.AsyncClient(base_url=url) as http,
        ):
            away = await http.get("/v1/jobs", headers=bearer(issuer.token()))
            assert (away.status_code, away.json()["code"]) == (503, "issuer_unavailable")
            assert away.headers["retry-after"]
            assert (await http.get("/v1/jobs", headers=keyed)).status_code == 200
    finally:
        issuer.fails = False


async def test_without_an_issuer_there_is_no_way_to_one(closed: Settings, directory: Directory, issuer: Issuer) -> None:
    """A client that looks for one is told so, and a token is no key."""
    async with front_end(closed) as url, httpx2.AsyncClient(base_url=url) as http:
        assert (await http.get(WELL_KNOWN)).status_code == 404
        refused = await http.get("/v1/jobs", headers=bearer(issuer.token()))
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="crypto-mcp"')
