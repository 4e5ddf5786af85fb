"""`python -m tests.chaos.feed`: two schedulers feed from a sandbox whose minutes pass in a second; everything breaks.

Leaders are killed and paused, streams cut and silenced, last events lost and repeated, Redis restarted. Afterwards
every minute that closed is counted: in the archive and in the stream of bars it has to be once, with the exchange's
figures.
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
from pathlib import Path

import uvloop
from redis.exceptions import RedisError

from crypto_mcp.jobs.connection import connect
from crypto_mcp.market.binance import BinanceSpot
from crypto_mcp.market.candle_archive import CandleArchive
from crypto_mcp.market.coverage import Span
from crypto_mcp.market.live import BARS, ClosedBar
from crypto_mcp.market.watching import want
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.settings import MarketSettings, MongoSettings, RedisSettings, Settings
from crypto_mcp.stores.mongo import MongoStore
from tests.sandbox_server import SandboxServer, running_sandbox
from tests.servers import Servers

MINUTE = 60_000
M1 = Timeframe.M1


@dataclass(frozen=True)
class FeedTally:
    """What became of the bars."""

    bars: int
    missing_in_archive: int
    wrong_in_archive: int
    twice_in_archive: int
    missing_in_stream: int
    twice_in_stream: int

    @property
    def kept(self) -> bool:
        """Whether each bar was there once."""
        return self.bars > 0 and sum(asdict(self).values()) == self.bars


class FeedChaos:
    """One run."""

    def __init__(self, options: argparse.Namespace, folder: Path, sandbox: SandboxServer) -> None:
        self.options = options
        self.sandbox = sandbox
        self.chance = random.Random(options.seed)
        self.servers = Servers.under(folder)
        self.log = (folder / "schedulers.log").open("ab")
        self.symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT", *(f"SBX{n:03d}USDT" for n in range(1, options.symbols - 2))]
        self.schedulers: list[subprocess.Popen[bytes]] = []
        self.done: Counter[str] = Counter()
        self.lost: list[tuple[str, int]] = []

    @property
    def settings(self) -> Settings:
        """What the schedulers run with."""
        redis = {f"{use}_url": self.servers.redis.url(db) for db, use in enumerate(("cache", "session", "queue"))}
        return Settings(
            _env_file=None,
            redis=RedisSettings.model_validate(redis),
            mongo=MongoSettings.model_validate({"url": self.servers.mongo.admin_url, "database": "feed_chaos"}),
            market=MarketSettings(
                binance_url=self.sandbox.url, binance_stream_url=self.sandbox.streams, stream_stale_after=2
            ),
        )

    async def run(self) -> FeedTally:
        """From start to count."""
        await asyncio.gather(self.servers.redis.start(), self.servers.mongo.start())
        queue = connect(self.settings.redis.queue_url, self.settings.redis)
        try:
            await want(queue, "chaos", {symbol: [M1] for symbol in self.symbols})
            self.schedulers = [self.spawn() for _ in range(2)]
            first = await self.first_bars(queue)
            breaking = [asyncio.create_task(part()) for part in (self.kill, self.pause, self.spoil, self.restart)]
            passing = asyncio.create_task(self.pass_time())
            await passing
            for task in breaking:
                task.cancel()
            await asyncio.gather(*breaking, return_exceptions=True)
            self.sandbox.mend()
            if self.servers.redis.pid is None:
                await self.servers.redis.start()
            return await self.count(queue, first)
        finally:
            self.end()
            await queue.aclose()
            await self.servers.redis.kill()
            await self.servers.mongo.kill()

    def spawn(self) -> subprocess.Popen[bytes]:
        """A scheduler process."""
        settings = self.settings
        own = {
            "REDIS__CACHE_URL": settings.redis.cache_url.get_secret_value(),
            "REDIS__SESSION_URL": settings.redis.session_url.get_secret_value(),
            "REDIS__QUEUE_URL": settings.redis.queue_url.get_secret_value(),
            "MONGO__URL": settings.mongo.url.get_secret_value(),
            "MONGO__DATABASE": settings.mongo.database,
            "MARKET__BINANCE_URL": settings.market.binance_url,
            "MARKET__BINANCE_STREAM_URL": settings.market.binance_stream_url,
            "LOG__FORMAT": "json",
            "MARKET__STREAM_STALE_AFTER": str(settings.market.stream_stale_after),
        }
        environment = os.environ | {f"CRYPTO_MCP_{name}": value for name, value in own.items()}
        return subprocess.Popen(
            [sys.executable, "-m", "crypto_mcp.cli", "scheduler"], env=environment, stderr=self.log, stdout=self.log
        )

    async def first_bars(self, queue: object) -> dict[str, int]:
        """Open time of the first bar told of each symbol, once all have one."""
        async with asyncio.timeout(120):
            while True:
                first: dict[str, int] = {}
                for bar in await bars_in(queue):
                    first.setdefault(bar.symbol, bar.open_time)
                if len(first) == len(self.symbols):
                    return first
                await asyncio.sleep(0.2)

    async def pass_time(self) -> None:
        """The exchange's minutes pass, one in about a second."""
        until = time.monotonic() + self.options.seconds
        while time.monotonic() < until:
            await asyncio.sleep(self.options.minute)
            self.sandbox.clock.ahead += MINUTE - int(self.options.minute * 1000)

    async def kill(self) -> None:
        """SIGKILL for one scheduler after the other; each is replaced."""
        while True:
            await asyncio.sleep(self.chance.uniform(0.6, 1.4) * self.options.kill_every)
            place = self.chance.randrange(2)
            self.schedulers[place].kill()
            self.schedulers[place].wait()
            self.schedulers[place] = self.spawn()
            self.done["kills"] += 1

    async def pause(self) -> None:
        """SIGSTOP, longer than the leader's lock lasts: it goes on in the belief that it leads."""
        while True:
            await asyncio.sleep(self.chance.uniform(0.6, 1.4) * 3 * self.options.kill_every)
            paused = self.chance.choice(self.schedulers)
            with contextlib.suppress(ProcessLookupError):
                os.kill(paused.pid, signal.SIGSTOP)
                self.done["pauses"] += 1
                await asyncio.sleep(7)
                os.kill(paused.pid, signal.SIGCONT)

    async def spoil(self) -> None:
        """The exchange's bad days, one after the other."""
        days: list[dict[str, object]] = [
            {"kind": "cut", "path": "/stream", "times": 1},
            {"kind": "silent"},
            {"kind": "missing_close", "probability": 0.3},
            {"kind": "repeated_close", "probability": 0.5},
            {"kind": "out_of_order", "probability": 0.5},
            {"kind": "shutdown", "times": 1},
            {"kind": "status", "status": 503, "path": "/api/v3/klines", "probability": 0.3},
        ]
        while True:
            day = self.chance.choice(days)
            await asyncio.to_thread(self.sandbox.fault, **day)
            self.done[str(day["kind"])] += 1
            await asyncio.sleep(self.chance.uniform(1, 5))
            await asyncio.to_thread(self.sandbox.mend)
            await asyncio.sleep(self.chance.uniform(0, 2))

    async def restart(self) -> None:
        """Redis is killed and comes back."""
        for _ in range(self.options.restarts):
            await asyncio.sleep(self.options.seconds / (self.options.restarts + 1))
            await self.servers.redis.kill()
            await asyncio.sleep(1)
            await self.servers.redis.start()
            self.done["redis_restarts"] += 1

    async def count(self, queue: object, first: dict[str, int]) -> FeedTally:
        """Waits until nothing more comes, then counts."""
        last = self.sandbox.clock() // MINUTE * MINUTE - MINUTE
        market, mongo = BinanceSpot(self.settings.market), MongoStore(self.settings.mongo)
        archive = CandleArchive(mongo.candles, market)
        expected = {symbol: await asyncio.to_thread(self.at_exchange, symbol, first[symbol], last) for symbol in first}
        deadline = time.monotonic() + self.options.patience
        while True:
            with contextlib.suppress(RedisError, OSError):
                tally = self.compare(expected, await self.kept(archive, first, last), await bars_in(queue), last)
                if tally.kept or time.monotonic() > deadline:
                    break
            await asyncio.sleep(1)
        await market.close()
        await mongo.close()
        return tally

    async def kept(self, archive: CandleArchive, first: dict[str, int], last: int) -> dict[str, list[ClosedBar]]:
        """The archive's bars by symbol."""
        return {
            symbol: ClosedBar.each_of(
                symbol, M1, (await archive.read(symbol, M1, Span(start, last + MINUTE))).candles, "sandbox"
            )
            for symbol, start in first.items()
        }

    def compare(
        self,
        expected: dict[str, list[ClosedBar]],
        archived: dict[str, list[ClosedBar]],
        told: list[ClosedBar],
        last: int,
    ) -> FeedTally:
        """The figures."""
        want = [bar for bars in expected.values() for bar in bars]
        have = [bar for bars in archived.values() for bar in bars]
        by_name = {(bar.symbol, bar.open_time): bar for bar in have}
        stream = Counter((bar.symbol, bar.open_time) for bar in told if bar.open_time <= last)
        self.lost = sorted((bar.symbol, bar.open_time) for bar in want if (bar.symbol, bar.open_time) not in by_name)
        return FeedTally(
            bars=len(want),
            missing_in_archive=sum((bar.symbol, bar.open_time) not in by_name for bar in want),
            wrong_in_archive=sum(by_name.get((bar.symbol, bar.open_time), bar) != bar for bar in want),
            twice_in_archive=len(have) - len(by_name),
            missing_in_stream=sum((bar.symbol, bar.open_time) not in stream for bar in want),
            twice_in_stream=sum(count - 1 for count in stream.values()),
        )

    def at_exchange(self, symbol: str, first: int, last: int) -> list[ClosedBar]:
        """What REST has."""
        answer = self.sandbox.get(
            "/api/v3/klines", symbol=symbol, interval="1m", startTime=first, endTime=last, limit=1000
        )
        return [ClosedBar._make((symbol, M1, row[0], *map(float, row[1:6]), "sandbox")) for row in answer.json()]

    def end(self) -> None:
        """The survivors end."""
        for scheduler in self.schedulers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(scheduler.pid, signal.SIGCONT)
                scheduler.kill()
            scheduler.wait()


