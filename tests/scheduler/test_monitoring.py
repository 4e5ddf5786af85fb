"""System alerts: told once, after they lasted, to the operators; and figures of a container."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import orjson
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.jobs import keys
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.settings import BackupSettings, MonitorSettings
from crypto_mcp.vitals import Vitals
from scheduler.monitoring.monitor import Monitor, rules
from scheduler.monitoring.thresholds import News, Reading, Rule, Watch

if TYPE_CHECKING:
    from pathlib import Path

    from crypto_mcp.settings import Settings

CPU = Rule("cpu", "Processors are busy", 80.0, " %", lasting=60.0, hint="Add some.")


def told(watch: Watch, at: float, **values: float) -> list[tuple[bool, set[str]]]:
    """What is new at a moment, with readings of `cpu` by subject."""
    news = watch.look(at, [Reading("cpu", subject, value) for subject, value in values.items()])
    return [(each.raised, set(each.subjects)) for each in news]


def test_a_state_is_told_after_it_lasted_and_once_however_it_swings() -> None:
    """Peaks are not told; what lasts is, once; it is over only well below the threshold, when all subjects are."""
    watch = Watch([CPU])
    assert told(watch, 0, a=95, b=10) == []
    assert told(watch, 30, a=50, b=10) == []
    assert told(watch, 40, a=95, b=95) == []
    assert told(watch, 100, a=95, b=95) == [(True, {"a", "b"})]
    assert told(watch, 110, a=75, b=95) == []
    assert told(watch, 120, a=95, b=95) == []
    assert watch.raised() == {"cpu": 2}
    assert told(watch, 130, a=20, b=95) == []
    assert told(watch, 140, a=20) == [(False, {"b"})]
    assert watch.raised() == {"cpu": 0}


def test_a_message_says_what_where_how_much_and_what_to_do() -> None:
    """On a phone that is all there is."""
    news = News(CPU, raised=True, subjects={"front end a-1": 93.24})
    assert news.title == "Processors are busy"
    assert news.text == "front end a-1: 93.2 %\n(told above 80 %)\nAdd some."


def test_the_specified_thresholds_are_the_defaults() -> None:
    """CPU 80 %, memory 85 %, errors 5 %, response 1000 ms."""
    known = {rule.name: rule.threshold for rule in rules(MonitorSettings())}
    assert (known["cpu"], known["memory"], known["errors"], known["slow"]) == (80, 85, 5, 1000)


async def test_every_threshold_reaches_the_operators_through_the_queue(settings: Settings) -> None:
    """A front end that is busy, full, failing, slow and besieged, and a store that is away: six messages, each once."""
    settings = settings.model_copy(update={"monitor": MonitorSettings(operators=["ops"], lasting=0, dead_man_hour=-1)})

    async def away() -> None:
        raise StoreUnavailable("MongoDB does not answer")

    async with Redis.from_url(settings.redis.queue_url.get_secret_value()) as redis:
        monitor = Monitor(settings, JobClient(redis, settings.queue), redis, {"mongodb": away})
        said = {"cpu_percent": 93.0, "memory_percent": 91.0, "calls": 100, "errors": 9, "p95_ms": 2100, "refused": 99}
        await redis.set(f"{keys.FRONT_VITALS}web-1", orjson.dumps(said))
        news = await monitor.turn()
        assert {"cpu", "memory", "errors", "slow", "refused", "away"} <= {each.rule.name for each in news}
        later = await monitor.turn()  # this process may have become busy meanwhile
        assert not _raised(news) & _raised(later)
        sent = [orjson.loads(raw)["params"] for raw in await redis.lrange("notifications:queue", 0, -1)]
        assert len(sent) == len(news) + len(later)
        assert {row["priority"] for row in sent} == {"critical"}
        assert any("front end web-1: 2100 ms" in row["text"] for row in sent)
        assert orjson.loads(await redis.get(keys.RAISED))["away"] == 1


async def test_changes_that_are_not_backed_up_are_told_long_before_the_next_daily_backup_is_missed(
    settings: Settings,
) -> None:
    """Seven minutes without one are told; while a full copy is made there is none, so what that took is no delay."""
    settings = settings.model_copy(update={"backup": BackupSettings(repository="/backups", key=SecretStr("k"))})
    async with Redis.from_url(settings.redis.queue_url.get_secret_value()) as redis:
        monitor = Monitor(settings, JobClient(redis, settings.queue), redis, {})
        now = time.time()
        said = {"full_at": now - 3600, "tail_at": now - 420, "full_seconds": 200}
        await redis.set(keys.BACKUP, orjson.dumps(said))
        assert not {"changes", "backup"} & {news.rule.name for news in await monitor.turn()}
        await redis.set(keys.BACKUP, orjson.dumps(said | {"full_seconds": 20}))
        told = {news.rule.name: news for news in await monitor.turn()}
        assert "backup" not in told
        assert "backups: 400 s" in told["changes"].text
        await redis.set(keys.BACKUP, orjson.dumps(said | {"tail_at": now}))
        assert [news.raised for news in await monitor.turn() if news.rule.name == "changes"] == [False]


def _raised(news: list[News]) -> set[tuple[str, str]]:
    return {(each.rule.name, subject) for each in news for subject in each.subjects}


@pytest.mark.parametrize("version", [1, 2])
def test_in_a_container_its_own_limits_count(tmp_path: Path, version: int) -> None:
    """Half a processor that is used up is 100 %, and cache that can be dropped is not memory in use."""
    files = {
        2: {
            "cpu.max": "50000 100000",
            "cpu.stat": "usage_usec {used}",
            "memory.max": "1000",
            "memory.current": "900",
            "memory.stat": "anon 1\ninactive_file 100",
        },
        1: {
            "cpu/cpu.cfs_quota_us": "50000",
            "cpu/cpu.cfs_period_us": "100000",
            "cpuacct/cpuacct.usage": "{used}000",
            "memory/memory.limit_in_bytes": "1000",
            "memory/memory.usage_in_bytes": "900",
            "memory/memory.stat": "total_inactive_file 100",
        },
    }[version]

    def write(used: int) -> None:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text.format(used=used) + "\n")

    write(0)
    vitals = Vitals(cgroup=tmp_path)
    write(3_600_000_000)
    vital = vitals.take()
    assert vital.cpu_percent == 100.0
    assert vital.memory_percent == 80.0
    assert vital.rss_mb > 1
    assert vital.files > 1
