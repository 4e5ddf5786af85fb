"""The scheduler process: one leads and does what happens by the clock, the others stand by."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
import uvloop
from redis.exceptions import RedisError

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.jobs import keys
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.jobs.connection import connect
from crypto_mcp.jobs.dead import DeadLetters
from crypto_mcp.jobs.leases import return_orphans
from crypto_mcp.jobs.scripting import Scripts, unavailable
from crypto_mcp.stores.mongo import MongoStore
from crypto_mcp.stores.postgres import PostgresStore
from scheduler.alerts.revival import EVERY as REVIVAL_EVERY
from scheduler.alerts.revival import Revival
from scheduler.alerts.role import AlertSweeping, WatcherRole
from scheduler.backup.duty import Backups
from scheduler.equity import EquitySampling
from scheduler.feed.role import FeedRole
from scheduler.leader import Leadership
from scheduler.monitoring.monitor import EVERY as MONITOR_EVERY
from scheduler.monitoring.monitor import Monitor
from scheduler.scaling.autoscaler import Autoscaler
from scheduler.scaling.docker import DockerSwarm

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from redis.asyncio import Redis

    from crypto_mcp.settings import Settings

_ALIVE_FOR = 15
"""Seconds a scheduler counts as alive after its last turn."""

log = structlog.get_logger(__name__)


def run(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT."""
    uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    redis = connect(settings.redis.queue_url, settings.redis)
    scripts = Scripts(redis)
    leadership = Leadership(scripts)
    feed = asyncio.create_task(FeedRole(settings).run(stop))
    watcher = asyncio.create_task(WatcherRole(settings).run(stop))
    jobs = JobClient(redis, settings.queue)
    equity, sweeping = EquitySampling(jobs), AlertSweeping(jobs)
    swarm = DockerSwarm(settings.scaling.docker_url, settings.scaling.stack) if settings.scaling.mode == "on" else None
    scaler = Autoscaler(settings.scaling, jobs, redis, swarm)
    backups = asyncio.create_task(Backups(settings, redis).run(leadership, stop))
    mongo, postgres = MongoStore(settings.mongo), PostgresStore(settings.postgres)
    probes: dict[str, Callable[[], Awaitable[object]]] = {"mongodb": mongo.ping}
    if "postgres" in settings.model_fields_set:
        probes["postgresql"] = postgres.ping
    monitor = Monitor(settings, jobs, redis, probes)
    watching = asyncio.create_task(_while_leading(leadership, stop, MONITOR_EVERY, monitor.turn))
    revival = Revival(jobs, DeadLetters(redis, settings.queue))
    reviving = asyncio.create_task(_while_leading(leadership, stop, REVIVAL_EVERY, revival.turn))
    scaling = asyncio.create_task(_while_leading(leadership, stop, settings.scaling.every, scaler.turn))
    was_leading = False
    while not stop.is_set():
        try:
            leads = await leadership.claim()
            await _show_alive(redis, settings.queue.alive_file)
            if leads:
                await _duties(redis, scripts, settings)
                await equity.turn(datetime.now(UTC))
                await sweeping.turn(datetime.now(UTC))
        except StoreUnavailable as error:
            log.warning("waiting for Redis", error=error.message)
        if leadership.leading != was_leading:
            was_leading = leadership.leading
            log.info("leads" if was_leading else "stands by", token=leadership.token)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(settings.queue.look_every):
                await stop.wait()
    await asyncio.gather(feed, watcher, scaling, backups, watching, reviving)
    await mongo.close()
    await postgres.close()
    if swarm is not None:
        await swarm.close()
    with contextlib.suppress(StoreUnavailable):
        await leadership.resign()
    await redis.aclose()


async def _while_leading(
    leadership: Leadership, stop: asyncio.Event, every: float, turn: Callable[[], Awaitable[object]]
) -> None:
    """Does something again and again while this scheduler leads, beside the leader's turns: it may take its time."""
    while not stop.is_set():
        if leadership.leading:
            try:
                await turn()
            except StoreUnavailable as error:
                log.warning("waiting for a store", error=error.message)
            except Exception:
                log.exception("a duty failed", duty=turn.__qualname__)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every):
                await stop.wait()


async def _show_alive(redis: Redis, file: Path | None) -> None:
    """To others, and to the health check of a container. Raises `StoreUnavailable`."""
    try:
        await redis.set(keys.scheduler(keys.host_part(socket.gethostname())), b"1", ex=_ALIVE_FOR)
    except (RedisError, OSError) as error:
        raise unavailable(error) from error
    if file is not None:
        await asyncio.to_thread(file.touch)


async def _duties(redis: Redis, scripts: Scripts, settings: Settings) -> None:
    """What the leader does at every turn."""
    for worker, jobs in (await return_orphans(redis, scripts, settings.queue)).items():
        log.warning("returned the jobs of a dead worker", dead=worker, jobs=jobs)
