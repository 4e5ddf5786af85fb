"""Who may come in: keys, roles, addresses, and how much each may ask."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from redis.asyncio import Redis

from crypto_mcp.access.directory import Directory
from crypto_mcp.access.keys import ApiKey
from crypto_mcp.access.roles import Role
from crypto_mcp.settings import AccessSettings
from tests.server.doors import with_key
from tests.server.kinds import gates
from tests.server.running import front_end

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crypto_mcp.settings import Settings

URL = "/v1/jobs/echo?wait=10"


async def asked(door: str, headers: Mapping[str, Any] | None = None, text: str = "") -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=door, timeout=30) as http:
        return await http.post(URL, json={"text": text or secrets.token_hex(4)}, headers=headers or {})


async def test_without_a_key_nothing_but_health_and_documentation_is_seen(door: str) -> None:
    """The answer says how to send one."""
    refused = await asked(door)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert refused.json()["code"] == "unauthorized"
    async with httpx2.AsyncClient(base_url=door) as http:
        assert [(await http.get(path)).status_code for path in ("/health", "/", "/docs", "/openapi.json")] == [200] * 4
        for path in ("/v1/jobs", "/v1/kinds", "/v1/dead/analysis:queue", "/v1/jobs/x", "/V1/jobs", "//v1/jobs"):
            assert (await http.get(path)).status_code == 401, path
        assert (await http.post("/mcp", json={})).status_code == 401


async def test_a_key_opens_rest_by_either_header(door: str, directory: Directory) -> None:
    _, headers = await with_key(directory)
    assert (await asked(door, headers)).status_code == 200
    assert (await asked(door, {"X-API-Key": headers["Authorization"].removeprefix("Bearer ")})).status_code == 200


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_key_opens_mcp(door: str, directory: Directory, mode: Any) -> None:
    _, headers = await with_key(directory)
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(f"{door}/mcp", http_client=http), mode=mode) as client,
    ):
        answer = await client.call_tool("echo", {"text": secrets.token_hex(4)})
    assert answer.structured_content is not None
    assert answer.structured_content["status"] == "done"


async def test_what_is_no_good_key_is_refused(door: str, directory: Directory) -> None:
    """Foreign, cut, longer, of another secret, revoked, expired, of two minds; and none of it is an internal error."""
    _, good = await with_key(directory)
    text = good["Authorization"].removeprefix("Bearer ")
    other = ApiKey.minted()
    forged = f"cmcp_{text[5:17]}_{other.text[18:]}"
    for bad in (other.text, text[:-1], text + "A", forged, "", "é", "null", f"{text} {text}", "cmcp_' OR 1=1 --"):
        assert (await asked(door, {"X-API-Key": bad.encode()})).status_code == 401
    assert (await asked(door, {"X-API-Key": other.text} | good)).status_code == 401
    assert (await asked(door, {"Authorization": f"Basic {text}"})).status_code == 401
    _, expired = await with_key(directory, lifetime=timedelta(0))
    assert "expired" in (await asked(door, expired)).json()["detail"]


async def test_a_revoked_key_is_refused_within_two_seconds(door: str, directory: Directory) -> None:
    name, headers = await with_key(directory)
    assert (await asked(door, headers)).status_code == 200
    (record,) = await directory.keys(name)
    await directory.revoke(record.key_id, actor="test")
    async with asyncio.timeout(2):
        while (await asked(door, headers)).status_code == 200:
            await asyncio.sleep(0.05)
    assert "revoked" in (await asked(door, headers)).json()["detail"]


async def test_rotation_leaves_the_old_key_good_for_a_while_and_says_when_it_ends(
    door: str, directory: Directory
) -> None:
    name, old = await with_key(directory)
    (record,) = await directory.keys(name)
    new = await directory.rotate(record.key_id, actor="test", overlap=timedelta(hours=1), lifetime=timedelta(days=90))
    fresh = await asked(door, {"X-API-Key": new.text})
    assert fresh.status_code == 200
    assert "x-api-key-expires" not in fresh.headers
    async with asyncio.timeout(3):
        while "x-api-key-expires" not in (answer := await asked(door, old)).headers:
            await asyncio.sleep(0.05)
    assert answer.status_code == 200


async def test_a_role_may_do_what_it_is_for(door: str, directory: Directory) -> None:
    """A reader asks market questions, and sees neither dead letters nor the jobs of others."""
    _, reader = await with_key(directory, Role.READER)
    _, operator = await with_key(directory, Role.OPERATOR)
    async with httpx2.AsyncClient(base_url=door) as http:
        assert (await http.get("/v1/dead/analysis:queue", headers=reader)).status_code == 403
        assert (await http.get("/v1/dead/analysis:queue", headers=operator)).status_code == 200
        assert (await http.post(URL, json={"text": "x"}, headers=reader)).status_code == 200


async def test_jobs_of_one_client_do_not_exist_for_another(door: str, directory: Directory) -> None:
    """Not by id, not in the list, not to be cancelled; an operator sees them."""
    (mine, my), (_, your), (_, operator) = [
        await with_key(directory, role) for role in (Role.TRADER, Role.TRADER, Role.OPERATOR)
    ]
    gate = secrets.token_hex(4)
    async with httpx2.AsyncClient(base_url=door, timeout=30) as http:
        job = (await http.post("/v1/jobs/gated", json={"text": gate}, headers=my)).json()["job_id"]
        for path in (f"/v1/jobs/{job}", f"/v1/jobs/{job}/result"):
            assert (await http.get(path, headers=my)).status_code in (200, 202)
            assert (await http.get(path, headers=your)).json()["code"] == "unknown_job"
            assert (await http.get(path, headers=operator)).status_code in (200, 202)
        assert (await http.delete(f"/v1/jobs/{job}", headers=your)).status_code == 404
        (listed,) = (await http.get("/v1/jobs", headers=my)).json()["jobs"]
        assert (listed["job_id"], listed["client"]) == (job, mine)
        assert (await http.get("/v1/jobs", headers=your)).json()["jobs"] == []
        gates[gate].set()


async def test_who_joins_a_job_may_read_it_and_not_cancel_it(door: str, directory: Directory) -> None:
    """Equal requests of two clients are one job of the first."""
    (_, first), (_, second) = [await with_key(directory, Role.TRADER) for _ in range(2)]
    gate = secrets.token_hex(4)
    async with httpx2.AsyncClient(base_url=door, timeout=30) as http:
        jobs = [
            (await http.post("/v1/jobs/gated", json={"text": gate}, headers=who)).json()["job_id"]
            for who in (first, second)
        ]
        assert jobs[0] == jobs[1]
        assert (await http.get(f"/v1/jobs/{jobs[0]}", headers=second)).status_code == 200
        assert (await http.delete(f"/v1/jobs/{jobs[0]}", headers=second)).status_code == 403
        gates[gate].set()
        assert (await http.get(f"/v1/jobs/{jobs[0]}/result?wait=10", headers=second)).status_code == 200


async def test_only_a_trusted_proxy_says_where_a_call_comes_from(door: str, directory: Directory) -> None:
    """The nearest address that is no proxy counts, so that a caller cannot put one in front."""
    _, headers = await with_key(directory, allowed_ips=["203.0.113.0/24"])
    assert (await asked(door, headers)).status_code == 403
    assert (await asked(door, headers | {"X-Forwarded-For": "203.0.113.7"})).status_code == 200
    assert (await asked(door, headers | {"X-Forwarded-For": "203.0.113.7, 198.51.100.1"})).status_code == 403
    assert (await asked(door, headers | {"X-Forwarded-For": "198.51.100.1, 203.0.113.7"})).status_code == 200
    assert (await asked(door, headers | {"X-Forwarded-For": "nonsense"})).status_code == 403


async def test_a_client_that_asks_too_much_is_told_when_to_come_back(
    door: str, closed: Settings, directory: Directory
) -> None:
    """Over REST a 429, over MCP a tool's answer; another client is not held back. The counter is gone in a minute."""
    name, headers = await with_key(directory)
    text = secrets.token_hex(4)
    answers = [await asked(door, headers, text) for _ in range(41)]
    assert [answer.status_code for answer in answers] == [200] * 40 + [429]
    assert answers[0].headers["ratelimit"] == '"client";r=39;t=60'
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    assert answers[-1].json()["code"] == "too_many_requests"
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(f"{door}/mcp", http_client=http)) as client,
    ):
        refused = await client.call_tool("echo", {"text": text})
    assert refused.is_error
    assert refused.structured_content is not None
    assert refused.structured_content["error"]["code"] == "too_many_requests"
    assert refused.structured_content["error"]["retry_after"] > 0
    assert (await asked(door, (await with_key(directory))[1])).status_code == 200
    async with Redis.from_url(closed.redis.session_url.get_secret_value()) as redis:
        assert 0 < await redis.ttl(f"rate_limit:client:{name}") <= 60
        assert 0 < await redis.ttl("rate_limit:127.0.0.1") <= 60


