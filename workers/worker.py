"""The arq worker with the shared lists in front of it.

arq has the functions with their timeouts and tries, its `Retry`, its tasks, its signals and graceful end, its health
check. Replaced is how jobs reach a worker and how they end: instead of all workers polling one sorted set and claiming
by WATCH, each is woken by its lists and has a sorted set of its own, its desk, and every move is one script.
docs/queue.md has the protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import socket
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import structlog
from arq.connections import ArqRedis
from arq.worker import Function, Worker, func
from redis.exceptions import RedisError
from structlog.contextvars import bind_contextvars

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.jobs import keys
from crypto_mcp.jobs.connection import connect, database_number, refuse_eviction, same_instance
from crypto_mcp.jobs.desk import Desk
from crypto_mcp.jobs.leases import Lease, return_orphans
from crypto_mcp.jobs.scripting import Scripts, insist
from crypto_mcp.vitals import Vitals
from workers.handlers import load, warm_up, works_cold
from workers.intake import Intake
from workers.room import Room
from workers.runner import CachePlace, Interruption, Runner

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from signal import Signals

    from crypto_mcp.job_kind import Catalogue
    from crypto_mcp.settings import Settings
    from workers.services import Services

log = structlog.get_logger(__name__)

_IDLE_BEATS_PER_CHECK = 5
"""An idle worker compares its desk with Redis only at every so many heartbeats."""

_RESUBSCRIBE_PAUSE = 1.0


def worker_name() -> str:
    """Unique for every start of a worker: host, process, and random bits."""
    return f"{keys.host_part(socket.gethostname())}-{os.getpid()}-{secrets.token_hex(3)}"


class DeskWorker(Worker):
    """One worker process: takes jobs from `lists` and runs the handlers of `catalogue`."""

    def __init__(self, settings: Settings, lists: Iterable[str], catalogue: Catalogue, services: Services) -> None:
        self.name = worker_name()
        self._vitals = Vitals()
        self.lists = tuple(lists)
        self._settings = settings.queue
        url = settings.redis.queue_url
        self._redis = connect(url, settings.redis)
        self._blocking = connect(url, settings.redis, answer_within=self._settings.block_for + 3)
        self._orders = connect(url, settings.redis, answer_within=None)
        self._scripts = Scripts(self._redis)
        self._lease = Lease(self._redis, self._scripts, self.name, self._settings)
        self._services = services
        self._numbers = itertools.count()
        self._beat_now = asyncio.Event()
        self._warm = False
        self._taking: asyncio.Task[Any] | None = None
        self._kinds = catalogue.on(*self.lists)
        functions = [
            func(load(kind), name=kind.name, timeout=kind.timeout, max_tries=kind.max_tries, keep_result=0)
            for kind in self._kinds
        ]
        super().__init__(
            functions=functions or [func(_no_kind, name="")],  # arq insists on one
            queue_name=keys.desk(self.name),
            health_check_key=f"health:{self.name}",
            health_check_interval=60,
            redis_pool=ArqRedis(self._redis.connection_pool),
            max_jobs=self._settings.max_jobs * len(self.lists),
            job_completion_wait=max(1, int(self._settings.shutdown_grace)),
        )
        desk = Desk(self._scripts, self.name, database_number(url), self._settings)
        self._runner = Runner(
            desk, catalogue, _functions(self), services, self._settings, self._cache_place(settings), self._keep
        )
        self._desk = desk
        self._intakes = [
            Intake(name, self._blocking, self._redis, desk, Room(self._places(name)), self._runner.begin)
            for name in self.lists
        ]

    @staticmethod
    def _cache_place(settings: Settings) -> CachePlace:
        cache_url = settings.redis.cache_url
        if same_instance(settings.redis.queue_url, cache_url):
            return CachePlace(database_number(cache_url), None)
        return CachePlace(None, connect(cache_url, settings.redis))

    async def main(self) -> None:
        """Runs until a signal ends it."""
        bind_contextvars(worker=self.name)  # in every line of this process: its tasks inherit it
        await insist(lambda: refuse_eviction(self._redis, allowed=self._settings.allow_eviction))
        await self._beat()
        log.info("worker started", lists=self.lists, kinds=list(self.functions))
        async with asyncio.TaskGroup() as group:
            self._taking = group.create_task(self._take_jobs(), name="intake")
            group.create_task(self._keep_alive(), name="heartbeat")
            group.create_task(self._return_orphans(), name="orphans")
            group.create_task(self._listen(), name="orders")

    def handle_sig_wait_for_completion(self, signum: Signals) -> None:
        """Takes nothing new; running jobs get the grace to finish, then arq cancels them."""
        if self._taking is not None:
            self._taking.cancel()
        self._runner.forget_retries()
        super().handle_sig_wait_for_completion(signum)

    async def close(self) -> None:
        """Gives back what the desk still holds and closes the connections."""
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        await self._blocking.aclose()
        await self._orders.aclose()
        with contextlib.suppress(StoreUnavailable):
            log.info("worker left", returned=await self._lease.leave())
        with contextlib.suppress(RedisError, OSError):
            await self._redis.delete(self.health_check_key)
        await self._redis.aclose()
        await self._services.close()

    def _places(self, list_name: str) -> int:
        """Jobs of a list at once. What computes waits on the list, where another worker can take it."""
        if list_name == "backtest:queue":
            return min(self._settings.max_jobs, self._settings.jobs_a_core * (os.cpu_count() or 1))
        return self._settings.max_jobs

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Starts a task where arq finds what it has to wait for."""
        name = str(next(self._numbers))
        task = asyncio.ensure_future(work)
        self.tasks[name] = task
        task.add_done_callback(lambda _: self._ended(name, task))
        return task

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        del self.tasks[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a job's task broke", exc_info=error)

    async def _take_jobs(self) -> None:
        """Takes jobs until cancelled: while it warms up where handlers can work meanwhile, else once it is warm."""
        with contextlib.suppress(asyncio.CancelledError):
            warming = asyncio.ensure_future(self._warm_up())
            if not works_cold(self._kinds):
                await warming
            await asyncio.gather(warming, *(intake.run(self._settings.block_for) for intake in self._intakes))

    async def _warm_up(self) -> None:
        """In a thread, so that the heartbeat goes on."""
        began = time.monotonic()
        await asyncio.to_thread(warm_up, self._kinds)
        self._warm = True
        log.info("worker warm", seconds=round(time.monotonic() - began, 1))

    async def _keep_alive(self) -> None:
        """Renews the heartbeat; with jobs on the desk, on an order, and now and then anyway, compares the desk too."""
        for turn in itertools.count(1):
            ordered = await _set_within(self._beat_now, self._settings.heartbeat_every)
            self._beat_now.clear()
            idle = not ordered and not self._runner.held and turn % _IDLE_BEATS_PER_CHECK
            if not idle or not await insist(lambda: self._lease.renew(self._info())):
                await self._beat()
            if self._settings.alive_file is not None:
                self._settings.alive_file.touch()
            with contextlib.suppress(RedisError, OSError):
                await self.record_health()

    async def _beat(self) -> None:
        """Renews the heartbeat, waiting out a Redis that is away, and acts on what it brings back."""
        running = self._runner.running()
        beat = await insist(lambda: self._lease.beat(self._info()))
        if not beat.kept and running:
            log.warning("the heartbeat had run out", running=len(running))
        for job_id in running - beat.desk:
            self._runner.interrupt(job_id, Interruption.LOST)
        for job_id in beat.cancels:
            self._runner.interrupt(job_id, Interruption.BY_REQUEST)
        for job_id in beat.desk - self._runner.held.keys():
            log.warning("returned a job held unknowingly", job_id=job_id)
            with contextlib.suppress(StoreUnavailable):
                await self._desk.release(job_id)

    def _info(self) -> dict[str, object]:
        """What the heartbeat says of the worker; arq's own counters follow."""
        counts = self._runner.counts
        self.jobs_complete, self.jobs_failed, self.jobs_retried = counts["done"], counts["failed"], counts["retried"]
        vitals = asdict(self._vitals.take())
        held = len(self._runner.held)
        return {"lists": self.lists, "warm": self._warm, "held": held, "vitals": vitals, **counts}

    async def _return_orphans(self) -> None:
        """Looks for dead workers, at once and then again and again.

        After Redis was out of reach the living first get time to show themselves.
        """
        while True:
            until_next = self._settings.look_every
            try:
                orphans = await return_orphans(self._redis, self._scripts, self._settings, but=self.name)
            except StoreUnavailable:
                orphans, until_next = {}, max(until_next, self._settings.restart_grace)
            for dead, jobs in orphans.items():
                log.warning("returned the jobs of a dead worker", dead=dead, jobs=jobs)
            await asyncio.sleep(until_next)

    async def _listen(self) -> None:
        """Orders to this worker come by a channel; a heartbeat brings those that the channel lost."""
        while True:
            try:
                async with self._orders.pubsub() as channel:
                    await channel.subscribe(keys.heartbeat(self.name))
                    async for message in channel.listen():
                        if message["type"] == "message":
                            self._beat_now.set()
            except (RedisError, OSError):
                await asyncio.sleep(_RESUBSCRIBE_PAUSE)


async def _no_kind(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:
    """On a list that has no kinds yet every envelope is refused, so this is never run."""


def _functions(worker: Worker) -> dict[str, Function]:
    return {name: function for name, function in worker.functions.items() if isinstance(function, Function)}


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
