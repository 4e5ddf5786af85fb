"""The front end with everything behind it: cached and uncached answers over REST and MCP, its start and its size."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import psutil
from mcp.client import Client
from redis.asyncio import Redis

from crypto_mcp.access.directory import Directory
from crypto_mcp.access.roles import Role
from crypto_mcp.jobs.leases import known_workers
from crypto_mcp.settings import PostgresSettings
from crypto_mcp.stores.postgres import PostgresStore
from tests.bench.figures import Figures, percentile
from tests.servers import Servers, free_ports

_REQUEST = {"symbol": "BTCUSDT", "timeframe": "1h"}
_FIRST_BARS = 100
_PEPPER = "pepper of the bench"
_NEVER_REACHED = str(10**9)

Call = Callable[[dict[str, Any]], Awaitable[bool]]
"""Makes a request, which must succeed; whether the answer says that it was cached."""


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    starts: int
    rounds: int
    cached_calls: int
    uncached_calls: int
    calls_before_weighing: int


_FULL = Effort(starts=5, rounds=3, cached_calls=200, uncached_calls=60, calls_before_weighing=1000)
_QUICK = Effort(starts=1, rounds=1, cached_calls=40, uncached_calls=20, calls_before_weighing=100)


class System:
    """The product's processes, as an operator would start them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers = Servers.under(folder)
        self.port, self.sandbox_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = ""
        self._log = (folder / "log").open("ab")
        self._processes: list[subprocess.Popen[bytes]] = []

    async def start(self) -> None:
        """Everything but the front end."""
        for server in (self.servers.redis, self.servers.mongo, self.servers.postgres):
            await server.start()
        store = PostgresStore(PostgresSettings.model_validate({"url": self.servers.postgres.url}))
        await store.migrate()
        self.key = (await Directory(store, _PEPPER).create("bench", Role.READER, actor="bench")).text
        await store.close()
        self.launch("sandbox")
        self.launch("worker", "analysis:queue")
        async with httpx2.AsyncClient(timeout=2) as client:
            await _until(lambda: _answers(client, f"http://127.0.0.1:{self.sandbox_port}/api/v3/ping"))
        async with Redis.from_url(self.servers.redis.url(2)) as queue:
            await _until(lambda: _warm(queue))

    async def start_front(self) -> tuple[subprocess.Popen[bytes], float]:
        """The front end, and the seconds from its start to its first answer."""
        async with httpx2.AsyncClient(timeout=2) as client:
            began = time.perf_counter()
            process = self.launch("serve")
            await _until(lambda: _answers(client, f"{self.url}/health"), pause=0.005)
            return process, time.perf_counter() - began

    def launch(self, *command: str) -> subprocess.Popen[bytes]:
        redis = self.servers.redis
        environment = {
            **os.environ,
            **{f"CRYPTO_MCP_REDIS__{use}_URL": redis.url(db) for db, use in enumerate(("CACHE", "SESSION", "QUEUE"))},
            "CRYPTO_MCP_MONGO__URL": self.servers.mongo.admin_url,
            "CRYPTO_MCP_POSTGRES__URL": self.servers.postgres.url,
            "CRYPTO_MCP_MARKET__BINANCE_URL": f"http://127.0.0.1:{self.sandbox_port}",
            "CRYPTO_MCP_MARKET__BINANCE_STREAM_URL": f"ws://127.0.0.1:{self.sandbox_port}",
            "CRYPTO_MCP_SANDBOX__PORT": str(self.sandbox_port),
            "CRYPTO_MCP_SERVER__PORT": str(self.port),
            "CRYPTO_MCP_SERVER__SPOOL": str(self.folder / "spool"),
            "CRYPTO_MCP_ACCESS__PEPPER": _PEPPER,
            "CRYPTO_MCP_ACCESS__CLIENT_LIMIT": _NEVER_REACHED,  # and yet counted
            "CRYPTO_MCP_ACCESS__ADDRESS_LIMIT": _NEVER_REACHED,
            "CRYPTO_MCP_LOG__LEVEL": "WARNING",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "crypto_mcp.cli", *command], env=environment, stdout=self._log, stderr=self._log
        )
        self._processes.append(process)
        return process

    async def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                await asyncio.to_thread(process.wait, 30)
            except subprocess.TimeoutExpired:  # such as a worker that compiles
                process.kill()
                await asyncio.to_thread(process.wait)
        for server in (self.servers.redis, self.servers.mongo, self.servers.postgres):
            await server.stop()


@asynccontextmanager
async def _system() -> AsyncIterator[System]:
    with TemporaryDirectory(prefix="bench-") as folder:
        system = System(Path(folder))
        try:
            await system.start()
            yield system
        finally:
            await system.stop()


