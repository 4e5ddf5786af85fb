"""Bad input over REST: a problem with a stable code, whatever comes in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx2
import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from redis.asyncio import Redis

from crypto_mcp.models.rest import Problem
from crypto_mcp.server import uvicorn_server
from crypto_mcp.server.requests import LARGEST_BODY, RequestBounds

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from crypto_mcp.settings import Settings

JSON = {"content-type": "application/json"}
ECHO = "/v1/jobs/echo"


def checked(answered: httpx2.Response) -> dict[str, Any]:
    """The body of a problem, which must have the form of one."""
    assert answered.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answered.json()
    Problem.model_validate(body)
    assert body["status"] == answered.status_code
    assert body["request_id"] == answered.headers["x-request-id"]
    assert "Traceback" not in answered.text
    return body


BAD = [
    ("POST", ECHO, b"", 400, "bad_json"),
    ("POST", ECHO, b"{", 400, "bad_json"),
    ("POST", ECHO, b'{"text": "a", "text": "b"}', 400, "bad_json"),
    ("POST", ECHO, b'{"text": "a", "more": {"x": 1, "x": 2}}', 400, "bad_json"),
    ("POST", ECHO, b'{"text": "a", "times": NaN}', 400, "bad_json"),
    ("POST", ECHO, b'{"text": "a", "times": -Infinity}', 400, "bad_json"),
    ("POST", ECHO, b'{"text": "a", "times": 1e999}', 400, "bad_json"),
    ("POST", ECHO, b'{"text": "\\ud800"}', 400, "bad_json"),
    ("POST", ECHO, b'{"text": "\xff"}', 400, "bad_json"),
    ("POST", ECHO, b"[" * 100_000, 400, "bad_json"),
    ("POST", ECHO, b"[" * 2000 + b"]" * 2000, 400, "bad_json"),
    ("POST", ECHO, b"[" * 100 + b"]" * 100, 400, "bad_json"),
    ("POST", ECHO, b"[" * 50 + b"]" * 50, 422, "invalid_request"),
    ("POST", ECHO, b'{"text": [' + b"0," * 10_000 + b"0]}", 400, "bad_json"),
    ("POST", ECHO, b"{}", 422, "invalid_request"),
    ("POST", ECHO, b"[]", 422, "invalid_request"),
    ("POST", ECHO, b"null", 422, "invalid_request"),
    ("POST", ECHO, b'{"text": ""}', 422, "invalid_request"),
    ("POST", ECHO, b'{"text": 5}', 422, "invalid_request"),
    ("POST", ECHO, b'{"text": "a", "times": 11}', 422, "invalid_request"),
    ("POST", ECHO, b'{"text": "a", "times": 1e30}', 422, "invalid_request"),
    ("POST", ECHO, b'{"text": "a", "other": 1}', 422, "invalid_request"),
    ("POST", ECHO + "?wait=-1", b'{"text": "a"}', 422, "invalid_request"),
    ("POST", ECHO + "?wait=nan", b'{"text": "a"}', 422, "invalid_request"),
    ("POST", ECHO + "?wait=soon", b'{"text": "a"}', 422, "invalid_request"),
    ("POST", "/v1/jobs/ecko", b'{"text": "a"}', 404, "unknown_kind"),
    ("GET", "/v1/jobs?limit=0", b"", 422, "invalid_request"),
    ("GET", "/v1/jobs?state=odd", b"", 422, "invalid_request"),
    ("GET", "/v1/dead/other:queue", b"", 422, "invalid_request"),
    ("GET", "/nowhere", b"", 404, "not_found"),
    ("PUT", ECHO, b"{}", 405, "method_not_allowed"),
    ("GET", "/mcp", b"", 405, "method_not_allowed"),
    ("DELETE", "/mcp", b"", 405, "method_not_allowed"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), BAD)
async def test_bad_input_is_a_problem(
    http: httpx2.AsyncClient, method: str, path: str, body: bytes, status: int, code: str
) -> None:
    answered = await http.request(method, path, content=body, headers=JSON)
    assert (answered.status_code, checked(answered)["code"]) == (status, code)
    if status == 405:
        assert answered.headers["allow"]


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", None])
async def test_a_body_that_is_not_declared_json_is_refused(http: httpx2.AsyncClient, media_type: str | None) -> None:
    """So that a page in a browser cannot submit jobs by a form."""
    headers = {"content-type": media_type} if media_type else {}
    answered = await http.post(ECHO, content=b'{"text": "a"}', headers=headers)
    assert (answered.status_code, checked(answered)["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("path", [ECHO, "/mcp"])
async def test_a_body_over_a_mebibyte_is_refused(http: httpx2.AsyncClient, path: str) -> None:
    async def chunks() -> Any:
        for _ in range(LARGEST_BODY // 65536 + 1):
            yield b" " * 65536

    for content in (b" " * (LARGEST_BODY + 1), chunks()):
        headers = JSON | {"accept": "application/json, text/event-stream"}
        answered = await http.post(path, content=content, headers=headers)
        assert (answered.status_code, checked(answered)["code"]) == (413, "body_too_large")


async def test_a_connection_on_which_no_request_gets_complete_is_cut(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sends a byte now and then does not keep it."""
    monkeypatch.setattr(uvicorn_server, "_HEADERS_WITHIN", 0.05)
    address = http.base_url
    for begun in (b"", b"POST /v1/jobs/echo HTTP/1.1\r\nHost: x\r\nX-Slow: "):
        reading, writing = await asyncio.open_connection(address.host, address.port)
        writing.write(begun)
        assert await reading.read() == b""
        writing.close()


