"""The front end's processes: light, on one port, replaced when they die, ended in order."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import orjson
import psutil
from mcp import Client

from crypto_mcp.server.serve import GRACE
from tests.servers import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.settings import Settings

ROOT = Path(__file__).parents[2]

_SERVE = (
    "from crypto_mcp import logs; from crypto_mcp.server.serve import run; from crypto_mcp.settings import Settings; "
    "from tests.server.kinds import CATALOGUE; s = Settings(_env_file=None); logs.configure(s.log); run(s, CATALOGUE)"
)
_LIST_MODULES = (
    "import sys; from crypto_mcp.settings import Settings; import crypto_mcp.cli, crypto_mcp.cli.processes, "
    "crypto_mcp.server.serve, crypto_mcp.server.stdio, crypto_mcp.server.uvicorn_server; "
    "from crypto_mcp.server.app import build_app; build_app(Settings(_env_file=None)); print(*sys.modules)"
)
_HEAVY = {"numpy", "polars", "pandas", "numba", "talib", "matplotlib", "arq", "workers", "scheduler"} | {
    f"crypto_mcp.{room}" for room in ("analysis", "conditions", "backtest", "risk", "charts", "market", "local")
}
_NOT_YET = {"typer", "asyncpg", "phonenumbers", "crypto_mcp.access.tokens", "crypto_mcp.userdata"}
"""What a front end needs only with some settings, or when somebody asks for it."""


def environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | more


@asynccontextmanager
async def serving(stores: Settings, processes: int) -> AsyncIterator[tuple[psutil.Popen, httpx2.AsyncClient]]:
    """The front end as an operator starts it, once it answers."""
    (port,) = free_ports(1)
    settings = environment(
        CRYPTO_MCP_SERVER__PORT=str(port),
        CRYPTO_MCP_SERVER__WORKERS=str(processes),
        CRYPTO_MCP_REDIS__QUEUE_URL=stores.redis.queue_url.get_secret_value(),
        CRYPTO_MCP_REDIS__CACHE_URL=stores.redis.cache_url.get_secret_value(),
        CRYPTO_MCP_MONGO__URL=stores.mongo.url.get_secret_value(),
    )
    parent = psutil.Popen([sys.executable, "-c", _SERVE], env=settings, cwd=ROOT, stderr=subprocess.PIPE)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            await until_answered(http, parent)
            yield parent, http
    finally:
        for process in [*parent.children(), parent] if parent.is_running() else []:
            process.kill()
        parent.communicate()


async def until_answered(http: httpx2.AsyncClient, parent: psutil.Popen) -> None:
    while parent.poll() is None:
        try:
            await http.get("/")
        except httpx2.TransportError:
            await asyncio.sleep(0.01)
        else:
            return
    raise AssertionError(parent.stderr.read().decode())


async def test_processes_are_small_replaced_when_they_die_and_end_in_order(stores: Settings, text: str) -> None:
    """A call that waits for its job when SIGTERM comes is answered at once by how the job stands."""
    async with serving(stores, 2) as (parent, http):
        before = {child.pid for child in parent.children()}
        assert len(before) == 2
        assert all(process.memory_info().rss < 120_000_000 for process in [parent, *parent.children()])
        os.kill(min(before), signal.SIGKILL)
        while len(now := {child.pid for child in parent.children()} - {min(before)}) < 2:
            await asyncio.sleep(0.01)
        await until_answered(http, parent)
        waiting = asyncio.create_task(http.post("/v1/jobs/gated", json={"text": text}, params={"wait": 20}))
        while not (await http.get("/v1/jobs", params={"kind": "gated"})).json()["jobs"]:
            pass
        parent.terminate()
        assert (await waiting).json()["status"] == "queued"
        assert await asyncio.to_thread(parent.wait, 20) == 0
        assert not any(psutil.pid_exists(pid) for pid in now)


async def test_who_watches_a_resource_does_not_hold_up_the_end(stores: Settings) -> None:
    async with (
        serving(stores, 1) as (parent, http),
        Client(str(http.base_url.join("/mcp")), mode="2026-07-28") as client,
        client.listen(resource_subscriptions=["crypto://jobs/0123456789ab"]) as changes,
    ):
        parent.terminate()
        assert [change async for change in changes] == []
        assert await asyncio.to_thread(parent.wait, GRACE / 2) == 0


def test_a_taken_port_is_named_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "-c", _SERVE],
            env=environment(CRYPTO_MCP_SERVER__PORT=str(port)),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode != 0
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "CannotListen" in ended.stderr


def test_the_front_end_imports_no_engine_no_numeric_library_and_nothing_that_can_wait() -> None:
    listed = subprocess.run(
        [sys.executable, "-c", _LIST_MODULES], env=environment(), cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules = set(listed.stdout.split())
    assert "crypto_mcp.server.app" in modules
    assert not modules & _HEAVY
    assert not modules & _NOT_YET


def test_contracts_are_built_when_they_are_needed() -> None:
    """The front end passes results on as workers wrote them: it needs to check hardly any."""
    counted = (
        "from crypto_mcp.models.answers import Contract; from crypto_mcp.models.rest import Analysis; "
        "print(Analysis.__pydantic_complete__)"
    )
    code = _LIST_MODULES.replace("print(*sys.modules)", counted)
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment(), cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "False"


def test_standard_output_of_stdio_carries_nothing_but_the_protocol(stores: Settings) -> None:
    """Logs go to standard error; end of input ends the process."""
    code = _SERVE.replace("server.serve", "server.stdio")
    initialize = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment(CRYPTO_MCP_LOG__LEVEL="DEBUG"), cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(orjson.dumps(initialize) + b"\n")
        child.stdin.flush()
        first = orjson.loads(child.stdout.readline())
        child.stdin.close()
        rest = child.stdout.read()
        assert child.wait(20) == 0
    assert first["result"]["serverInfo"]["name"] == "crypto-mcp"
    assert rest == b""
