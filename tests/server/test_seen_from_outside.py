"""What operators and Prometheus see of a front end."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.servers import free_port

if TYPE_CHECKING:
    from crypto_mcp.settings import Settings


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample by its name and the values of its labels, in the order of their names."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_requests_calls_and_errors_are_counted(http: httpx2.AsyncClient, text: str) -> None:
    """By route template, kind and code: what a caller invents makes no label."""
    before = samples((await http.get("/metrics")).text)
    for _ in range(2):
        await http.post("/v1/jobs/echo?wait=10", json={"text": text})
    await http.post("/v1/jobs/failing?wait=10", json={"text": "bad"})
    await http.post("/v1/jobs/echo", json={})
    strange = secrets.token_hex(4)
    for path in (f"/v1/jobs/{strange}", f"/{strange}", f"/v1/jobs/echo/{strange}"):
        await http.get(path)
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    after = samples(answer.text)

    def grown(name: str, *labels: str) -> float:
        return after.get((name, labels), 0.0) - before.get((name, labels), 0.0)

    assert grown("crypto_mcp_requests_total", "/v1/jobs/echo", "200") == 2
    assert grown("crypto_mcp_requests_total", "/v1/jobs/echo", "422") == 1
    assert grown("crypto_mcp_requests_total", "/v1/jobs/{job_id}", "404") == 1
    assert grown("crypto_mcp_calls_total", "no", "echo", "done") == 1
    assert sum(grown("crypto_mcp_calls_total", level, "echo", "done") for level in ("memory", "redis")) == 1
    assert grown("crypto_mcp_errors_total", "not_enough_data", "failing") == 1
    assert grown("crypto_mcp_errors_total", "invalid_request", "echo") == 1
    assert grown("crypto_mcp_call_seconds_count", "echo") == 3
    assert after["crypto_mcp_queue_depth", ("analysis:queue",)] == 0
    assert after["crypto_mcp_workers", ("alive",)] == 1
    assert after["crypto_mcp_queue_up", ()] == 1
    assert strange not in answer.text


async def test_the_infrastructure_is_told_in_detail(http: httpx2.AsyncClient, text: str) -> None:
    await http.post("/v1/jobs/echo?wait=10", json={"text": text})
    report = (await http.get("/health/infrastructure")).json()
    assert report["settings"]["request_timeout"] == 30
    assert report["settings"]["port"] == 8080
    assert report["cache"]["memory"] + report["cache"]["redis"] + report["cache"]["none"] >= 1
    assert 0 <= report["cache"]["hit_rate"] <= 1
    assert set(report["pools"]) == {"queue", "cache", "sessions"}
    assert report["pools"]["queue"]["open"] >= 1
    assert report["performance"]["requests"] >= 1
    assert report["performance"]["p95_ms"] > 0
    assert report["queues"]["analysis:queue"] == {
        "depth": 0, "held_back": 0, "oldest_seconds": None, "dead": 0,
    }  # fmt: skip
    assert len(report["workers"]) >= 1
    assert report["health"]["checks"]["queue"]["status"] == "ok"


async def test_the_processes_of_one_front_end_count_together(stores: Settings) -> None:
    """Whichever of them answers, the scrape has the requests of all."""
    port = free_port()
    urls = {f"CRYPTO_MCP_REDIS__{use}_URL": getattr(stores.redis, f"{use.lower()}_url").get_secret_value()
            for use in ("CACHE", "SESSION", "QUEUE")}  # fmt: skip
    env = os.environ | urls | {
        "CRYPTO_MCP_MONGO__URL": stores.mongo.url.get_secret_value(),
        "CRYPTO_MCP_SERVER__PORT": str(port),
        "CRYPTO_MCP_SERVER__WORKERS": "2",
    }  # fmt: skip
    command = [sys.executable, "-m", "crypto_mcp.cli", "serve"]
    with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as process:
        try:
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=5) as http:
                async with asyncio.timeout(60):
                    while not await _answers(http):
                        await asyncio.sleep(0.05)
                for _ in range(20):  # each on a connection of its own, so that both processes get some
                    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as another:
                        await another.get("/v1/kinds")
                for _ in range(4):
                    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as another:
                        counted = samples((await another.get("/metrics")).text)
                    assert counted["crypto_mcp_requests_total", ("/v1/kinds", "200")] == 20
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(15)


async def _answers(http: httpx2.AsyncClient) -> bool:
    try:
        return (await http.get("/health")).status_code == 200
    except httpx2.TransportError:
        return False
