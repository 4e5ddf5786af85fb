"""The leader's duty: a generation a day, its changes every half minute, and the repository looked after."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import orjson
import structlog
from redis.exceptions import RedisError

from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.jobs import keys
from scheduler.backup.errors import BackupFailed
from scheduler.backup.generation import Sources, begun
from scheduler.backup.repository import FULL, TAIL, Repository

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from crypto_mcp.settings import Settings
    from scheduler.backup.generation import Generation
    from scheduler.leader import Leadership

log = structlog.get_logger(__name__)

_PAUSE_AFTER_FAILURE = 30.0
_POLL = 1.0
_MONTHLY = 1
"""Day of the month on which everything in the repository is read and compared."""


class Backups:
    """Runs while its scheduler leads. A failure is said, counted, and tried again; earlier backups stay."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        own = settings.backup
        self._settings = own
        self._sources = Sources.of(settings)
        self._repository = Repository(own.repository, own.key.get_secret_value() if own.key else "")
        self._redis = redis
        self._said: dict[str, object] = {}

    @property
    def wanted(self) -> bool:
        """Whether a place and a key are set."""
        return bool(self._settings.repository and self._settings.key)

    async def run(self, leadership: Leadership, stop: asyncio.Event) -> None:
        """Until `stop`."""
        while self.wanted and not stop.is_set():
            if not leadership.leading:
                await _pause(stop, _POLL)
                continue
            work = asyncio.create_task(self._generation(leadership, stop))
            try:
                await work
            except CryptoMcpError as error:
                log.error("backup failed", error=error.message, hint=error.hint)  # noqa: TRY400 - said in words
                await self._note(failed_at=time.time(), error=error.message)
                await _pause(stop, _PAUSE_AFTER_FAILURE)
            except OSError as error:  # such as a full disk
                log.error("backup failed", error=str(error))  # noqa: TRY400 - said in words
                await self._note(failed_at=time.time(), error=str(error))
                await _pause(stop, _PAUSE_AFTER_FAILURE)
            except Exception as error:
                log.exception("backup failed")
                await self._note(failed_at=time.time(), error=type(error).__name__)
                await _pause(stop, _PAUSE_AFTER_FAILURE)

    async def _generation(self, leadership: Leadership, stop: asyncio.Event) -> None:
        """One day's: the full copy, then what changes until the next is due or another leads."""
        await self._repository.prepare()
        began = time.monotonic()
        async with begun(self._settings.work, self._sources) as generation:
            snapshot = await self._repository.keep([generation.folder], FULL)
            seconds = round(time.monotonic() - began, 1)
            log.info("backup made", snapshot=snapshot, seconds=seconds)
            await self._note(
                full_at=time.time(), full_seconds=seconds, tail_at=time.time(), snapshot=snapshot, error=""
            )
            await self._repository.forget(self._settings.keep)
            if datetime.now(UTC).day == _MONTHLY:
                await self._repository.check()
                await self._note(checked_at=time.time())
            await self._tails(generation, leadership, stop)

    async def _tails(self, generation: Generation, leadership: Leadership, stop: asyncio.Event) -> None:
        due = next_hour(datetime.now(UTC), self._settings.hour)
        while not stop.is_set() and leadership.leading and datetime.now(UTC) < due:
            await _pause(stop, self._settings.tail_every)
            if (failure := generation.failure()) is not None:
                raise failure
            await self._repository.keep([generation.folder], TAIL)
            await self._note(tail_at=time.time())

    async def _note(self, **what: object) -> None:
        """For metrics, alerts and `/health/infrastructure`."""
        self._said |= what
        with contextlib.suppress(RedisError, OSError):
            await self._redis.set(keys.BACKUP, orjson.dumps(self._said))


def next_hour(now: datetime, hour: int) -> datetime:
    """When it is next that hour of the day (UTC)."""
    today = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)


async def make_one(settings: Settings) -> str:
    """A full backup now, outside of the scheduler; the snapshot's id. Raises `BackupFailed`."""
    own = settings.backup
    if not own.repository or own.key is None:
        raise BackupFailed(
            "no place or no key for backups is set",
            hint="Set CRYPTO_MCP_BACKUP__REPOSITORY and CRYPTO_MCP_BACKUP__KEY.",
        )
    repository = Repository(own.repository, own.key.get_secret_value())
    await repository.prepare()
    async with begun(own.work, Sources.of(settings)) as generation:
        snapshot = await repository.keep([generation.folder], FULL)
    await repository.forget(own.keep)
    return snapshot


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
