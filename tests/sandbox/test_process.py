"""The sandbox as a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import psutil

WITHIN = 30


@contextmanager
def process(**settings: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx2.Client]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {f"CRYPTO_MCP_SANDBOX__{name}": value for name, value in (settings | {"PORT": str(port)}).items()}
    child = subprocess.Popen([sys.executable, "-m", "crypto_mcp.sandbox"], env=os.environ | env)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=WITHIN) as http:
            until_it_answers(child, http)
            yield child, http
    finally:
        child.terminate()
        assert child.wait(WITHIN) in (0, -15)


def until_it_answers(child: subprocess.Popen[bytes], http: httpx2.Client) -> None:
    deadline = time.monotonic() + WITHIN
    while True:
        try:
            http.get("/api/v3/ping")
        except httpx2.TransportError:
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


def test_a_restart_changes_no_bar_and_memory_stays_small() -> None:
    """With the same opening; also of the recorded symbols, whose place in time the opening decides."""
    opened = "2026-11-01T09:30:00Z"
    histories = []
    for run in range(2):
        with process(OPENED=opened) as (child, http):
            end = int(http.get("/api/v3/time").json()["serverTime"]) // 86_400_000 * 86_400_000 - 1
            assert http.get("/sandbox/state").json()["opened"] == "2026-11-01T09:00:00+00:00"
            histories.append(
                [
                    http.get("/api/v3/klines", params={"symbol": name, "interval": interval, "endTime": end}).json()
                    for name in ("BTCUSDT", "SOLUSDT", "SBX011USDT")
                    for interval in ("1m", "1h", "1d")
                ]
            )
            if run:
                continue
            assert len(http.get("/api/v3/ticker/24hr").json()) == 403
            assert psutil.Process(child.pid).memory_info().rss < 150_000_000
    assert histories[0] == histories[1]
