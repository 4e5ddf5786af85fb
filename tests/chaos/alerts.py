"""`python -m tests.chaos.alerts`: thousands of alerts on a sandbox whose minutes pass in a second; everything breaks.

Two schedulers feed and watch, two workers fire and tell, by a webhook. Schedulers (the feed's leader and the watchers)
and workers are killed, one scheduler is paused longer than its lock lasts, streams are cut, Redis is killed and comes
back. Afterwards every alert is held against the exchange's own minutes: what crossed has to be triggered once and told,
what did not may not be. Messages that came twice are counted beside the kills that can be the reason.
"""

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
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import uvloop
from pydantic import SecretStr

from crypto_mcp.local.redis_server import RedisServer
from crypto_mcp.settings import MarketSettings, MongoSettings, NotifySettings, RedisSettings, Settings
from tests.alerts.made import price_document
from tests.sandbox_server import SandboxServer, running_sandbox
from tests.servers import Servers, free_ports
from workers.services import Services

MINUTE = 60_000
OWNERS = 500
_MOST_MINUTES = 1000


@dataclass(frozen=True)
class AlertTally:
    """What became of the alerts.

    Attributes:
        expected: those whose level the exchange's closed minutes went beyond.
        fired: documents that are triggered.
        lost: expected, and not triggered.
        wrong: triggered though no minute says so.
        triggered_twice: told more than once by their document or history.
        untold: triggered, and no message came.
        duplicate_messages: that came again.
    """

    alerts: int
    expected: int
    fired: int
    lost: int
    wrong: int
    triggered_twice: int
    untold: int
    duplicate_messages: int

    @property
    def kept(self) -> bool:
        """Whether each was triggered and told, and none without reason or twice."""
        return self.expected > 0 and not (self.lost or self.wrong or self.triggered_twice or self.untold)


class Receiver:
    """Counts what webhooks bring, by notification."""

    def __init__(self) -> None:
        self.came: Counter[str] = Counter()
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listens on a free port."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
            fields = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
            await reader.readexactly(int(fields.get("content-length", "0")))
            self.came[fields["webhook-id"]] += 1
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()


