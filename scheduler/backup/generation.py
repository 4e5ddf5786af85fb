"""One generation: a full copy of everything, and what changes after it, in a folder that is kept again and again."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from scheduler.backup.manifest import Manifest
from scheduler.backup.mongo_dump import OplogTail, dump, mongo_client, newest_operation
from scheduler.backup.postgres_copy import PostgresCopy
from scheduler.backup.redis_stream import RedisStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path

    from crypto_mcp.settings import Settings


@dataclass(frozen=True, slots=True)
class Sources:
    """What is backed up: logins that may read everything, and files."""

    mongo_url: str
    database: str
    redis_url: str
    postgres_url: str | None
    include: tuple[Path, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Sources:
        """Accounts of backups where they are set, else the product's own."""
        own = settings.backup
        return cls(
            (own.mongo_url or settings.mongo.url).get_secret_value(),
            settings.mongo.database,
            (own.redis_url or settings.redis.queue_url).get_secret_value(),
            own.postgres_url.get_secret_value() if own.postgres_url is not None else None,
            tuple(own.include),
        )


class Generation:
    """Its folder, and the tasks that follow what changes. Made by `begun`."""

    def __init__(self, folder: Path, sources: Sources) -> None:
        self.folder = folder
        self.sources = sources
        self._followers: list[asyncio.Task[None]] = []

    def failure(self) -> BaseException | None:
        """Why something is no longer followed; None while all is well."""
        ended = [task for task in self._followers if task.done() and not task.cancelled()]
        return next((error for task in ended if (error := task.exception()) is not None), None)

    async def copy(self, stack: contextlib.AsyncExitStack) -> None:
        """Copies everything and starts to follow it; `stack` closes what was opened. Raises `BackupFailed`."""
        began = time.time()
        client = await stack.enter_async_context(mongo_client(self.sources.mongo_url))
        (self.folder / "mongo").mkdir(parents=True)
        tail = OplogTail(
            client, self.sources.database, self.folder / "mongo" / "oplog.bson", await newest_operation(client)
        )
        redis = RedisStream(self.sources.redis_url, self.folder / "redis")
        self._follow(tail.run())
        await redis.begin()
        stack.push_async_callback(redis.close)
        self._follow(redis.follow())
        parts = ["mongo", "redis"]
        if self.sources.postgres_url is not None:
            postgres = PostgresCopy(self.sources.postgres_url, self.folder / "postgres")
            await postgres.begin()
            stack.push_async_callback(postgres.close)
            self._follow(postgres.follow())
            parts.append("postgres")
        documents = await dump(client, self.sources.database, self.folder / "mongo")
        await tail.reach(await newest_operation(client))
        if self.sources.include:
            await asyncio.to_thread(_copy_files, self.sources.include, self.folder / "files")
            parts.append("files")
        manifest = Manifest(began, time.time(), self.sources.database, documents, parts)
        await asyncio.to_thread(manifest.write, self.folder)

    def _follow(self, work: Coroutine[Any, Any, None]) -> None:
        self._followers.append(asyncio.create_task(work))

    async def end(self) -> None:
        """Ends the following."""
        for task in self._followers:
            task.cancel()
        await asyncio.gather(*self._followers, return_exceptions=True)


@asynccontextmanager
async def begun(work: Path, sources: Sources) -> AsyncIterator[Generation]:
    """A finished first copy that goes on being followed while inside. Raises `BackupFailed`; then nothing is left."""
    folder = work / f"generation-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    generation = Generation(folder, sources)
    async with contextlib.AsyncExitStack() as stack:
        try:
            folder.mkdir(parents=True, mode=0o700)
            await generation.copy(stack)
            yield generation
        finally:
            await generation.end()
            shutil.rmtree(folder, ignore_errors=True)


def _copy_files(files: tuple[Path, ...], target: Path) -> None:
    """Configuration, certificates, logs: below their own full path."""
    for path in files:
        place = target / path.absolute().relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, place, symlinks=True, dirs_exist_ok=True)
        elif path.exists():
            shutil.copy2(path, place)