async def bars_in(queue: object) -> list[ClosedBar]:
    """Every bar in the stream."""
    return [ClosedBar.decoded(fields[b"bar"]) for _, fields in await queue.xrange(BARS)]  # type: ignore[attr-defined]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.feed", description=__doc__)
    parser.add_argument("--symbols", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long things break")
    parser.add_argument("--minute", type=float, default=1.0, help="seconds in which a minute of the exchange passes")
    parser.add_argument("--kill-every", type=float, default=8.0, help="seconds between two SIGKILLs, about")
    parser.add_argument("--restarts", type=int, default=2, help="restarts of Redis")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds after which missing bars count as lost")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args(arguments)
    if options.seed is None:
        options.seed = secrets.randbelow(1_000_000)
    return options


def main(arguments: list[str] | None = None) -> int:
    """Runs, prints a table and a last line of JSON; 1 if a bar was lost, wrong, or there twice."""
    options = parse(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-feed-") as folder, running_sandbox() as sandbox:
        chaos = FeedChaos(options, Path(folder), sandbox)
        tally = uvloop.run(chaos.run())
        if not tally.kept:
            print("lost:", chaos.lost[:20], file=sys.stderr)
            print((Path(folder) / "schedulers.log").read_text()[-4000:], file=sys.stderr)
    figures = {**asdict(tally), **chaos.done, "seed": options.seed, "seconds": round(time.monotonic() - began, 1)}
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):28} {value}")
    print(json.dumps(figures))
    return 0 if tally.kept else 1


if __name__ == "__main__":
    sys.exit(main())