async def test_a_call_on_this_machine_needs_no_key_unless_it_came_through_a_proxy(
    closed: Settings, directory: Directory
) -> None:
    """With a key it is that client's all the same."""
    open_here = closed.access.model_copy(update={"local_without_key": True})
    name, headers = await with_key(directory)
    settings = closed.model_copy(update={"access": open_here})
    async with front_end(settings) as url, httpx2.AsyncClient(base_url=url) as http:
        assert (await http.get("/v1/kinds")).status_code == 200
        for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
            assert (await http.get("/v1/kinds", headers={header: "127.0.0.1"})).status_code == 401
        job = (await http.post("/v1/jobs/gated", json={"text": "k"}, headers=headers)).json()["job_id"]
        assert (await http.get(f"/v1/jobs/{job}")).json()["client"] == name
        await http.delete(f"/v1/jobs/{job}")


async def test_an_operators_list_of_networks_holds_for_everybody(closed: Settings) -> None:
    networks = {"allowed_networks": ["203.0.113.0/24"], "trusted_proxies": ["127.0.0.1/32"]}
    settings = closed.model_copy(update={"access": AccessSettings.model_validate(networks)})
    async with front_end(settings) as url, httpx2.AsyncClient(base_url=url) as http:
        assert (await http.get("/health")).status_code == 403
        assert (await http.get("/health", headers={"X-Forwarded-For": "203.0.113.9"})).status_code == 200
