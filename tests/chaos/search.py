"""`python -m tests.chaos.search`: a search of 20,000 trials with a worker killed every 3 s, and one left alone.

Both must end with the same result. Needs nothing: it starts Redis, MongoDB and a sandbox exchange itself.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.jobs.connection import connect
from crypto_mcp.models.backtest import BacktestParams, BacktestResult
from crypto_mcp.settings import MarketSettings, MongoSettings, RedisSettings, Settings
from tests.sandbox_server import running_sandbox
from tests.servers import Servers

_WORKER = "from crypto_mcp.settings import Settings; from workers.main import run; run(Settings(), ['backtest:queue'])"


def search_params(*, trials: int, days: int) -> dict[str, Any]:
    """A grid of about so many averages' lengths and stops, over the days until the last full hour."""
    slow, stop = 20, max(1, trials // 400)
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return {
        "symbols": ["BTCUSDT"],
        "strategy": "ema_cross",
        "start": end - timedelta(days=days),
        "end": end,
        "search": {
            "parameters": [
                {"name": "fast", "low": 3, "high": 22, "step": 1},
                {"name": "slow", "low": 30, "high": 30 + 5 * (slow - 1), "step": 5},
                {"name": "stop", "low": 1, "high": 1 + 0.25 * (stop - 1), "step": 0.25, "integer": False},
            ],
            "trials": trials,
        },
    }


class Workers:
    """Worker processes on `backtest:queue`."""

    def __init__(self, settings: Settings, count: int) -> None:
        self.killed = 0
        self._settings = settings
        self._running = [_started(settings) for _ in range(count)]

    def kill(self, *, replace: bool = True) -> None:
        """SIGKILL for the one that has lived longest."""
        victim = self._running.pop(0)
        victim.kill()
        victim.wait()
        self.killed += 1
        if replace:
            self._running.append(_started(self._settings))

    def end(self) -> None:
        """The end of all."""
        for worker in self._running:
            worker.kill()
            worker.wait()


@contextmanager
def running_workers(settings: Settings, count: int) -> Iterator[Workers]:
    """So many worker processes."""
    workers = Workers(settings, count)
    try:
        yield workers
    finally:
        workers.end()


def _started(settings: Settings) -> subprocess.Popen[bytes]:
    groups = {"redis": settings.redis, "mongo": settings.mongo, "market": settings.market, "queue": settings.queue}
    environment = dict(os.environ)
    for group, values in groups.items():
        for name in values.model_fields_set:
            value = getattr(values, name)
            if value is not None:  # an environment can only leave out what is not set
                text = value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
                environment[f"CRYPTO_MCP_{group}__{name}".upper()] = text
    return subprocess.Popen([sys.executable, "-c", _WORKER], env=environment, stderr=subprocess.DEVNULL)


async def run(trials: int, kill_every: float, count: int) -> None:
    """Both searches, and what they came to."""
    with tempfile.TemporaryDirectory() as folder, running_sandbox() as sandbox:
        servers = Servers.under(Path(folder))
        await servers.redis.start()
        await servers.mongo.start()
        try:
            settings = _settings(servers, sandbox.url)
            redis = connect(settings.redis.queue_url, settings.redis)
            jobs = JobClient(redis, settings.queue)
            params = BacktestParams.model_validate(search_params(trials=trials, days=365))
            results = [await _one(jobs, settings, params, every, count) for every in (None, kill_every)]
            same = results[0] == results[1]
            print("the same result" if same else "DIFFERENT RESULTS")
            await redis.aclose()
        finally:
            await servers.redis.kill()
            await servers.mongo.kill()
    sys.exit(not same)


async def _one(
    jobs: JobClient, settings: Settings, params: BacktestParams, every: float | None, count: int
) -> dict[str, Any]:
    with running_workers(settings, count) as workers:
        began = last = time.monotonic()
        told = await jobs.submit(CATALOGUE["historical_backtest"], params, share=False)
        while not (await jobs.get(told.job_id)).state.finished:
            await asyncio.sleep(0.1)
            if every is not None and time.monotonic() - last >= every:
                workers.kill()
                last = time.monotonic()
        record, answer = await jobs.get_with_answer(told.job_id)
        seconds = time.monotonic() - began
        if answer is None:
            raise SystemExit(f"{record.state}: {record.error}")
        result = BacktestResult.model_validate_json(answer)
        tried = result.search.tried if result.search else 0
        print(f"{tried:,} trials, {count} workers, {workers.killed} killed: {seconds:.1f} s, best {result.parameters}")
        return result.model_dump(exclude={"timestamp", "data", "backtest_job_id"})


def _settings(servers: Servers, market: str) -> Settings:
    urls = {f"{use}_url": servers.redis.url(db) for db, use in enumerate(("cache", "session", "queue"))}
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        redis=RedisSettings.model_validate(urls),
        mongo=MongoSettings.model_validate({"url": servers.mongo.admin_url, "database": "search"}),
        market=MarketSettings(binance_url=market),
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.search", description=__doc__)
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--kill-every", type=float, default=3.0, metavar="SECONDS")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    asyncio.run(run(options.trials, options.kill_every, options.workers))


if __name__ == "__main__":
    main()
