"""The front end with everything behind it: cached and uncached answers over REST and MCP, its start and its size."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import psutil
from mcp.client import Client

from tests.bench.figures import Figures, percentile
from tests.servers import Servers, free_ports

_CACHED_CALLS, _UNCACHED_CALLS, _CALLS_BEFORE_WEIGHING = 400, 150, 1000
_REQUEST = {"symbol": "BTCUSDT", "timeframe": "1h"}


class System:
    """The product's processes, as an operator would start them."""

    def __init__(self, folder: Path) -> None:
        self.servers = Servers.under(folder)
        self.port, self.sandbox_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = (folder / "log").open("ab")
        self._processes: list[subprocess.Popen[bytes]] = []

    async def start(self) -> None:
        """Everything but the front end."""
        for server in (self.servers.redis, self.servers.mongo, self.servers.postgres):
            await server.start()
        self.launch("sandbox")
        self.launch("worker", "analysis:queue")
        await _until(lambda: self._answers(f"http://127.0.0.1:{self.sandbox_port}/api/v3/ping"))

    async def start_front(self) -> tuple[subprocess.Popen[bytes], float]:
        """The front end, and the seconds from its start to its first answer."""
        began = time.perf_counter()
        process = self.launch("serve")
        await _until(lambda: self._answers(f"{self.url}/health"), pause=0.005)
        return process, time.perf_counter() - began

    def launch(self, *command: str) -> subprocess.Popen[bytes]:
        redis = self.servers.redis
        environment = {
            **os.environ,
            **{f"CRYPTO_MCP_REDIS__{use}_URL": redis.url(db) for db, use in enumerate(("CACHE", "SESSION", "QUEUE"))},
            "CRYPTO_MCP_MONGO__URL": self.servers.mongo.admin_url,
            "CRYPTO_MCP_POSTGRES__URL": self.servers.postgres.url,
            "CRYPTO_MCP_MARKET__BINANCE_URL": f"http://127.0.0.1:{self.sandbox_port}",
            "CRYPTO_MCP_SANDBOX__PORT": str(self.sandbox_port),
            "CRYPTO_MCP_SERVER__PORT": str(self.port),
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
            await asyncio.to_thread(process.wait, 30)
        for server in (self.servers.redis, self.servers.mongo, self.servers.postgres):
            await server.stop()

    @staticmethod
    async def _answers(url: str) -> bool:
        async with httpx2.AsyncClient(timeout=2) as client:
            return (await client.get(url)).status_code == 200


@asynccontextmanager
async def _system() -> AsyncIterator[System]:
    with TemporaryDirectory(prefix="bench-") as folder:
        system = System(Path(folder))
        try:
            await system.start()
            yield system
        finally:
            await system.stop()


async def run(figures: Figures) -> None:
    """All figures of the section."""
    async with _system() as system:
        starts = []
        for _ in range(3):
            front, seconds = await system.start_front()
            starts.append(seconds)
            front.terminate()
            await asyncio.to_thread(front.wait, 30)
        front, seconds = await system.start_front()
        rows: dict[str, tuple[float, float]] = {}
        async with httpx2.AsyncClient(base_url=system.url, timeout=60) as http:
            post = lambda body: http.post("/v1/jobs/analyze_crypto?wait=20", json=body)  # noqa: E731
            rows |= await _cached_and_uncached("rest", lambda body: _ok(post(body)), start=100)
            for _ in range(_CALLS_BEFORE_WEIGHING):
                await _ok(post(_REQUEST))
        for name, mode, start in (("mcp", "auto", 400), ("mcp, older protocol", "legacy", 700)):
            async with Client(f"{system.url}/mcp", mode=mode) as client:
                call = lambda body, c=client: _tool(c, body)  # noqa: E731
                rows |= await _cached_and_uncached(name, call, start=start)
        figures.table("analyze_crypto over the front end, ms", rows, ("p50", "p95"))
        for way in ("rest", "mcp"):
            figures.add(f"{way}_cached_p95_ms", rows[f"{way} cached"][1])
            figures.add(f"{way}_uncached_p95_ms", rows[f"{way} uncached"][1])
        figures.add("frontend_start_s", sorted(starts)[1])
        family = [psutil.Process(front.pid), *psutil.Process(front.pid).children(recursive=True)]
        figures.add("frontend_rss_mb", max(process.memory_info().rss for process in family) / 1e6)


async def _cached_and_uncached(
    name: str, call: Callable[[dict[str, Any]], Awaitable[None]], *, start: int
) -> dict[str, tuple[float, float]]:
    """One call at a time: the same request again and again, then requests that were never made before."""
    numbers = count(start)
    for _ in range(20):
        await call(_REQUEST)
    for _ in range(10):
        await call({**_REQUEST, "bars": next(numbers)})
    return {
        f"{name} cached": await _timed(call, lambda: _REQUEST, _CACHED_CALLS),
        f"{name} uncached": await _timed(call, lambda: {**_REQUEST, "bars": next(numbers)}, _UNCACHED_CALLS),
    }


async def _timed(
    call: Callable[[dict[str, Any]], Awaitable[None]], body: Callable[[], dict[str, Any]], calls: int
) -> tuple[float, float]:
    seconds = []
    for _ in range(calls):
        request = body()
        began = time.perf_counter()
        await call(request)
        seconds.append(time.perf_counter() - began)
    return 1000 * percentile(seconds, 50), 1000 * percentile(seconds, 95)


async def _ok(answer: Awaitable[httpx2.Response]) -> None:
    response = await answer
    if response.status_code != 200:
        raise RuntimeError(response.text)


async def _tool(client: Client, body: dict[str, Any]) -> None:
    result = await client.call_tool("analyze_crypto", body)
    if result.is_error or (result.structured_content or {}).get("status") != "done":
        raise RuntimeError(str(result)[:500])


async def _until(condition: Callable[[], Awaitable[bool]], pause: float = 0.05, seconds: float = 60.0) -> None:
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
