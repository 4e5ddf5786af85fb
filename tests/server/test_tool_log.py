"""Every call is written down, without what is private, and without making anybody wait."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Annotated, Any

import asyncpg
import httpx2
import orjson
import pytest
from pydantic import Field

from crypto_mcp.models.answers import Contract
from crypto_mcp.models.privacy import HIDDEN, PRIVATE, redacted
from crypto_mcp.server.requests import EXECUTION_HEADER
from crypto_mcp.settings import PostgresSettings, ServerSettings
from crypto_mcp.stores.postgres import PostgresStore
from tests.server.running import front_end, worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from crypto_mcp.local.postgres_server import PostgresServer
    from crypto_mcp.settings import Settings


class Position(Contract):
    symbol: str
    size: Annotated[str, PRIVATE]
    note: Annotated[str | None, PRIVATE] = None


class Book(Contract):
    positions: list[Position]
    best: dict[str, Position]
    phone: Annotated[str, Field(max_length=20), PRIVATE]
    empty: Position | None = None


def test_marked_fields_are_hidden_wherever_they_are() -> None:
    """In lists and dictionaries, beside other marks; what has no value is left out."""
    one = Position(symbol="BTCUSDT", size="1.5")
    told = redacted(Book(positions=[one, one], best={"a": one}, phone="+4912345"))
    hidden = {"symbol": "BTCUSDT", "size": HIDDEN}
    assert told == {"positions": [hidden, hidden], "best": {"a": hidden}, "phone": HIDDEN}


@pytest.fixture
async def logging_front(
    stores: Settings, postgres_server: PostgresServer, postgres_database: asyncpg.Connection, tmp_path: Path
) -> AsyncIterator[httpx2.AsyncClient]:
    """A front end that writes its tool log."""
    settings = stores.model_copy(
        update={
            "postgres": PostgresSettings.model_validate({"url": postgres_server.url, "timeout": 1}),
            "server": ServerSettings(workers=1, spool=tmp_path),
        }
    )
    store = PostgresStore(settings.postgres)
    await store.migrate()
    await store.close()
    async with (
        worker(settings),
        front_end(settings) as url,
        httpx2.AsyncClient(base_url=url, timeout=30) as http,
    ):
        yield http


async def rows(connect: Callable[[], Any], enough: Callable[[list[asyncpg.Record]], bool]) -> list[asyncpg.Record]:
    """The rows, once there are enough."""
    connection = await connect()
    try:
        async with asyncio.timeout(20):
            while not enough(found := await connection.fetch("SELECT * FROM mcp_tool_logs ORDER BY created_at")):
                await asyncio.sleep(0.1)
    finally:
        await connection.close()
    return list(found)


async def test_a_call_is_a_row(logging_front: httpx2.AsyncClient, postgres_server: PostgresServer) -> None:
    """Done, cached, failed or refused, with who asked, how long it took and the workflow it belongs to."""
    text, execution = secrets.token_hex(4), f"n8n:{secrets.token_hex(4)}"
    headers = {EXECUTION_HEADER: execution, "X-Request-ID": "request-1"}
    await logging_front.post("/v1/jobs/echo?wait=10", json={"text": text}, headers=headers)
    await logging_front.post("/v1/jobs/echo?wait=10", json={"text": text})
    await logging_front.post("/v1/jobs/failing?wait=10", json={"text": "bad"})
    await logging_front.post("/v1/jobs/echo", json={"text": 5, "secret": "hunter2"})
    done, cached, failed, refused = await rows(
        lambda: asyncpg.connect(postgres_server.url), lambda found: len(found) == 4
    )
    assert (done["tool_name"], done["status"], done["client_id"]) == ("echo", "done", "local")
    assert (done["request_id"], done["execution_id"]) == ("request-1", execution)
    assert orjson.loads(done["arguments"]) == {"text": text, "times": 1}
    assert orjson.loads(done["response"])["result"] == {"text": text, "length": len(text)}
    assert done["job_id"]
    assert done["execution_time_ms"] > 0
    assert orjson.loads(cached["response"])["cached_in"] in ("memory", "redis")
    assert (failed["status"], failed["error_message"]) == ("failed", "not_enough_data: too few bars")
    assert (refused["status"], refused["error_message"]) == ("refused", "invalid_request")
    assert "hunter2" not in str(dict(refused))


async def test_a_text_that_postgresql_cannot_hold_costs_no_row(
    logging_front: httpx2.AsyncClient, postgres_server: PostgresServer
) -> None:
    await logging_front.post("/v1/jobs/echo?wait=10", json={"text": f"{secrets.token_hex(4)}\0"})
    await rows(lambda: asyncpg.connect(postgres_server.url), lambda found: len(found) == 1)


async def test_calls_made_while_postgresql_is_away_are_written_when_it_is_back(
    logging_front: httpx2.AsyncClient, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """They wait in a file for the owner's eyes only, and callers notice nothing."""
    await postgres_server.stop()
    try:
        for _ in range(3):
            answer = await logging_front.post("/v1/jobs/echo?wait=10", json={"text": secrets.token_hex(4)})
            assert answer.status_code == 200
        kept = tmp_path / "tool-log.jsonl"
        async with asyncio.timeout(20):
            while not kept.exists() or kept.read_bytes().count(b"\n") < 3:
                await asyncio.sleep(0.1)
        assert kept.stat().st_mode & 0o077 == 0
    finally:
        await postgres_server.start()
    await rows(lambda: asyncpg.connect(postgres_server.url), lambda found: len(found) == 3)
    async with asyncio.timeout(20):
        while kept.stat().st_size:
            await asyncio.sleep(0.1)


async def test_a_workflow_finds_its_calls(logging_front: httpx2.AsyncClient, postgres_server: PostgresServer) -> None:
    """Started, brought up to date, finished: one execution, whose data add up."""
    execution, path = secrets.token_hex(4), "/v1/workflows/executions"
    begun = {"execution_id": execution, "workflow_id": "morning", "data": {"a": 1, "b": 1}}
    first = await logging_front.post(path, json=begun)
    assert (first.status_code, first.json()["status"]) == (200, "running")
    await logging_front.post("/v1/jobs/echo?wait=10", json={"text": "w"}, headers={EXECUTION_HEADER: execution})
    await rows(lambda: asyncpg.connect(postgres_server.url), lambda found: len(found) == 1)
    await logging_front.post(path, json=begun | {"status": "success", "data": {"b": 2}})
    found = (await logging_front.get(f"{path}/{execution}")).json()
    assert (found["status"], found["data"]) == ("success", {"a": 1, "b": 2})
    assert [call["tool_name"] for call in found["calls"]] == ["echo"]
    assert (await logging_front.get(f"{path}/nobody")).json()["code"] == "unknown_execution"
    assert (await logging_front.post(path, json=begun | {"execution_id": "a b"})).status_code == 422
    endless = await logging_front.post(path, json=begun | {"data": {"wei": 10**20}})
    assert (endless.status_code, endless.json()["code"]) == (422, "invalid_request")
