"""The leader's duty: read how everything stands, tell operators what is wrong, show every day that somebody looks."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from redis.exceptions import RedisError

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.job_kind import LISTS
from crypto_mcp.jobs import keys
from crypto_mcp.jobs.dead import DeadLetters
from crypto_mcp.jobs.leases import known_workers
from crypto_mcp.jobs.scripting import unavailable
from crypto_mcp.models.notifications import Notification
from crypto_mcp.vitals import Vitals
from scheduler.monitoring.thresholds import News, Reading, Rule, Watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from redis.asyncio import Redis

    from crypto_mcp.jobs.client import JobClient
    from crypto_mcp.settings import MonitorSettings, Settings

log = structlog.get_logger(__name__)

EVERY = 10.0
_PROBE_WITHIN = 3.0
_LONG_WAIT = 60.0
_REFUSED_A_MINUTE = 60.0
_BACKUP_OLD_HOURS = 26.0
_CHANGES_OLD = 300.0
"""Seconds: what a disaster may cost by the specification."""
_LEAST_CALLS = 20
_LONGEST_TEXT = 3000


def rules(settings: MonitorSettings) -> list[Rule]:
    """What is told, with the specification's thresholds where it has them."""
    lasting = settings.lasting
    return [
        Rule("cpu", "Processors are busy", settings.cpu_percent, " %", lasting, "Add replicas, or a node."),
        Rule("memory", "Memory is short", settings.memory_percent, " %", lasting, "Restart what leaks; add memory."),
        Rule("errors", "Calls fail", settings.error_percent, " %", lasting, "`crypto-mcp doctor`, then the logs."),
        Rule("slow", "Answers are slow", settings.response_ms, " ms", lasting, "Look at queue ages and providers."),
        Rule(
            "away", "A system does not answer", 0.5, "", min(lasting, 20.0), "`crypto-mcp doctor` says why.", state=True
        ),
        Rule("waiting", "Jobs wait for long", _LONG_WAIT, " s", lasting, "docs/operations.md: the queue grows."),
        Rule("dead", "Jobs failed for good", 0.5, "", 0.0, "`crypto-mcp dead list`; replay what was repaired."),
        Rule(
            "refused",
            "Many calls are refused",
            _REFUSED_A_MINUTE,
            " a minute",
            lasting,
            "Somebody tries keys.",
        ),
        Rule("backup", "The last backup is old", _BACKUP_OLD_HOURS, " h", 0.0, "Look at the scheduler's log."),
        Rule("changes", "Changes are not backed up", _CHANGES_OLD, " s", 0.0, "Scheduler's log; is a disk full?"),
    ]


