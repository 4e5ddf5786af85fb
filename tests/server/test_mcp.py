"""MCP with the SDK's own client: both protocol eras over HTTP, and stdio."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import orjson
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import PARSE_ERROR, TextContent
from redis.asyncio import Redis

from crypto_mcp.catalogue import CATALOGUE as REAL_CATALOGUE
from crypto_mcp.models.answers import Answer
from crypto_mcp.server.tools import Tools
from crypto_mcp.settings import ServerSettings
from tests.server import kinds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mcp.types import CallToolResult

    from crypto_mcp.settings import Settings

ROOT = Path(__file__).parents[2]

_STDIO = (
    "from crypto_mcp import logs; from crypto_mcp.server.stdio import run; from crypto_mcp.settings import Settings; "
    "from tests.server.kinds import CATALOGUE; s = Settings(_env_file=None); logs.configure(s.log); run(s, CATALOGUE)"
)


ERAS = pytest.mark.parametrize("how", ["legacy", "2026-07-28"])
TRANSPORTS_AND_ERAS = pytest.mark.parametrize("how", ["legacy", "2026-07-28", "stdio legacy", "stdio 2026-07-28"])


@asynccontextmanager
async def client_of(how: str, address: str, stores: Settings) -> AsyncIterator[Client]:
    mode = how.rsplit(maxsplit=1)[-1]
    async with Client(_child(stores) if how.startswith("stdio") else f"{address}/mcp", mode=mode) as client:
        yield client


def _child(stores: Settings) -> StdioServerParameters:
    environment = {
        "CRYPTO_MCP_REDIS__CACHE_URL": stores.redis.cache_url.get_secret_value(),
        "CRYPTO_MCP_REDIS__QUEUE_URL": stores.redis.queue_url.get_secret_value(),
        "CRYPTO_MCP_MONGO__URL": stores.mongo.url.get_secret_value(),
        "CRYPTO_MCP_MONGO__DATABASE": stores.mongo.database,
        "PYTHONPATH": str(ROOT),
        "PATH": os.environ["PATH"],
    }
    return StdioServerParameters(command=sys.executable, args=["-c", _STDIO], env=environment, cwd=ROOT)


def answer_of(result: CallToolResult) -> dict[str, Any]:
    """The structured answer, which the text must repeat and the contract describe."""
    (content,) = result.content
    assert isinstance(content, TextContent)
    assert orjson.loads(content.text) == result.structured_content
    answer: dict[str, Any] = result.structured_content
    Answer[kinds.Echo].model_validate(answer)
    return answer


@TRANSPORTS_AND_ERAS
async def test_tools_are_listed_and_called(how: str, address: str, stores: Settings, text: str) -> None:
    """A result, then the cached one; a job that runs and is followed by the call its answer names."""
    async with client_of(how, address, stores) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"again",
            "echo", "kept", "uncached", "gated", "failing", "wipe", "job_status", "job_result", "job_cancel",
        }  # fmt: skip
        echo = tools["echo"]
        assert echo.input_schema["required"] == ["text"]
        assert set(echo.input_schema["properties"]) == {"text", "times", "wait", "fields"}
        assert '{"text":"hello"}' in (echo.description or "")
        assert echo.output_schema is not None
        assert set(echo.output_schema["properties"]) == {"status", "result", "error"}
        assert echo.annotations is not None
        assert echo.annotations.read_only_hint is True

        first = answer_of(await client.call_tool("echo", {"text": text}))
        assert (first["status"], first["result"]["text"], first["cached"]) == ("done", text, False)
        assert answer_of(await client.call_tool("echo", {"text": text}))["cached"] is True

        running = answer_of(await client.call_tool("gated", {"text": text, "wait": 0}))
        assert running["status"] == "queued"
        kinds.gates[text].set()
        step = running["next"][0]
        done = answer_of(await client.call_tool(step["tool"], step["arguments"]))
        assert (done["status"], done["result"]["text"]) == ("done", text)
        status = await client.call_tool("job_status", {"job_id": running["job_id"]})
        stands = answer_of(status)
        assert (stands["status"], stands["kind"], stands["attempts"]) == ("done", "gated", 1)
        assert "result" not in stands


@ERAS
async def test_bad_parameters_are_an_error_a_model_can_act_on(
    how: str, address: str, stores: Settings, text: str
) -> None:
    async with client_of(how, address, stores) as client:
        for name, arguments, said in (
            ("echo", {}, "text: Field required"),
            ("echo", {"text": text, "times": 99}, "times:"),
            ("echo", {"text": text, "wait": "long"}, "wait:"),
            ("echo", {"text": text, "wait": -1}, "wait:"),
            ("echo", {"text": text, "wait": True}, "wait:"),
            ("echo", {"text": text, "other": 1}, "other:"),
            ("job_status", {}, "job_id: Field required"),
        ):
            refused = await client.call_tool(name, arguments)
            assert refused.is_error
            error = answer_of(refused)["error"]
            assert error["code"] == "invalid_request"
            assert said in error["message"]
            assert error["hint"]
        unknown = await client.call_tool("job_result", {"job_id": "0123456789ab"})
        assert unknown.is_error
        assert answer_of(unknown)["error"]["code"] == "unknown_job"
        with pytest.raises(MCPError, match="Unknown tool"):
            await client.call_tool("ecko", {})


@pytest.mark.parametrize("text_and_more", [b'"\\ud800"', b"NaN", b'"a", "times": 1e999', b'"a", "wait": NaN'])
async def test_what_json_does_not_have_is_refused(http: httpx2.AsyncClient, text_and_more: bytes) -> None:
    """By the SDK, or where the SDK reads NaN and numbers out of range, by us."""
    arguments = b'{"name": "echo", "arguments": {"text": %s}}' % text_and_more
    call = b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": %s}' % arguments
    headers = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    answered = await http.post("/mcp", content=call, headers=headers)
    if answered.status_code == 400:
        assert answered.json()["error"]["code"] == PARSE_ERROR
    else:
        answer = orjson.loads(answered.text.partition("data: ")[2])["result"]
        assert answer["isError"] is True
        assert answer["structuredContent"]["error"]["code"] == "invalid_request"


async def test_a_wait_of_any_size_is_capped(http: httpx2.AsyncClient, address: str, text: str) -> None:
    async with Client(f"{address}/mcp", mode="2026-07-28") as client:
        assert answer_of(await client.call_tool("echo", {"text": text, "wait": 10**400}))["status"] == "done"


@ERAS
async def test_a_failed_job_is_an_error_result(how: str, address: str, stores: Settings) -> None:
    async with client_of(how, address, stores) as client:
        failed = await client.call_tool("failing", {"text": "bad"})
        assert failed.is_error
        answer = answer_of(failed)
        assert (answer["status"], answer["error"]["code"]) == ("failed", "not_enough_data")
        crashed = await client.call_tool("failing", {"text": "crash"})
        assert crashed.is_error
        assert "secret" not in str(crashed.structured_content)


@TRANSPORTS_AND_ERAS
async def test_progress_is_told_while_a_call_waits(how: str, address: str, stores: Settings, text: str) -> None:
    told: list[tuple[float, float | None, str | None]] = []
    begun = asyncio.Event()

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))
        begun.set()

    async with client_of(how, address, stores) as client:
        call = asyncio.create_task(client.call_tool("gated", {"text": text}, progress_callback=listen))
        await begun.wait()
        assert told == [(0.25, 1.0, "before the gate")]
        kinds.gates[text].set()
        assert answer_of(await call)["status"] == "done"
    fractions = [progress for progress, _, _ in told]
    assert fractions == sorted(set(fractions))


@ERAS
async def test_a_job_is_cancelled_by_its_tool(how: str, address: str, stores: Settings, text: str) -> None:
    async with client_of(how, address, stores) as client:
        running = answer_of(await client.call_tool("gated", {"text": text, "wait": 0}))
        answer_of(await client.call_tool("job_cancel", {"job_id": running["job_id"]}))
        ended = await client.call_tool("job_result", {"job_id": running["job_id"]})
        assert ended.is_error
        assert answer_of(ended)["error"]["code"] == "cancelled"


async def test_what_is_in_redis_is_passed_on_as_it_is(address: str, stores: Settings, text: str) -> None:
    async with Redis.from_url(stores.redis.cache_url.get_secret_value()) as redis:
        await redis.set(
            f"echo:{text}:1", b'{"text":"\\u00e4 \\u2028 \xf0\x9f\x98\x80","length":9007199254740993}', ex=60
        )
    async with Client(f"{address}/mcp", mode="2026-07-28") as client:
        answer = answer_of(await client.call_tool("echo", {"text": text}))
    assert answer["result"] == {"text": "ä \u2028 😀", "length": 9007199254740993}


@ERAS
async def test_the_request_id_reaches_the_job(how: str, address: str, http: httpx2.AsyncClient, text: str) -> None:
    async with (
        httpx2.AsyncClient(headers={"X-Request-ID": f"id-{text}"}) as identified,
        Client(streamable_http_client(f"{address}/mcp", http_client=identified), mode=how) as client,
    ):
        answer = answer_of(await client.call_tool("uncached", {"text": text}))
    assert (await http.get(f"/v1/jobs/{answer['job_id']}")).json()["trace"] == f"id-{text}"


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:3000"}, 200),
        ({"host": "evil.example"}, 421),
        ({"origin": "https://evil.example"}, 403),
    ],
)
async def test_another_site_cannot_reach_the_tools_through_a_browser(
    http: httpx2.AsyncClient, path: str, headers: dict[str, str], status: int
) -> None:
    accept = {"accept": "application/json, text/event-stream"}
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    answered = await http.post(path, json=listing, headers=accept | headers)
    assert answered.status_code == status


def test_the_tool_list_is_small() -> None:
    """Clients put it before every conversation: a token is about four characters, and all must fit 4,000."""
    tools = Tools(REAL_CATALOGUE, ServerSettings()).by_name
    tokens = {name: len(tool.model_dump_json(by_alias=True, exclude_none=True)) / 4 for name, tool in tools.items()}
    assert sum(tokens.values()) <= 4000, tokens
    assert max(tokens.values()) <= 800, tokens
