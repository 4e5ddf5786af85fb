"""The queue: a no-op's way from call to answer, and how many a worker gets through."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from importlib import import_module
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from crypto_mcp.local.redis_server import RedisServer
from tests.bench.figures import Figures, percentile
from tests.servers import free_ports

SYSTEMS = ("ours", "arq", "saq", "taskiq", "dramatiq")
_LATENCY_CALLS = {"ours": 200, "arq": 4, "saq": 3, "taskiq": 200, "dramatiq": 100}
"""Few of those that take a second or half of one: saq's caller waits for its own refresh, arq's worker for its poll."""
_LATENCY_ROUNDS, _THROUGHPUT_ROUNDS = 3, 3
_BATCH = 5000
_SCALING_JOBS = 3000


def _module(system: str) -> str:
    return f"tests.bench.peers.{system if system == 'ours' else system + '_peer'}"


class WorkerProcess:
    """One worker of a system, up and ready."""

    def __init__(self, system: str, batch: int = 0) -> None:
        environment = {**os.environ, "BENCH_BATCH": str(batch)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", _module(system)], env=environment, stdout=subprocess.PIPE, text=True
        )
        self._line("ready")

    def _line(self, word: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(word):
                return line
        raise RuntimeError(f"the worker ended before it said {word!r}")

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def batch_seconds(self) -> float:
        """Waits until the batch has run; seconds from its first to its last job."""
        return float(self._line("batch").split()[1])

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


async def run(figures: Figures) -> None:
    """All figures of the section."""
    with TemporaryDirectory(prefix="bench-") as folder:
        redis = RedisServer(Path(folder), free_ports(1)[0], "bench")
        await redis.start()
        os.environ["BENCH_REDIS"] = redis.url(0).rsplit("/", 1)[0]
        try:
            await _latency(figures)
            await _throughput(figures)
            await _scaling(figures)
        finally:
            await redis.kill()


async def _latency(figures: Figures) -> None:
    """One call at a time, the systems in turn."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(_LATENCY_ROUNDS):
        for system in SYSTEMS:
            worker = WorkerProcess(system)
            client: Any = import_module(_module(system)).Client()
            await client.start()
            for n in range(3):
                await client.call(n)
            for n in range(_LATENCY_CALLS[system]):
                began = time.perf_counter()
                await client.call(n)
                seconds[system].append(time.perf_counter() - began)
            await client.stop()
            worker.end()
    p50 = {system: 1000 * median(values) for system, values in seconds.items()}
    figures.table(
        "no-op call to answer, ms", {s: (p50[s], 1000 * percentile(seconds[s], 99)) for s in SYSTEMS}, ("p50", "p99")
    )
    figures.add("queue_p50_ms", p50["ours"])
    figures.add("queue_p99_ms", 1000 * percentile(seconds["ours"], 99))
    for peer in ("arq", "taskiq"):
        figures.add(f"queue_latency_ratio_{peer}", p50[peer] / p50["ours"])


async def _throughput(figures: Figures) -> None:
    """A queued batch, one worker process, the systems in turn."""
    rates: dict[str, list[float]] = defaultdict(list)
    for _ in range(_THROUGHPUT_ROUNDS):
        for system in SYSTEMS:
            worker = WorkerProcess(system, batch=_BATCH)
            await asyncio.sleep(0.5)  # let it settle into waiting before it is stopped
            worker.pause()
            client: Any = import_module(_module(system)).Client()
            await client.start()
            for first in range(0, _BATCH, 100):
                await asyncio.gather(*(client.enqueue(n) for n in range(first, first + 100)))
            await client.stop()
            worker.go_on()
            rates[system].append((_BATCH - 1) / await asyncio.to_thread(worker.batch_seconds))
            worker.end()
    rate = {system: median(values) for system, values in rates.items()}
    figures.table(f"{_BATCH} queued no-ops, one worker process, jobs/s", {s: (rate[s],) for s in SYSTEMS}, ("jobs/s",))
    for peer in ("arq", "saq", "dramatiq"):
        figures.add(f"queue_throughput_ratio_{peer}", rate["ours"] / rate[peer])


async def _scaling(figures: Figures) -> None:
    """Jobs of four milliseconds, one worker process against four."""
    rates: dict[int, list[float]] = defaultdict(list)
    for _ in range(2):
        for count in (1, 4):
            workers = [WorkerProcess("ours") for _ in range(count)]
            await asyncio.sleep(1.0)
            for worker in workers:
                worker.pause()
            client: Any = import_module(_module("ours")).Client()
            await client.start()
            for first in range(0, _SCALING_JOBS, 500):
                await asyncio.gather(*(client.enqueue_work(n) for n in range(first, first + 500)))
            began = time.perf_counter()
            for worker in workers:
                worker.go_on()
            while await client.waiting():
                await asyncio.sleep(0.1)
            rates[count].append(_SCALING_JOBS / (time.perf_counter() - began))
            await client.stop()
            for worker in workers:
                worker.end()
    rate = {count: median(values) for count, values in rates.items()}
    figures.table(
        f"{_SCALING_JOBS} jobs of 4 ms, jobs/s", {f"{count} workers": (rate[count],) for count in rate}, ("jobs/s",)
    )
    figures.add("queue_scaling_4w", rate[4] / rate[1])
