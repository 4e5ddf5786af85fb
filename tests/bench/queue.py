"""The queue: a no-op's way from call to answer, and how many a worker gets through.

All systems use one Redis, set up as the product sets it up and emptied before each measurement, and uvloop where they
have an event loop. A client that polls for its result does so every millisecond, the shortest pause uvloop has. Rounds
go through the systems in turn; figures are medians over rounds, or over all calls.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from redis.asyncio import Redis

from crypto_mcp.local.redis_server import RedisServer
from tests.bench.figures import Figures, percentile
from tests.bench.peers.ours import Client as OurClient
from tests.bench.systems import ARQ, ARQ_BUSY, DRAMATIQ, OURS, SAQ, TASKIQ, TASKIQ_SPINNING, System
from tests.servers import free_ports

_LATENCY = (OURS, ARQ, ARQ_BUSY, SAQ, TASKIQ, TASKIQ_SPINNING, DRAMATIQ)
"""taskiq's key is that of a client that pauses; one that asks without a pause is quicker and only shown. Calls follow
each other at once, so that each finds stock arq's poll just missed; one at a random time would wait half as long."""

_THROUGHPUT = (OURS, ARQ, ARQ_BUSY, SAQ, TASKIQ, DRAMATIQ)
"""arq's key is that of the short poll: stock arq takes 100 jobs, then waits for half a second, so its rate says nothing
about its work."""

_WARM_UP_CALLS = 3
_AT_ONCE = 100
_UP_WITHIN, _BATCH_WITHIN, _LOOK_EVERY = 30.0, 120.0, 0.02
_JOB_MS = 1
"""Of a job that computes: the shorter it is, the more of the whole is the queue's own work."""


@dataclass(frozen=True)
class Effort:
    """How much is measured; `share` is of each system's calls and batch."""

    rounds: int
    share: float
    latency: tuple[System, ...]
    throughput: tuple[System, ...]
    scaling_rounds: int
    scaling_jobs: int


_FULL = Effort(3, 1.0, _LATENCY, _THROUGHPUT, scaling_rounds=5, scaling_jobs=4000)
_QUICK = Effort(1, 0.02, (OURS, ARQ, TASKIQ), (OURS, ARQ_BUSY, SAQ, DRAMATIQ), scaling_rounds=1, scaling_jobs=100)
"""Only what the keys need."""


async def run(figures: Figures, *, quick: bool) -> None:
    """All figures of the section."""
    effort = _QUICK if quick else _FULL
    with TemporaryDirectory(prefix="bench-") as folder:
        server = RedisServer(Path(folder), free_ports(1)[0], "bench")
        await server.start()
        os.environ["BENCH_REDIS"] = server.url(0).rsplit("/", 1)[0]
        try:
            async with Redis.from_url(server.url(0)) as redis:
                await _introduce(redis)
                await _latency(figures, effort, redis)
                await _throughput(figures, effort, redis)
                await _scaling(figures, effort, redis)
        finally:
            await server.kill()


async def _introduce(redis: Redis) -> None:
    """Prints what is compared, and where."""
    about = await redis.info("server")
    fsync = (await redis.config_get("appendfsync"))["appendfsync"]
    packages = (system.package for system in _LATENCY if system.package)
    print(f"Redis {about['redis_version']}, appending with fsync {fsync}; ", end="")
    print(", ".join(f"{name} {version(name)}" for name in packages), flush=True)


async def _latency(figures: Figures, effort: Effort, redis: Redis) -> None:
    """One call after the other."""
    seconds: dict[System, list[float]] = defaultdict(list)
    for _ in range(effort.rounds):
        for system in effort.latency:
            seconds[system] += await _calls(system, max(2, int(system.calls * effort.share)), redis)
    p50 = {system: 1000 * median(values) for system, values in seconds.items()}
    p99 = {system: 1000 * percentile(values, 99) for system, values in seconds.items()}
    figures.table(
        "no-op call to answer, one after the other, ms",
        {s.name: (p50[s], p99[s], len(seconds[s])) for s in effort.latency},
        ("p50", "p99", "calls"),
    )
    figures.add("queue_p50_ms", p50[OURS])
    figures.add("queue_p99_ms", p99[OURS])
    figures.add("queue_latency_ratio_arq", p50[ARQ] / p50[OURS])
    figures.add("queue_latency_ratio_taskiq", p50[TASKIQ] / p50[OURS])


