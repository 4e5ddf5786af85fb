"""100,000 alerts over 500 symbols: from a tick to the notification on its list, and to the request at the provider.

Prices are published as the feed publishes them: a thousand ticks a second, told every 25 ms; a tick's time is its own,
so waiting to be told counts. Levels lie so that a few dozen alerts fire every second.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import psutil
from pydantic import SecretStr
from redis.asyncio import Redis

from crypto_mcp.market.live import ALERTS_CHANNEL, PRICES_CHANNEL, PriceMove, encoded_moves
from crypto_mcp.settings import MarketSettings, MongoSettings, NotifySettings, RedisSettings, Settings
from tests.alerts.made import price_document
from tests.bench.figures import Figures, percentile
from tests.sandbox_server import SandboxServer, running_sandbox
from tests.servers import Servers
from workers.services import Services

SYMBOLS = 500
TICKS_A_SECOND, TOLD_EVERY = 1000, 0.025
_TOKEN, _SECRET = "token-of-bench", "secret-of-bench"
_START = 100.0
_MESSAGES_EACH = 2
"""To one person at once: with more, what follows waits and becomes one message."""


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    alerts: int
    seconds: float
    people: int


_FULL, _QUICK = Effort(100_000, 30.0, 40), Effort(10_000, 4.0, 4)


async def run(figures: Figures, *, quick: bool) -> None:
    """All figures of the section."""
    effort = _QUICK if quick else _FULL
    async with _bench() as bench:
        await bench.fill(effort.alerts)
        started = await bench.watch()
        bench.work("alerts:pending")
        storm = Storm(bench.redis)
        await bench.warm_up(storm)
        queued = await storm.blow(effort.seconds)
        rss = bench.watcher_rss()
        bench.work("notifications:queue")
        sent = await bench.tell(storm, effort.people)
    rows = {"tick to notifications:queue": queued, "tick to the provider": sent}
    shown = {name: [1000 * percentile(found, share) for share in (50, 95, 99)] for name, found in rows.items()}
    figures.table(f"{effort.alerts:,} alerts, {len(queued)} fired, ms", shown, ("p50", "p95", "p99"))
    figures.table("watcher", {"start from MongoDB, s": [started], "memory, MB": [rss]}, ("",))
    figures.add("alert_tick_p99_ms", 1000 * percentile(queued, 99))
    figures.add("alert_send_p95_ms", 1000 * percentile(sent, 95))
    figures.add("alert_rss_mb", rss)


@dataclass
class Storm:
    """Prices that walk, and when each was ticked."""

    redis: Redis
    prices: dict[str, float] = field(default_factory=lambda: {f"S{n:03d}USDT": _START for n in range(SYMBOLS)})
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    ticked: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    async def blow(self, seconds: float) -> list[float]:
        """Seconds from the tick that fired each alert to its notification on its list."""
        self.ticked = {symbol: [] for symbol in self.prices}
        ending = asyncio.Event()
        taking = asyncio.create_task(self._take(ending))
        until = time.time() + seconds
        while time.time() < until:
            await self.tell()
        await asyncio.sleep(2)
        ending.set()
        return await taking

    async def tell(self) -> None:
        """A turn's ticks, spread over the time until they are told."""
        count, began = int(TICKS_A_SECOND * TOLD_EVERY), time.time()
        moves: dict[str, PriceMove] = {}
        for i in range(count):
            at = began + TOLD_EVERY * i / count
            symbol = self.chance.choice(list(self.prices))
            price = round(self.prices[symbol] * (1 + self.chance.gauss(0, 0.0004)), 6)
            self.prices[symbol] = price
            self.ticked.setdefault(symbol, []).append((at, price))
            ms, before = int(at * 1000), moves.get(symbol)
            low, high = (price, price) if before is None else (min(before.low, price), max(before.high, price))
            moves[symbol] = PriceMove(symbol, price, ms, low, high, ms if before is None else before.since)
        await asyncio.sleep(max(0.0, began + TOLD_EVERY - time.time()))
        await self.redis.publish(PRICES_CHANNEL, encoded_moves(moves.values()))

    async def jump(self, symbol: str, price: float) -> float:
        """One price; when."""
        now = time.time()
        move = PriceMove(symbol, price, int(now * 1000), price, price, int(now * 1000))
        await self.redis.publish(PRICES_CHANNEL, encoded_moves([move]))
        return now

    async def _take(self, ending: asyncio.Event) -> list[float]:
        """Every notification that comes, and how long after its tick."""
        found = []
        async with self._own() as redis:
            while not ending.is_set():
                taken = await redis.brpop(["notifications:queue"], timeout=1)
                now = time.time()
                if taken is not None:
                    notification = orjson.loads(taken[1])["params"]
                    found.append(now - self._crossed_at(notification))
        return found

    @asynccontextmanager
    async def _own(self) -> AsyncIterator[Redis]:
        kwargs = self.redis.connection_pool.connection_kwargs
        redis = Redis(
            **{name: kwargs[name] for name in ("host", "port", "db", "username", "password") if name in kwargs}
        )
        try:
            yield redis
        finally:
            await redis.aclose()

    def _crossed_at(self, notification: dict[str, Any]) -> float:
        """When the price first went over the level."""
        _, sign, level = notification["fields"]["condition"].split()
        for at, price in self.ticked[notification["symbol"]]:
            if (price > float(level)) if sign == ">" else (price < float(level)):
                return at
        raise RuntimeError(f"{notification['about']} fired and no price says so")


