"""Waiting for jobs: one subscription a process, however many callers wait.

A message says only that a job changed; the waiter then reads the record. After every (re)subscription all waiters read
theirs, so a message lost with a connection costs time and never an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import defaultdict
from typing import TYPE_CHECKING, Self

import structlog
from redis.exceptions import RedisError

from crypto_mcp.jobs import keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

log = structlog.get_logger(__name__)

_RECONNECT_PAUSE = 0.25
_QUIET = 2.0
"""Seconds after which a silent subscription is probed, and given up when it does not answer in as long again."""


class Watch:
    """One caller's interest in one job."""

    __slots__ = ("_changed", "_job_id", "_owner", "missed")

    def __init__(self, owner: Watcher, job_id: str) -> None:
        self._owner = owner
        self._changed = asyncio.Event()
        self._job_id = job_id
        self.missed = not owner.connected
        owner.add(job_id, self)

    def follow(self, job_id: str) -> None:
        """Watches another job from now on: the one that was joined."""
        self.stop()
        self._job_id = job_id
        self._owner.add(job_id, self)

    def stop(self) -> None:
        """Ends the interest."""
        self._owner.discard(self._job_id, self)

    def wake(self) -> None:
        """Something may have changed."""
        self._changed.set()

    async def change(self, within: float) -> bool:
        """Waits for a change; False if there was none within so many seconds."""
        try:
            async with asyncio.timeout(within):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True


class Watcher:
    """The process's one subscription. An async context manager; `channel` is what submissions name as watcher."""

    def __init__(self, connect: Callable[[], Redis]) -> None:
        self.channel = keys.front(secrets.token_hex(8))
        self.connected = False
        self._connect = connect
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._listen(), name="job-watcher")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def add(self, job_id: str, watch: Watch) -> None:
        """Wakes the watch from now on when the job changes."""
        self._watches[job_id].add(watch)

    def discard(self, job_id: str, watch: Watch) -> None:
        """Wakes it no more."""
        self._watches[job_id].discard(watch)
        if not self._watches[job_id]:
            del self._watches[job_id]

    @contextlib.asynccontextmanager
    async def watching(self, job_id: str) -> AsyncIterator[Watch]:
        """Interest in a job, from before it is submitted or read, so that no change of it can be missed."""
        watch = Watch(self, job_id)
        try:
            yield watch
        finally:
            watch.stop()

    async def _listen(self) -> None:
        while True:
            redis = self._connect()
            try:
                async with redis.pubsub() as subscription:
                    await subscription.subscribe(self.channel)
                    await self._read(subscription)
            except (RedisError, OSError, TimeoutError) as error:
                if self.connected:
                    log.warning("subscription lost", error=str(error))
                self.connected = False
            finally:
                await redis.aclose()
            await asyncio.sleep(_RECONNECT_PAUSE)

    async def _read(self, subscription: PubSub) -> None:
        probed = False
        while True:
            message = await subscription.get_message(timeout=_QUIET)
            if message is None:
                if probed:
                    raise TimeoutError("the subscription went silent")
                await subscription.ping()
                probed = True
                continue
            probed = False
            if message["type"] == "subscribe":
                self.connected = True
                self._wake_all()
            elif message["type"] == "message":
                self._wake(message["data"].split(b" ", 1)[0].decode())

    def _wake(self, job_id: str) -> None:
        for watch in self._watches.get(job_id, ()):
            watch.wake()

    def _wake_all(self) -> None:
        for watches in self._watches.values():
            for watch in watches:
                watch.wake()
