"""`make chaos ONLY=market`: six workers ask a sandbox with the exchange's true limits for all they can get.

They share a real Redis. Counted are refusals and bans, and how much of each whole clock minute's allowance was used;
the last line of standard output is one JSON object. It fails if a request was refused, or if less than 80 % of a whole
minute's allowance was used.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import uvloop

from crypto_mcp.local.redis_server import RedisServer
from tests.servers import free_ports

STARTS_WITHIN = 60.0
LEAST_USED = 0.8


class Pressure:
    """One run."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        redis, self.port = free_ports(2)
        self.redis = RedisServer(folder / "redis", redis, secrets.token_hex(8))
        self.log = (folder / "log").open("ab")
        self.url = f"http://127.0.0.1:{self.port}"
        self.chance = random.Random(options.seed)
        self.killed = 0
        self.children: list[subprocess.Popen[bytes]] = []

    async def run(self) -> dict[str, Any]:
        await self.redis.start()
        sandbox = self.spawn("crypto_mcp.sandbox")
        workers: list[subprocess.Popen[bytes]] = []
        async with httpx2.AsyncClient(base_url=self.url, timeout=30) as http:
            try:
                await answering(http)
                if self.options.skew:
                    await http.post("/sandbox/faults", json={"kind": "clock", "milliseconds": self.options.skew})
                workers += [self.spawn("tests.chaos.market.worker") for _ in range(self.options.workers)]
                others = asyncio.create_task(self.other_tenant(http))
                await self.until_the_end(workers)
                others.cancel()
                counted = [self.ended(worker) for worker in workers]
                state = (await http.get("/sandbox/state")).json()
            finally:
                for child in self.children:
                    child.kill()
                    child.wait()
                await self.redis.kill()
        assert sandbox.returncode is not None
        return self.figures(state, counted)

    def spawn(self, module: str) -> subprocess.Popen[bytes]:
        settings = {
            "SANDBOX__PORT": str(self.port),
            "SANDBOX__WEIGHT_LIMIT": str(self.options.limit),
            "MARKET__BINANCE_URL": self.url,
            "REDIS__CACHE_URL": self.redis.url(0),
            "REDIS__SESSION_URL": self.redis.url(1),
            "LOG__LEVEL": "WARNING",
        }
        env = os.environ | {f"CRYPTO_MCP_{name}": value for name, value in settings.items()}
        child = subprocess.Popen([sys.executable, "-m", module], env=env, stdout=subprocess.PIPE, stderr=self.log)
        self.children.append(child)
        return child

    async def other_tenant(self, http: httpx2.AsyncClient) -> None:
        """Somebody else on this address, who uses so much a minute and knows nothing of us."""
        while self.options.others:
            await http.get("/api/v3/ticker/price", params={"symbol": "BTCUSDT"})
            await asyncio.sleep(60 * 2 / self.options.others)

    async def until_the_end(self, workers: list[subprocess.Popen[bytes]]) -> None:
        """Through whole minutes, or for so many seconds if that is shorter than one."""
        left = self.options.seconds if self.options.seconds < 60 else 60 - time.time() % 60 + self.options.seconds
        deadline = time.monotonic() + left
        while time.monotonic() < deadline:
            pause = self.options.kill_every or 1.0
            await asyncio.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            if self.options.kill_every:
                place = self.chance.randrange(len(workers))
                workers[place].kill()
                self.killed += 1
                workers[place] = self.spawn("tests.chaos.market.worker")

    def ended(self, worker: subprocess.Popen[bytes]) -> dict[str, Any]:
        worker.send_signal(signal.SIGTERM)
        said, _ = worker.communicate(timeout=60)
        lines = said.splitlines()  # log lines come first
        return json.loads(lines[-1]) if lines else {"counts": {}, "waits": []}

    def figures(self, state: dict[str, Any], counted: list[dict[str, Any]]) -> dict[str, Any]:
        used = state["used"]["spot"]
        whole = [share for _, share in used[1:-1]] if len(used) > 2 else []
        waits = sorted(wait for each in counted for wait in each["waits"])
        counts = sum((Counter(each["counts"]) for each in counted), Counter())
        return {
            "workers": self.options.workers,
            "killed": self.killed,
            "refused_429": state["refused"].get("429", 0),
            "refused_418": state["refused"].get("418", 0),
            "used_of_whole_minutes": [round(weight / self.options.limit, 3) for weight in whole],
            "used_by_minute": [weight for _, weight in used],
            "interactive_p50_s": round(waits[len(waits) // 2], 3) if waits else None,
            "interactive_p95_s": round(waits[int(len(waits) * 0.95)], 3) if waits else None,
            "outcomes": dict(sorted(counts.items())),
        }


async def answering(http: httpx2.AsyncClient) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            await http.get("/sandbox/state")
        except httpx2.TransportError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            return


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.market", description=__doc__)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=62, help="after the first minute turned, if 60 or more")
    parser.add_argument("--limit", type=int, default=6000, help="weight the sandbox allows a minute")
    parser.add_argument("--skew", type=int, default=0, help="milliseconds the sandbox's clock says it is ahead")
    parser.add_argument("--others", type=int, default=0, help="weight a minute somebody else on this address uses")
    parser.add_argument("--kill-every", type=float, default=0.0, help="seconds between two SIGKILLs of a worker")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        found = uvloop.run(Pressure(options(), Path(folder)).run())
    print(json.dumps(found))
    fine = not found["refused_429"] and not found["refused_418"]
    return 0 if fine and all(share >= LEAST_USED for share in found["used_of_whole_minutes"]) else 1


if __name__ == "__main__":
    sys.exit(main())
