"""The command line of chaos, and the run itself."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.jobs.connection import connect
from crypto_mcp.jobs.envelope import new_id
from crypto_mcp.jobs.records import read_records
from crypto_mcp.local.redis_server import RedisServer
from crypto_mcp.settings import Settings
from tests.chaos.kinds import NOTES, WORK, Work
from tests.chaos.proxy import CuttingProxy
from tests.chaos.tally import Tally, count, read_notes
from tests.servers import free_ports


class Chaos:
    """One run: a Redis, a proxy in front of it, workers behind the proxy, and somebody who breaks things."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.chance = random.Random(options.seed)
        self.notes = folder / "notes"
        self.notes.mkdir()
        self.log = (folder / "workers.log").open("ab")
        self.redis = RedisServer(folder / "redis", free_ports(1)[0], secrets.token_hex(8), fsync=options.fsync)
        self.proxy = CuttingProxy(self.redis.port)
        self.workers: list[subprocess.Popen[bytes]] = []
        self.kills: dict[int, float] = {}
        self.stops = 0
        self.restarts = 0
        self.submitted: list[str] = []
        self.password = self.redis.url(2).split("@")[0]

    async def run(self) -> Tally:
        """The run from start to count."""
        await self.redis.start()
        await self.proxy.start()
        settings = self.settings()
        client = JobClient(connect(settings.redis.queue_url, settings.redis), settings.queue)
        direct = connect(self.settings(direct=True).redis.queue_url, settings.redis)
        self.workers = [self.spawn() for _ in range(self.options.workers)]
        submitting = asyncio.create_task(self.submit(client))
        breaking = [asyncio.create_task(part) for part in (self.kill(), self.stop(), self.cut(), self.restart())]
        try:
            states = await self.until_finished(submitting, direct)
        finally:
            for task in breaking:
                task.cancel()
            await asyncio.gather(*breaking, return_exceptions=True)
            self.end_workers()
            await self.proxy.stop()
            await self.redis.kill()
        return count(read_notes(self.notes), states, self.kills)

    def settings(self, *, direct: bool = False) -> Settings:
        """Settings through the proxy, or straight to Redis."""
        port = self.redis.port if direct else self.proxy.port
        urls = {
            f"{name}_url": f"{self.password}@127.0.0.1:{port}/{db}"
            for db, name in enumerate(("cache", "session", "queue"))
        }
        return Settings.model_validate({"redis": urls, "queue": {"max_jobs": self.options.concurrency}})

    def spawn(self) -> subprocess.Popen[bytes]:
        """A worker process."""
        settings = self.settings()
        environment = {
            **os.environ,
            NOTES: str(self.notes),
            "CRYPTO_MCP_REDIS__CACHE_URL": settings.redis.cache_url.get_secret_value(),
            "CRYPTO_MCP_REDIS__QUEUE_URL": settings.redis.queue_url.get_secret_value(),
            "CRYPTO_MCP_QUEUE__MAX_JOBS": str(self.options.concurrency),
            "CRYPTO_MCP_QUEUE__HEARTBEAT_TTL": str(self.options.heartbeat),
            "CRYPTO_MCP_QUEUE__HEARTBEAT_EVERY": str(self.options.heartbeat / 3),
            "CRYPTO_MCP_LOG__LEVEL": "WARNING",
        }
        return subprocess.Popen([sys.executable, "-m", "tests.chaos.worker"], env=environment, stderr=self.log)

    async def submit(self, client: JobClient) -> None:
        """Submits all jobs, through the proxy as well: a submission whose reply is lost is repeated."""
        for first in range(0, self.options.jobs, 200):
            numbers = range(first, min(first + 200, self.options.jobs))
            await asyncio.gather(*(self.submit_one(client, number) for number in numbers))

    async def submit_one(self, client: JobClient, number: int) -> None:
        job_id = new_id()
        params = Work(number=number, milliseconds=self.chance.randint(0, self.options.longest))
        while True:
            try:
                await client.submit(WORK, params, job_id=job_id)
            except StoreUnavailable:
                await asyncio.sleep(0.2)
            else:
                self.submitted.append(job_id)
                return

    async def kill(self) -> None:
        """SIGKILL for one worker after the other; each is replaced at once."""
        while True:
            await asyncio.sleep(self.options.kill_every)
            place = self.chance.randrange(len(self.workers))
            worker = self.workers[place]
            self.kills[worker.pid] = time.time()
            worker.kill()
            worker.wait()
            self.workers[place] = self.spawn()

    async def stop(self) -> None:
        """SIGSTOP, now shorter and now longer than a heartbeat lasts."""
        while True:
            await asyncio.sleep(self.chance.uniform(3, 8))
            worker = self.chance.choice(self.workers)
            self.stops += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGSTOP)
                await asyncio.sleep(self.chance.uniform(0.5, 2.5) * self.options.heartbeat)
                os.kill(worker.pid, signal.SIGCONT)

    async def cut(self) -> None:
        """Cuts sockets."""
        while True:
            await asyncio.sleep(self.chance.uniform(1, 4))
            self.proxy.cut(0.5, self.chance)

    async def restart(self) -> None:
        """Redis ends, killed and in order by turns, and is away for a second."""
        while self.restarts < self.options.restarts:
            await asyncio.sleep(self.chance.uniform(0.6, 1.4) * self.options.restart_every)
            await (self.redis.kill() if self.restarts % 2 == 0 else self.redis.stop())
            self.restarts += 1
            await asyncio.sleep(1)
            await self.redis.start()

    async def until_finished(self, submitting: asyncio.Task[None], redis: Any) -> dict[str, str]:
        """Each submitted job's state, once all are finished or time is up."""
        open_jobs: set[str] = set()
        states: dict[str, str] = {}
        seen = 0
        deadline = time.monotonic() + self.options.patience
        while time.monotonic() < deadline:
            open_jobs.update(self.submitted[seen:])
            seen = len(self.submitted)
            with contextlib.suppress(Exception):  # Redis may be away
                for batch in _batches(sorted(open_jobs), 1000):
                    for job_id, record in zip(batch, await read_records(redis, batch), strict=True):
                        states[job_id] = record.state.value if record else "unknown"
                        if record and record.state.finished:
                            open_jobs.discard(job_id)
            if submitting.done() and not open_jobs and seen == len(self.submitted):
                submitting.result()
                break
            await asyncio.sleep(0.5)
        submitting.cancel()
        return states

    def end_workers(self) -> None:
        """The survivors end in order."""
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGCONT)
                worker.terminate()
        for worker in self.workers:
            try:
                worker.wait(30)
            except subprocess.TimeoutExpired:
                worker.kill()