class AlertChaos:
    """One run."""

    def __init__(self, options: argparse.Namespace, folder: Path, sandbox: SandboxServer) -> None:
        self.options, self.sandbox, self.folder = options, sandbox, folder
        self.chance = random.Random(options.seed)
        self.servers = Servers.under(folder)
        self.redis = RedisServer(folder / "redis", free_ports(1)[0], secrets.token_hex(8), fsync=options.fsync)
        self.log = (folder / "processes.log").open("ab")
        self.receiver = Receiver()
        self.symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT", *(f"SBX{n:03d}USDT" for n in range(1, options.symbols - 2))]
        self.schedulers: list[subprocess.Popen[bytes]] = []
        self.workers: list[subprocess.Popen[bytes]] = []
        self.done: Counter[str] = Counter()
        self.alerts: dict[str, dict[str, Any]] = {}
        self.made_at = 0
        self.strange: list[str] = []
        self._key = secrets.token_hex(20)

    @property
    def settings(self) -> Settings:
        """What every process runs with."""
        redis = {f"{use}_url": self.redis.url(db) for db, use in enumerate(("cache", "session", "queue"))}
        return Settings(
            _env_file=None,
            redis=RedisSettings.model_validate(redis),
            mongo=MongoSettings.model_validate({"url": self.servers.mongo.admin_url, "database": "alert_chaos"}),
            market=MarketSettings(
                binance_url=self.sandbox.url, binance_stream_url=self.sandbox.streams, stream_stale_after=5
            ),
            notify=NotifySettings(
                encryption_key=SecretStr(self._key),
                webhook_networks=[ip_network("127.0.0.0/8")],  # type: ignore[list-item]
            ),
        )

    async def run(self) -> AlertTally:
        """From start to count."""
        await asyncio.gather(self.redis.start(), self.servers.mongo.start(), self.receiver.start())
        services = Services(self.settings)
        try:
            await self.fill(services)
            self.schedulers = [self.spawn("scheduler") for _ in range(2)]
            self.workers = [self.spawn("worker", "alerts:pending", "notifications:queue") for _ in range(2)]
            await self.watched(services)
            breaking = [
                asyncio.create_task(part())
                for part in (self.kill_schedulers, self.kill_workers, self.pause, self.spoil, self.restart)
            ]
            await self.pass_time()
            for task in breaking:
                task.cancel()
            await asyncio.gather(*breaking, return_exceptions=True)
            self.sandbox.mend()
            if self.redis.pid is None:
                await self.redis.start()
            return await self.count(services)
        finally:
            self.end()
            await services.close()
            await self.redis.kill()
            await self.servers.mongo.kill()

    def spawn(self, *command: str) -> subprocess.Popen[bytes]:
        """A process of the product."""
        settings = self.settings
        own = {
            "REDIS__CACHE_URL": settings.redis.cache_url.get_secret_value(),
            "REDIS__SESSION_URL": settings.redis.session_url.get_secret_value(),
            "REDIS__QUEUE_URL": settings.redis.queue_url.get_secret_value(),
            "MONGO__URL": settings.mongo.url.get_secret_value(),
            "MONGO__DATABASE": settings.mongo.database,
            "MARKET__BINANCE_URL": settings.market.binance_url,
            "MARKET__BINANCE_STREAM_URL": settings.market.binance_stream_url,
            "MARKET__STREAM_STALE_AFTER": str(settings.market.stream_stale_after),
            "NOTIFY__ENCRYPTION_KEY": self._key,
            "NOTIFY__WEBHOOK_NETWORKS": '["127.0.0.0/8"]',
            "LOG__FORMAT": "json",
            "LOG__LEVEL": "WARNING",
        }
        environment = os.environ | {f"CRYPTO_MCP_{name}": value for name, value in own.items()}
        return subprocess.Popen(
            [sys.executable, "-m", "crypto_mcp.cli", *command], env=environment, stderr=self.log, stdout=self.log
        )

    async def fill(self, services: Services) -> None:
        """Alerts close around the price of each symbol, above and below; each owner has a webhook."""
        for place in range(OWNERS):
            url = f"http://127.0.0.1:{self.receiver.port}/{place}"
            await services.channels.add(f"owner-{place}", "webhook", url=url)
        await services.mongo.alerts.prepare()
        prices = {
            row["symbol"]: float(row["price"])
            for row in (await asyncio.to_thread(self.sandbox.get, "/api/v3/ticker/price")).json()
        }
        self.made_at = self.sandbox.clock()
        for number in range(self.options.alerts):
            symbol, side = self.symbols[number % len(self.symbols)], self.chance.choice((1, -1))
            price = prices[symbol]
            level = Decimal(f"{price * (1 + side * (0.0002 + self.options.spread * self.chance.random() ** 2)):.10f}")
            document = price_document(
                f"alert_{number:05d}", symbol, "above" if side > 0 else "below", level,
                owner=f"owner-{number % OWNERS}", price=price,
            )  # fmt: skip
            document["armed_at"] = document["created_at"] = datetime.fromtimestamp(self.made_at / 1000, UTC)
            self.alerts[document["alert_id"]] = document
        await services.mongo.alerts._alerts.insert_many([dict(each) for each in self.alerts.values()])

    async def watched(self, services: Services) -> None:
        """Waits until each symbol's minutes are told and looked at."""
        async with asyncio.timeout(180):
            while len(await services.queue.hgetall("alerts:seen")) < len(self.symbols):  # type: ignore[misc]
                await asyncio.sleep(0.2)
                self.sandbox.clock.ahead += MINUTE // 30

    async def pass_time(self) -> None:
        """The exchange's minutes pass, one in about a second."""
        until = time.monotonic() + self.options.seconds
        while time.monotonic() < until:
            await asyncio.sleep(self.options.minute)
            self.sandbox.clock.ahead += MINUTE - int(self.options.minute * 1000)

    async def kill_schedulers(self) -> None:
        """SIGKILL for one after the other: feed, watchers, the leader of the clock."""
        await self._kill(self.schedulers, ("scheduler",), "scheduler_kills", self.options.kill_every)

    async def kill_workers(self) -> None:
        """SIGKILL for workers, at any moment of a firing or a send."""
        command = ("worker", "alerts:pending", "notifications:queue")
        await self._kill(self.workers, command, "worker_kills", self.options.kill_every)

    async def _kill(
        self, processes: list[subprocess.Popen[bytes]], command: tuple[str, ...], what: str, every: float
    ) -> None:
        while True:
            await asyncio.sleep(self.chance.uniform(0.6, 1.4) * every)
            place = self.chance.randrange(len(processes))
            processes[place].kill()
            processes[place].wait()
            processes[place] = self.spawn(*command)
            self.done[what] += 1

    async def pause(self) -> None:
        """SIGSTOP for a scheduler, until others have taken over; it goes on in the belief that it leads and watches."""
        while True:
            await asyncio.sleep(self.chance.uniform(0.6, 1.4) * 3 * self.options.kill_every)
            paused = self.chance.choice(self.schedulers)
            with contextlib.suppress(ProcessLookupError):
                os.kill(paused.pid, signal.SIGSTOP)
                self.done["pauses"] += 1
                await asyncio.sleep(7)
                os.kill(paused.pid, signal.SIGCONT)

    async def spoil(self) -> None:
        """Streams are cut, silent, and lose last events."""
        days: list[dict[str, object]] = [
            {"kind": "cut", "path": "/stream", "times": 1},
            {"kind": "silent"},
            {"kind": "missing_close", "probability": 0.3},
            {"kind": "out_of_order", "probability": 0.5},
        ]
        while True:
            day = self.chance.choice(days)
            await asyncio.to_thread(self.sandbox.fault, **day)
            self.done[str(day["kind"])] += 1
            await asyncio.sleep(self.chance.uniform(1, 4))
            await asyncio.to_thread(self.sandbox.mend)
            await asyncio.sleep(self.chance.uniform(0, 3))

    async def restart(self) -> None:
        """Redis is killed and comes back."""
        for _ in range(self.options.restarts):
            await asyncio.sleep(self.options.seconds / (self.options.restarts + 1))
            await self.redis.kill()
            await asyncio.sleep(1)
            await self.redis.start()
            self.done["redis_restarts"] += 1

    async def count(self, services: Services) -> AlertTally:
        """Waits until nothing more is missing, or nothing has changed for as long as patience lasts; then counts."""
        end = self.sandbox.clock() // MINUTE * MINUTE
        sure, possible = await asyncio.to_thread(self.expected, end)
        missing, changed_at = -1, time.monotonic()
        while True:
            tally = await self.tally(services, sure, possible)
            if tally.wrong:  # the exchange's minutes go on while we wait
                _, possible = await asyncio.to_thread(self.expected, self.sandbox.clock())
                tally = await self.tally(services, sure, possible)
            if tally.lost + tally.untold != missing:
                missing, changed_at = tally.lost + tally.untold, time.monotonic()
            if tally.kept or time.monotonic() > changed_at + self.options.patience:
                return tally
            await asyncio.sleep(1)

    def expected(self, end: int) -> tuple[set[str], set[str]]:
        """Alerts that have to fire by the exchange's minutes up to `end`; and those that may, by the minutes around."""
        sure, possible = set(), set()
        for symbol in self.symbols:
            bars = self.at_exchange(symbol, self.made_at // MINUTE * MINUTE, end + MINUTE)
            whole = [bar for bar in bars if self.made_at <= bar[0] and bar[0] + MINUTE <= end]
            for alert_id, alert in self.alerts.items():
                if alert["symbol"] == symbol:
                    sure |= {alert_id} if _crossed(alert, whole) else set()
                    possible |= {alert_id} if _crossed(alert, bars) else set()
        return sure, possible

    def at_exchange(self, symbol: str, first: int, last: int) -> list[tuple[int, float, float]]:
        """Open time, low and high of the minutes that REST has."""
        found: list[tuple[int, float, float]] = []
        while first <= last:
            answer = self.sandbox.get(
                "/api/v3/klines", symbol=symbol, interval="1m", startTime=first, endTime=last, limit=_MOST_MINUTES
            ).json()
            if not answer:
                break
            found += [(row[0], float(row[3]), float(row[2])) for row in answer]
            first = answer[-1][0] + MINUTE
        return found

    async def tally(self, services: Services, sure: set[str], possible: set[str]) -> AlertTally:
        """The figures as they stand."""
        documents = await services.mongo.alerts.these(list(self.alerts))
        fired = {each["alert_id"] for each in documents if each["status"] == "triggered"}
        told = services.mongo.alerts._firings.find({"told": True}, {"alert_id": 1})
        histories = Counter([each["alert_id"] async for each in told])
        twice = [each["alert_id"] for each in documents if each["firings"] > 1 or histories[each["alert_id"]] > 1]
        messages = self.receiver.came
        lost, wrong = sure - fired, fired - possible
        untold = [alert_id for alert_id in fired if not messages[f"{alert_id}.1"]]
        self.strange = sorted({*lost, *wrong, *twice, *untold})
        return AlertTally(
            alerts=len(self.alerts),
            expected=len(sure),
            fired=len(fired),
            lost=len(lost),
            wrong=len(wrong),
            triggered_twice=len(twice),
            untold=len(untold),
            duplicate_messages=sum(count - 1 for count in messages.values()),
        )

    def end(self) -> None:
        """The survivors end."""
        for process in (*self.schedulers, *self.workers):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
                process.kill()
            process.wait()


def _crossed(alert: dict[str, Any], bars: list[tuple[int, float, float]]) -> bool:
    level, above = alert["level"]["beyond"], alert["level"]["side"] == "above"
    return any((high > level) if above else (low < level) for _, low, high in bars)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.alerts", description=__doc__)
    parser.add_argument("--alerts", type=int, default=6500)
    parser.add_argument("--symbols", type=int, default=40)
    parser.add_argument("--spread", type=float, default=0.006, help="farthest level from the price, as a part of it")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long things break")
    parser.add_argument("--minute", type=float, default=1.0, help="seconds in which a minute of the exchange passes")
    parser.add_argument("--kill-every", type=float, default=10.0, help="seconds between two SIGKILLs, about")
    parser.add_argument("--restarts", type=int, default=2, help="restarts of Redis")
    parser.add_argument(
        "--patience", type=float, default=90.0, help="seconds without news after which what is missing is lost"
    )
    parser.add_argument("--fsync", choices=("always", "everysec"), default="always", help="Redis appendfsync")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args(arguments)
    if options.seed is None:
        options.seed = secrets.randbelow(1_000_000)
    return options


def main(arguments: list[str] | None = None) -> int:
    """Runs, prints a table and a last line of JSON; 1 if an alert was lost, told without reason, or triggered twice."""
    options = parse(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-alerts-") as folder, running_sandbox() as sandbox:
        chaos = AlertChaos(options, Path(folder), sandbox)
        tally = uvloop.run(chaos.run())
        if not tally.kept:
            print("look at:", chaos.strange[:20], file=sys.stderr)
            print((Path(folder) / "processes.log").read_text()[-6000:], file=sys.stderr)
    figures = {
        **asdict(tally), **chaos.done, "fsync": options.fsync, "seed": options.seed,
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):28} {value}")
    print(json.dumps(figures))
    return 0 if tally.kept else 1


if __name__ == "__main__":
    sys.exit(main())
