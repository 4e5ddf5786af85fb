"""The run: the whole stack on this machine, callers at a steady pace, samples, and a verdict on their trends.

A figure grows if the line through its samples of the last two thirds (Theil and Sen: the median of all slopes, which
single peaks do not move) rises by more than its allowance over that time. The first third is for warming up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import numpy as np
import psutil
from redis.asyncio import Redis
from scipy.stats import theilslopes

from crypto_mcp.local.stack import running
from crypto_mcp.settings import LocalSettings, SandboxSettings, ServerSettings, Settings
from tests.servers import free_ports

if TYPE_CHECKING:
    from collections.abc import Sequence

_SYMBOLS = [f"{base}USDT" for base in ("BTC", "ETH", "SOL")]
_TIMEFRAMES = ("1h", "4h", "1d")
_LATENCIES_KEPT = 2000

ALLOWED = {"rss_mb": 0.10, "files": 0.10, "redis_mb": 0.15, "p95_ms": 0.50, "tasks": 0.10}
"""How much of its middle value a figure may rise in the time that counts."""

LEAST = {"rss_mb": 40.0, "files": 20.0, "redis_mb": 8.0, "p95_ms": 50.0, "tasks": 10.0}
"""Rises below these, in the figure's own unit, are noise."""


@dataclass(slots=True)
class Soak:
    """One run."""

    url: str
    redis_url: str
    pace: float
    chance: random.Random
    latencies: list[float] = field(default_factory=list)
    calls: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    samples: list[dict[str, float]] = field(default_factory=list)

    async def run(self, seconds: float, every: float) -> None:
        """Calls and samples until the time is over."""
        async with httpx2.AsyncClient(base_url=self.url, timeout=40) as http, Redis.from_url(self.redis_url) as redis:
            await self._warm_up(http)
            began = time.monotonic()
            calling = asyncio.create_task(self._call_steadily(http))
            while time.monotonic() - began < seconds:
                await asyncio.sleep(every)
                self.samples.append(await self._sample(redis, time.monotonic() - began))
                print(json.dumps(self.samples[-1]), flush=True)
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)

    async def _warm_up(self, http: httpx2.AsyncClient) -> None:
        """Until a first analysis and a first backtest came back: kernels are compiled by then."""
        for kind, params in (
            ("analyze_crypto", {"symbol": "BTCUSDT"}),
            ("historical_backtest", _backtest("BTCUSDT", 10)),
        ):
            answer = (await http.post(f"/v1/jobs/{kind}?wait=30", json=params)).json()
            while answer.get("result") is None and "job_id" in answer:
                await asyncio.sleep(1)
                answer = (await http.get(f"/v1/jobs/{answer['job_id']}/result?wait=25")).json()

    async def _call_steadily(self, http: httpx2.AsyncClient) -> None:
        """At a steady pace, however long answers take."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._call(http))
                await asyncio.sleep(self.chance.expovariate(self.pace))

    async def _call(self, http: httpx2.AsyncClient) -> None:
        kind, params = self._some_call()
        began = time.perf_counter()
        try:
            response = await http.post(f"/v1/jobs/{kind}?wait=25", json=params)
            failed = response.status_code >= 400
            code = response.json().get("code", str(response.status_code)) if failed else ""
        except (httpx2.HTTPError, ValueError) as error:
            failed, code = True, type(error).__name__
        self.calls += 1
        if failed:
            self.failed[code] = self.failed.get(code, 0) + 1
        self.latencies.append((time.perf_counter() - began) * 1000)
        del self.latencies[:-_LATENCIES_KEPT]

    def _some_call(self) -> tuple[str, dict[str, Any]]:
        symbol, roll = self.chance.choice(_SYMBOLS), self.chance.random()
        if roll < 0.75:
            bars = self.chance.choice([300, 400, 500, 600, 700])
            return "analyze_crypto", {"symbol": symbol, "timeframe": self.chance.choice(_TIMEFRAMES), "bars": bars}
        if roll < 0.92:
            entry = self.chance.randint(100, 999)
            return "risk_assessment", {
                "symbol": symbol,
                "entry": str(entry),
                "stop": str(entry - 9),
                "account_size": "10000",
            }
        return "historical_backtest", _backtest(symbol, self.chance.randint(5, 40))

    async def _sample(self, redis: Redis, at: float) -> dict[str, float]:
        ours = psutil.Process()
        rss = files = tasks = 0.0
        for child in ours.children(recursive=True):
            try:
                rss += child.memory_info().rss / 1e6
                files += child.num_fds()
                tasks += child.num_threads()
            except psutil.Error:
                continue
        info = await redis.info("memory")
        dead = sum([await redis.llen(key) async for key in redis.scan_iter("dead:*")])  # type: ignore[misc]
        p95 = float(np.percentile(self.latencies, 95)) if self.latencies else 0.0
        return {
            "at_s": round(at, 1),
            "calls": self.calls,
            "failed": sum(self.failed.values()),
            "rss_mb": round(rss, 1),
            "files": files,
            "tasks": tasks,
            "redis_mb": round(info["used_memory"] / 1e6, 2),
            "dead": dead,
            "p95_ms": round(p95, 1),
        }


def growth(samples: Sequence[dict[str, float]], name: str) -> tuple[float, bool]:
    """How much a figure rose over the last two thirds, and whether that is more than it may."""
    counted = samples[len(samples) // 3 :]
    if len(counted) < 3:
        return 0.0, False
    at, values = ([sample[key] for sample in counted] for key in ("at_s", name))
    rise = float(theilslopes(values, at).slope) * (at[-1] - at[0])
    return rise, rise > max(LEAST[name], ALLOWED[name] * float(np.median(values)))


def _backtest(symbol: str, fast: int) -> dict[str, Any]:
    return {
        "symbols": [symbol],
        "timeframe": "1h",
        "strategy": "ema_cross",
        "parameters": {"fast": fast, "slow": fast + 20},
    }


async def _soak(options: argparse.Namespace, folder: Path) -> Soak:
    redis, mongo, postgres, front, sandbox = free_ports(5)
    os.environ["CRYPTO_MCP_SANDBOX__PORT"] = str(sandbox)  # its process reads its own settings
    settings = Settings(
        _env_file=None,
        local=LocalSettings(data=folder, redis_port=redis, mongo_port=mongo, postgres_port=postgres),
        server=ServerSettings(port=front, workers=1),
        sandbox=SandboxSettings(port=sandbox),
    )
    async with running(settings, live=False, say=lambda line: print(line, file=sys.stderr)) as addresses:
        lines = (folder / "run.env").read_text().splitlines()
        env = dict(line.split("=", 1) for line in lines)
        soak = Soak(addresses.front_end, env["CRYPTO_MCP_REDIS__QUEUE_URL"], options.pace, random.Random(options.seed))
        await soak.run(options.minutes * 60, options.every)
        return soak


def main() -> None:
    """Prints samples, then a line of figures; exit status 1 if something grew, died or failed."""
    parser = argparse.ArgumentParser(description="Steady load: what grows that should not?")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--pace", type=float, default=4.0, help="calls a second")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between samples")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        Path(folder).chmod(0o755)
        soak = asyncio.run(_soak(options, Path(folder)))
    rises = {name: growth(soak.samples, name) for name in ALLOWED}
    last = soak.samples[-1]
    figures = {f"{name}_rise": round(rise, 2) for name, (rise, _) in rises.items()}
    grown = [name for name, (_, too_much) in rises.items() if too_much]
    print(json.dumps({"minutes": options.minutes, **last, **figures, "failed_by_code": soak.failed, "grown": grown}))
    if grown or last["dead"] or soak.failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