class Monitor:
    """Reads, decides, tells. `turn` raises `StoreUnavailable` if the queue's Redis is away: then nobody can be told."""

    def __init__(
        self,
        settings: Settings,
        jobs: JobClient,
        redis: Redis,
        probes: Mapping[str, Callable[[], Awaitable[object]]],
    ) -> None:
        self._settings = settings.monitor
        self._backed_up = bool(settings.backup.repository and settings.backup.key)
        self._jobs, self._redis, self._probes = jobs, redis, probes
        self._dead = DeadLetters(redis, settings.queue)
        self._watch = Watch(rules(settings.monitor))
        self._vitals = Vitals()
        self._since = time.time()  # no backup is missed before there was time for one
        self._dead_before: dict[str, int] | None = None
        self._shown: str | None = None

    async def turn(self) -> list[News]:
        """What is new since the last turn; it is told to the operators."""
        readings = await self._readings()
        news = self._watch.look(time.monotonic(), readings)
        for each in news:
            await self._tell(each)
        await self._sign_of_life(datetime.now(UTC))
        await self._publish()
        return news

    async def _readings(self) -> list[Reading]:
        found = [*_of_machine("scheduler", asdict(self._vitals.take()))]
        try:
            for name, info in (await known_workers(self._redis)).items():
                vitals = (info or {}).get("vitals")
                if isinstance(vitals, dict):
                    found += _of_machine(f"worker {name}", vitals)
            fronts = await self._fronts()
            status = await self._redis.get(keys.BACKUP)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        for name, said in fronts.items():
            found += [*_of_machine(f"front end {name}", said), *_of_calls(f"front end {name}", said)]
        found += [Reading("waiting", name, age or 0.0) for name, age in (await self._jobs.ages(*LISTS)).items()]
        found += await self._dead_readings()
        if self._backed_up:
            found += self._of_backups(orjson.loads(status) if status else {})
        return [*found, *await asyncio.gather(*(_probe(name, probe) for name, probe in self._probes.items()))]

    def _of_backups(self, said: Mapping[str, Any]) -> list[Reading]:
        """How old they are. While a full copy is made no changes are kept, so what that takes is no delay."""
        full, tail = (time.time() - float(said.get(name, self._since)) for name in ("full_at", "tail_at"))
        late = tail - float(said.get("full_seconds", 0.0))
        return [Reading("backup", "backups", full / 3600), Reading("changes", "backups", max(0.0, late))]

    async def _fronts(self) -> dict[str, dict[str, Any]]:
        names = [key async for key in self._redis.scan_iter(f"{keys.FRONT_VITALS}*", count=500)]
        texts = await self._redis.mget(names) if names else []
        pairs = zip(names, texts, strict=True)
        return {n.decode().removeprefix(keys.FRONT_VITALS): orjson.loads(t) for n, t in pairs if t is not None}

    async def _dead_readings(self) -> list[Reading]:
        """Only those that came since the last turn: who has been told need not be told again."""
        counts = await self._dead.counts()
        before, self._dead_before = self._dead_before or counts, counts
        return [Reading("dead", name, max(0, count - before.get(name, 0))) for name, count in counts.items()]

    async def _tell(self, news: News) -> None:
        say = log.error if news.raised else log.info
        say("system alert", rule=news.rule.name, raised=news.raised, subjects=news.subjects)
        moment = datetime.now(UTC)
        name = f"system-{news.rule.name}-{'on' if news.raised else 'off'}-{1000 * moment.timestamp():.0f}"
        await self._notify(name, news.title, news.text, moment)

    async def _sign_of_life(self, now: datetime) -> None:
        """Once a day at its hour: who does not get it knows that nobody watches."""
        if now.hour != self._settings.dead_man_hour or self._shown == f"{now:%Y%m%d}":
            return
        self._shown = f"{now:%Y%m%d}"
        standing = [f"{name}: {count}" for name, count in self._watch.raised().items() if count]
        text = "\n".join(standing) or "Nothing is wrong."
        await self._notify(f"system-alive-{now:%Y%m%d}", "Crypto MCP is watched", text, now, priority="normal")

    async def _notify(self, name: str, title: str, text: str, at: datetime, *, priority: str = "critical") -> None:
        """The same id twice is one message, also over a change of leaders."""
        for owner in self._settings.operators:
            whose = hashlib.sha256(owner.encode()).hexdigest()[:10]  # a client's name may be long, or hold any sign
            told = Notification.model_validate(
                {
                    "notification_id": f"{name}-{whose}",
                    "owner": owner,
                    "priority": priority,
                    "title": title,
                    "text": text[:_LONGEST_TEXT],
                    "at": at,
                    "about": "system",
                }
            )
            await self._jobs.submit(CATALOGUE["send_notification"], told, job_id=told.job_id)

    async def _publish(self) -> None:
        try:
            await self._redis.set(keys.RAISED, orjson.dumps(self._watch.raised()), ex=int(6 * EVERY))
        except (RedisError, OSError) as error:
            raise unavailable(error) from error


def _of_machine(subject: str, said: Mapping[str, Any]) -> list[Reading]:
    return [
        Reading("cpu", subject, float(said.get("cpu_percent", 0.0))),
        Reading("memory", subject, float(said.get("memory_percent", 0.0))),
    ]


def _of_calls(subject: str, said: Mapping[str, Any]) -> list[Reading]:
    """Shares of a handful of calls say nothing."""
    calls = int(said.get("calls", 0))
    share = 100 * int(said.get("errors", 0)) / calls if calls >= _LEAST_CALLS else 0.0
    slow = float(said.get("p95_ms") or 0.0) if calls >= _LEAST_CALLS else 0.0
    return [
        Reading("errors", subject, share),
        Reading("slow", subject, slow),
        Reading("refused", subject, float(said.get("refused", 0))),
    ]


async def _probe(name: str, probe: Callable[[], Awaitable[object]]) -> Reading:
    try:
        async with asyncio.timeout(_PROBE_WITHIN):
            await probe()
    except (CryptoMcpError, OSError, TimeoutError):
        return Reading("away", name, 1.0)
    return Reading("away", name, 0.0)