async def test_the_hint_of_bad_parameters_shows_some_that_work(http: httpx2.AsyncClient) -> None:
    answered = await http.post(ECHO, json={"txet": "a"})
    problem = checked(answered)
    assert "text: Field required" in problem["detail"]
    example = orjson.loads(problem["hint"].partition(": ")[2])
    assert (await http.post(ECHO, json=example, params={"wait": 20})).status_code == 200


_scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20)
_values = st.recursive(_scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner))
_bodies = st.binary(max_size=60) | st.builds(
    lambda text, times, more: orjson.dumps({"text": text, "times": times, **more}, default=str),
    _scalars,
    _scalars,
    st.dictionaries(st.sampled_from(["wait", "text", "x"]), st.text(max_size=3), max_size=1),
)


@given(body=_bodies)
@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_no_body_brings_the_front_end_down(http: httpx2.AsyncClient, body: bytes) -> None:
    answered = await http.post(ECHO, content=body, headers=JSON)
    assert answered.status_code in {200, 202, 400, 422}
    if answered.status_code >= 400:
        checked(answered)


async def test_a_request_that_takes_too_long_is_504() -> None:
    async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    transport = httpx2.ASGITransport(RequestBounds(stuck, timeout=0.05))
    async with httpx2.AsyncClient(transport=transport, base_url="http://front") as client:
        answered = await client.get("/anything")
    assert (answered.status_code, checked(answered)["code"]) == (504, "timed_out")


async def test_a_surprise_is_500_with_a_reference_and_nothing_of_the_inside() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("a secret of the inside")

    transport = httpx2.ASGITransport(RequestBounds(broken, timeout=5))
    async with httpx2.AsyncClient(transport=transport, base_url="http://front") as client:
        answered = await client.get("/anything")
    assert (answered.status_code, checked(answered)["code"]) == (500, "internal_error")
    assert "reference" in answered.text
    assert "secret" not in answered.text


async def test_dead_letters_are_listed_and_dropped(http: httpx2.AsyncClient, stores: Settings) -> None:
    async with Redis.from_url(stores.redis.queue_url.get_secret_value()) as redis:
        await redis.lpush("analysis:queue", "garbage")
    while not (dead := (await http.get("/v1/dead/analysis:queue")).json()["dead"]):
        pass
    assert dead[0]["envelope"] == "garbage"
    entry = f"/v1/dead/analysis:queue/{dead[0]['job_id']}"
    assert checked(await http.post(f"{entry}/replay"))["code"] == "not_replayable"
    assert (await http.delete(entry)).status_code == 204
    assert checked(await http.delete(entry))["code"] == "unknown_dead_letter"


async def test_a_dead_job_is_replayed(http: httpx2.AsyncClient) -> None:
    dead = checked(await http.post("/v1/jobs/failing", json={"text": "away"}, params={"wait": 20}))["job_id"]
    replayed = await http.post(f"/v1/dead/analysis:queue/{dead}/replay")
    assert replayed.status_code == 202
    record = (await http.get(replayed.headers["location"], params={"wait": 20})).json()
    assert (record["job_id"], record["state"]) == (dead, "dead")


async def test_openapi_is_whole_and_its_examples_fit_their_schemas(http: httpx2.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    for reference in _references(document):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    submitted = 0
    for path, item in document["paths"].items():
        for operation in item.values():
            assert operation["summary"]
            for status, response in operation["responses"].items():
                assert status < "400" or list(response["content"]) == ["application/problem+json"]
            if "submit" in operation.get("tags", ()):
                submitted += 1
                body = operation["requestBody"]["content"]["application/json"]
                Draft202012Validator.check_schema(body["schema"])
                Draft202012Validator(body["schema"]).validate(body["example"])
                assert set(operation["responses"]) >= {"200", "202", "422", "503"}, path
    assert submitted == 6


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []


async def test_the_docs_need_nothing_from_outside(http: httpx2.AsyncClient) -> None:
    page = await http.get("/docs")
    assert page.status_code == 200
    assert "//cdn" not in page.text
    script = page.text.partition('src="')[2].partition('"')[0]
    assert (await http.get(script)).status_code == 200


async def test_the_front_page_says_where_to_go(http: httpx2.AsyncClient) -> None:
    page = await http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert all(address in page.text for address in ("/mcp", "/docs", "/health", "/v1/jobs/echo"))