class Bench:
    """Servers, a sandbox, and the processes that are measured."""

    def __init__(self, servers: Servers, sandbox: SandboxServer, redis: Redis, folder: Path) -> None:
        self.servers, self.sandbox, self.redis = servers, sandbox, redis
        self.settings = _settings(servers, sandbox)
        self.services = Services(self.settings)
        self._log = (folder / "log").open("ab")
        self.processes: list[subprocess.Popen[bytes]] = []
        self._watcher: subprocess.Popen[bytes] | None = None

    async def fill(self, count: int) -> None:
        """Alerts around the first price of each symbol, above and below, up to a third away."""
        await self.services.mongo.alerts.prepare()
        collection = self.services.mongo.alerts._alerts
        chance = random.Random(3)
        documents = []
        for number in range(count):
            symbol, side = f"S{number % SYMBOLS:03d}USDT", chance.choice((1, -1))
            level = Decimal(f"{_START * (1 + side * (0.001 + 0.3 * chance.random() ** 2)):.6f}")
            documents.append(
                price_document(
                    f"alert_{number:06d}", symbol, "above" if side > 0 else "below", level,
                    owner=f"owner-{number % 1000}",
                )
            )  # fmt: skip
            if len(documents) == 5000 or number == count - 1:
                await collection.insert_many(documents)
                documents = []

    async def watch(self) -> float:
        """Seconds from the start of the watcher's process until it watches."""
        began = time.perf_counter()
        self._watcher = self._launch("-m", "tests.bench.alert_watcher", stdout=subprocess.PIPE)
        assert self._watcher.stdout is not None
        line = await asyncio.to_thread(self._watcher.stdout.readline)
        if not line.startswith(b"ready"):
            raise RuntimeError(f"the watcher did not start: {Path(self._log.name).read_text()[-2000:]}")
        return time.perf_counter() - began

    def work(self, name: str) -> None:
        """A worker on a list."""
        self._launch("-m", "crypto_mcp.cli", "worker", name)

    async def warm_up(self, storm: Storm) -> None:
        """The worker is there, and its first jobs are over."""
        until = time.monotonic() + 120
        symbol = "S000USDT"
        while True:
            await storm.jump(symbol, _START * 1.05)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    if await self.redis.brpop(["notifications:queue"], timeout=1):
                        break
            if time.monotonic() > until:
                raise RuntimeError(f"no worker: {Path(self._log.name).read_text()[-2000:]}")
        await storm.jump(symbol, _START)
        while await self.redis.brpop(["notifications:queue"], timeout=1):
            pass

    def watcher_rss(self) -> float:
        assert self._watcher is not None
        return psutil.Process(self._watcher.pid).memory_info().rss / 1e6

    async def tell(self, storm: Storm, people: int) -> list[float]:
        """Seconds from a tick to the request for its message at the sandbox's Meta, one after the other."""
        owners = [await self._person(number) for number in range(people)]
        found = []
        for turn in range(_MESSAGES_EACH):
            for place, (owner, number) in enumerate(owners):
                symbol, level = f"T{turn}{place:03d}USDT", Decimal(100)
                document = price_document(f"alert_t{turn}_{place}", symbol, "above", level, owner=owner)
                await self.services.mongo.alerts.insert(document)
                await self.redis.publish(ALERTS_CHANNEL, orjson.dumps([document["alert_id"]]))
                await asyncio.sleep(0.3)
                began = await storm.jump(symbol, 101.0)
                found.append(await self._arrives(number, symbol) - began)
        return found[max(1, people // 10) :]

    async def _person(self, place: int) -> tuple[str, str]:
        """An owner whose WhatsApp channel is verified with the code that came to the phone."""
        owner, number = f"person-{place}", f"+1202555{1000 + place}"
        await self.services.channels.add(owner, "whatsapp", number=number)
        code = (await self._message(number, "is your code"))["text"].split("*")[1]
        await self.services.channels.verify(owner, "whatsapp", code)
        return owner, number

    async def _arrives(self, number: str, symbol: str) -> float:
        return float((await self._message(number, symbol))["at"]) / 1000

    async def _message(self, number: str, words: str) -> dict[str, Any]:
        """Waits for a message on a phone."""
        async with asyncio.timeout(60):
            while True:
                answer = await asyncio.to_thread(self.sandbox.get, "/sandbox/phone/state", number=number)
                phone = answer.json()["phone"]
                for message in phone["messages"] if phone and phone["number"] == number.lstrip("+") else ():
                    if words in message["text"]:
                        found: dict[str, Any] = message
                        return found
                await asyncio.sleep(0.02)

    def _launch(self, *command: str, **how: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, *command], env=os.environ | _environment(self.settings), stderr=self._log, **how
        )
        self.processes.append(process)
        return process

    async def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            await asyncio.to_thread(process.wait, 40)
        await self.services.close()


@asynccontextmanager
async def _bench() -> AsyncIterator[Bench]:
    with (
        TemporaryDirectory(prefix="bench-alerts-") as folder,
        running_sandbox(whatsapp_token=SecretStr(_TOKEN), whatsapp_app_secret=SecretStr(_SECRET)) as sandbox,
    ):
        servers = Servers.under(Path(folder))
        await asyncio.gather(servers.redis.start(), servers.mongo.start())
        redis = Redis.from_url(servers.redis.url(2))
        bench = Bench(servers, sandbox, redis, Path(folder))
        try:
            yield bench
        finally:
            await bench.stop()
            await redis.aclose()
            await servers.redis.kill()
            await servers.mongo.kill()


def _settings(servers: Servers, sandbox: SandboxServer) -> Settings:
    redis = {f"{use}_url": servers.redis.url(db) for db, use in enumerate(("cache", "session", "queue"))}
    return Settings(
        _env_file=None,
        redis=RedisSettings.model_validate(redis),
        mongo=MongoSettings.model_validate({"url": servers.mongo.admin_url, "database": "bench", "timeout": 10}),
        market=MarketSettings(binance_url=sandbox.url, binance_stream_url=sandbox.streams),
        notify=NotifySettings(
            encryption_key=SecretStr(secrets.token_hex(20)),
            meta_url=f"{sandbox.url}/graph",
            meta_phone_id="100000000000001",
            meta_token=SecretStr(_TOKEN),
            meta_app_secret=SecretStr(_SECRET),
        ),
    )


def _environment(settings: Settings) -> dict[str, str]:
    notify, redis = settings.notify, settings.redis
    found = {
        "REDIS__CACHE_URL": redis.cache_url.get_secret_value(),
        "REDIS__SESSION_URL": redis.session_url.get_secret_value(),
        "REDIS__QUEUE_URL": redis.queue_url.get_secret_value(),
        "MONGO__URL": settings.mongo.url.get_secret_value(),
        "MONGO__DATABASE": settings.mongo.database,
        "MONGO__TIMEOUT": str(settings.mongo.timeout),
        "MARKET__BINANCE_URL": settings.market.binance_url,
        "MARKET__BINANCE_STREAM_URL": settings.market.binance_stream_url,
        "NOTIFY__ENCRYPTION_KEY": notify.encryption_key.get_secret_value() if notify.encryption_key else "",
        "NOTIFY__META_URL": notify.meta_url,
        "NOTIFY__META_PHONE_ID": notify.meta_phone_id or "",
        "NOTIFY__META_TOKEN": _TOKEN,
        "NOTIFY__META_APP_SECRET": _SECRET,
        "LOG__LEVEL": "WARNING",
        "LOG__FORMAT": "json",
    }
    return {f"CRYPTO_MCP_{name}": value for name, value in found.items()}
