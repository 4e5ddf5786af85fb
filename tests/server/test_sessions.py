"""A client's session: what it prefers and what it asked lately, on every front end."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from redis.asyncio import Redis

from tests.server.running import front_end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.settings import Settings


@pytest.fixture(autouse=True)
async def no_session_is_left(stores: Settings) -> AsyncIterator[None]:
    yield
    async with Redis.from_url(stores.redis.session_url.get_secret_value()) as redis:
        await redis.flushdb()


async def noted(http: httpx2.AsyncClient, text: str) -> dict[str, object]:
    """The session, once it has that call."""
    async with asyncio.timeout(10):
        while ((session := (await http.get("/v1/session")).json())["last"] or {}).get("params", {}).get("text") != text:
            await asyncio.sleep(0.02)
    return session  # type: ignore[no-any-return]


async def test_the_newest_call_is_repeated_with_changes_on_another_front_end(
    http: httpx2.AsyncClient, stores: Settings, text: str
) -> None:
    """Over REST and MCP alike; the session lives for an hour after the newest call."""
    job = (await http.post("/v1/jobs/echo?wait=10", json={"text": text, "times": 2})).json()["job_id"]
    session = await noted(http, text)
    assert session["last"] == {"kind": "echo", "params": {"text": text, "times": 2}}
    assert session["jobs"] == [job]
    async with front_end(stores) as other, httpx2.AsyncClient(base_url=other, timeout=30) as elsewhere:
        repeated = (await elsewhere.post("/v1/session/again?wait=10", json={"times": 3})).json()
        assert repeated["result"]["text"] == 3 * text
        async with Client(streamable_http_client(f"{other}/mcp")) as client:
            answer = await client.call_tool("again", {"changes": {"times": 1}})
        assert answer.structured_content is not None
        assert answer.structured_content["result"]["text"] == text
    async with Redis.from_url(stores.redis.session_url.get_secret_value()) as redis:
        assert 3590 < await redis.ttl("session:local") <= 3600


async def test_a_preference_is_taken_where_a_call_says_nothing(http: httpx2.AsyncClient, text: str) -> None:
    """And given up again with null."""
    assert (await http.patch("/v1/session", json={"times": 3})).json()["preferences"] == {"times": 3}
    assert (await http.post("/v1/jobs/echo?wait=10", json={"text": text})).json()["result"]["text"] == 3 * text
    said = {"text": text, "times": 1}
    assert (await http.post("/v1/jobs/echo?wait=10", json=said)).json()["result"]["text"] == text
    assert (await http.patch("/v1/session", json={"times": None})).json()["preferences"] == {}
    assert (await http.post("/v1/jobs/echo?wait=10", json={"text": text})).json()["result"]["text"] == text


@pytest.mark.parametrize("bad", [{"times": 99}, {"times": "many"}, {"tiems": 2}, {"": 1}])
async def test_a_preference_that_no_kind_takes_is_refused(http: httpx2.AsyncClient, bad: dict[str, object]) -> None:
    refused = await http.patch("/v1/session", json=bad)
    assert refused.status_code == 422
    assert refused.json()["hint"]
    assert (await http.get("/v1/session")).json()["preferences"] == {}


async def test_without_an_earlier_call_there_is_nothing_to_repeat(http: httpx2.AsyncClient) -> None:
    refused = await http.post("/v1/session/again", json={"text": secrets.token_hex(4)})
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_repeat")