async def run(figures: Figures, *, quick: bool) -> None:
    """All figures of the section."""
    effort = _QUICK if quick else _FULL
    async with _system() as system:
        starts = []
        for _ in range(effort.starts):
            front, seconds = await system.start_front()
            starts.append(seconds)
            front.terminate()
            await asyncio.to_thread(front.wait, 30)
        front, _ = await system.start_front()
        async with AsyncExitStack() as stack:
            ways = await _ways(system.url, stack)
            await _answering(figures, effort, ways)
            await _guarded(figures, effort, system)
            for _ in range(effort.calls_before_weighing):
                await ways["rest"](_REQUEST)
            family = [psutil.Process(front.pid), *psutil.Process(front.pid).children(recursive=True)]
            figures.add("frontend_rss_mb", max(process.memory_info().rss for process in family) / 1e6)
        figures.add("frontend_start_s", median(starts))
        rows = {f"first 200 of {len(starts)} starts": (median(starts), max(starts))}
        figures.table("front end, s", rows, ("median", "worst"))


async def _ways(url: str, stack: AsyncExitStack) -> dict[str, Call]:
    """The ways in, each on connections that stay open."""
    http = await stack.enter_async_context(httpx2.AsyncClient(base_url=url, timeout=60))
    modern = await stack.enter_async_context(Client(f"{url}/mcp", mode="auto"))
    older = await stack.enter_async_context(Client(f"{url}/mcp", mode="legacy"))
    return {
        "rest": lambda body: _post(http, body),
        "mcp": lambda body: _tool(modern, body),
        "mcp, older protocol": lambda body: _tool(older, body),
    }


async def _answering(figures: Figures, effort: Effort, ways: dict[str, Call]) -> None:
    """One call at a time: the same request again and again, then requests that were never made before."""
    numbers = count(_FIRST_BARS)
    p50: dict[str, list[float]] = defaultdict(list)
    p95: dict[str, list[float]] = defaultdict(list)
    for _ in range(effort.rounds):
        for name, call in ways.items():
            for cached, calls in ((True, effort.cached_calls), (False, effort.uncached_calls)):
                seconds = await _timed(call, numbers, calls, cached=cached)
                row = f"{name} {'cached' if cached else 'uncached'}"
                p50[row].append(1000 * percentile(seconds, 50))
                p95[row].append(1000 * percentile(seconds, 95))
    figures.table(
        f"analyze_crypto over the front end, ms, medians of {effort.rounds} rounds",
        {row: (median(p50[row]), median(p95[row]), max(p95[row])) for row in p50},
        ("p50", "p95", "worst p95"),
    )
    for name in ("rest", "mcp"):
        for row in ("cached", "uncached"):
            figures.add(f"{name}_{row}_p95_ms", median(p95[f"{name} {row}"]))


async def _guarded(figures: Figures, effort: Effort, system: System) -> None:
    """The same cached call with a key and without one, in turns on one connection: what check and limit cost."""
    seconds: dict[str, list[float]] = {"without a key": [], "with a key": []}
    headers = {"without a key": {}, "with a key": {"X-API-Key": system.key}}
    async with httpx2.AsyncClient(base_url=system.url, timeout=60) as http:
        for turn in range(effort.rounds * effort.cached_calls + 10):
            for name, measured in seconds.items():
                began = time.perf_counter()
                cached = await _post(http, _REQUEST, headers[name])
                if turn >= 10 and cached:
                    measured.append(time.perf_counter() - began)
    rows = {name: (1000 * percentile(each, 50), 1000 * percentile(each, 95)) for name, each in seconds.items()}
    open_, guarded = rows["without a key"], rows["with a key"]
    rows["more"] = (guarded[0] - open_[0], guarded[1] - open_[1])
    figures.table("a cached call over REST, ms", rows, ("p50", "p95"))
    figures.add("auth_cached_p95_ms", guarded[1])


async def _timed(call: Call, numbers: count[int], calls: int, *, cached: bool) -> list[float]:
    """Seconds of each call that was answered from where it should; a cached answer may expire once in between."""
    for _ in range(10):
        await call(_REQUEST if cached else {**_REQUEST, "bars": next(numbers)})
    seconds = []
    for _ in range(calls):
        body = _REQUEST if cached else {**_REQUEST, "bars": next(numbers)}
        began = time.perf_counter()
        if await call(body) is cached:
            seconds.append(time.perf_counter() - began)
    if len(seconds) < calls - 1:
        raise RuntimeError(f"{calls - len(seconds)} of {calls} calls were {'not ' if cached else ''}cached")
    return seconds


async def _post(http: httpx2.AsyncClient, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> bool:
    response = await http.post("/v1/jobs/analyze_crypto?wait=20", json=body, headers=headers or {})
    answer = response.json()
    if response.status_code != 200 or answer["status"] != "done":
        raise RuntimeError(response.text[:500])
    return bool(answer["cached"])


async def _tool(client: Client, body: dict[str, Any]) -> bool:
    result = await client.call_tool("analyze_crypto", body)
    answer = result.structured_content or {}
    if result.is_error or answer.get("status") != "done":
        raise RuntimeError(str(result)[:500])
    return bool(answer["cached"])


async def _answers(client: httpx2.AsyncClient, url: str) -> bool:
    return (await client.get(url)).status_code == 200


async def _warm(queue: Redis) -> bool:
    """What a cold worker answers meanwhile is not what it is measured by."""
    return any(info is not None and info["warm"] for info in (await known_workers(queue)).values())


async def _until(condition: Callable[[], Awaitable[bool]], pause: float = 0.05, seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if await condition():
                return
        except httpx2.TransportError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError
        await asyncio.sleep(pause)