async def _calls(system: System, count: int, redis: Redis) -> list[float]:
    """Seconds of each call."""
    await redis.flushall()
    client = system.client()
    with system.worker():
        await client.start()
        for n in range(_WARM_UP_CALLS):
            await client.call(n)
        seconds = []
        for n in range(count):
            began = time.perf_counter()
            await client.call(n)
            seconds.append(time.perf_counter() - began)
        await client.stop()
    return seconds


async def _throughput(figures: Figures, effort: Effort, redis: Redis) -> None:
    """A queue that is full before its one worker starts."""
    rates: dict[System, list[float]] = defaultdict(list)
    for _ in range(effort.rounds):
        for system in effort.throughput:
            rates[system].append(await _batch(system, int(system.batch * effort.share), redis))
    rate = {system: median(values) for system, values in rates.items()}
    figures.table(
        "queued no-ops, one worker process, jobs/s",
        {s.name: (rate[s], min(rates[s]), max(rates[s]), int(s.batch * effort.share)) for s in effort.throughput},
        ("median", "least", "most", "jobs"),
    )
    for name, peer in (("arq", ARQ_BUSY), ("saq", SAQ), ("dramatiq", DRAMATIQ)):
        figures.add(f"queue_throughput_ratio_{name}", rate[OURS] / rate[peer])


async def _batch(system: System, jobs: int, redis: Redis) -> float:
    """Jobs a second, from the first that ran to the last."""
    await redis.flushall()
    client = system.client()
    await client.start()
    for first in range(0, jobs, _AT_ONCE):
        await asyncio.gather(*(client.enqueue(n) for n in range(first, min(jobs, first + _AT_ONCE))))
    await client.stop()
    with system.worker(batch=jobs) as worker:
        async with asyncio.timeout(_BATCH_WITHIN):
            return (jobs - 1) / await asyncio.to_thread(worker.batch_seconds)


async def _scaling(figures: Figures, effort: Effort, redis: Redis) -> None:
    """Our jobs of some processor time, one worker process and then four, compared round by round."""
    rates = [
        [await _work_off(workers, effort.scaling_jobs, redis) for workers in (1, 4)]
        for _ in range(effort.scaling_rounds)
    ]
    ratios = [four / one for one, four in rates]
    one, four = map(median, zip(*rates, strict=True))
    figures.table(
        f"{effort.scaling_jobs} jobs of {_JOB_MS} ms processor time, jobs/s",
        {"ours": (one, four, median(ratios), min(ratios), max(ratios))},
        ("1 worker", "4 workers", "ratio", "least", "most"),
    )
    figures.add("queue_scaling_4w", median(ratios))


async def _work_off(count: int, jobs: int, redis: Redis) -> float:
    """Jobs a second of workers that were waiting when the queue filled, from when they were let go to the last end."""
    await redis.flushall()
    client = OurClient()
    await client.start()
    with ExitStack() as stack:
        workers = [stack.enter_context(OURS.worker()) for _ in range(count)]
        async with asyncio.timeout(_UP_WITHIN):
            while (await redis.info("clients"))["blocked_clients"] < count:
                await asyncio.sleep(_LOOK_EVERY)
        for worker in workers:
            worker.pause()
        for first in range(0, jobs, _AT_ONCE):
            await asyncio.gather(*(client.enqueue_work(n, _JOB_MS) for n in range(first, min(jobs, first + _AT_ONCE))))
        began = time.perf_counter()
        for worker in workers:
            worker.go_on()
        while await client.unfinished():
            await asyncio.sleep(_LOOK_EVERY)
        rate = jobs / (time.perf_counter() - began)
    await client.stop()
    return rate