def _batches(items: list[str], size: int) -> list[list[str]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=4, help="jobs a worker runs at once")
    parser.add_argument("--longest", type=int, default=50, help="longest a job works, milliseconds")
    parser.add_argument("--kill-every", type=float, default=1.0, help="seconds between two SIGKILLs")
    parser.add_argument("--heartbeat", type=float, default=6.0, help="seconds a worker's heartbeat lasts")
    parser.add_argument("--restarts", type=int, default=2, help="restarts of Redis")
    parser.add_argument("--restart-every", type=float, default=15.0, help="seconds between them, about")
    parser.add_argument("--fsync", choices=("always", "everysec"), default="always", help="Redis appendfsync")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds after which open jobs count as lost")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args(arguments)
    if options.seed is None:
        options.seed = secrets.randbelow(1_000_000)
    return options


def main(arguments: list[str] | None = None) -> int:
    """Runs, prints a table and a last line of JSON; 1 if a promise was broken."""
    options = parse(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        chaos = Chaos(options, Path(folder))
        tally = uvloop.run(chaos.run())
    figures = {
        **tally.as_dict(),
        "kills": len(chaos.kills),
        "stops": chaos.stops,
        "redis_restarts": chaos.restarts,
        "cut_connections": chaos.proxy.cuts,
        "fsync": options.fsync,
        "seed": options.seed,
        "seconds": round(time.monotonic() - began, 1),
    }
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):28} {value}")
    print(json.dumps(figures))
    return 0 if tally.kept else 1


if __name__ == "__main__":
    sys.exit(main())
