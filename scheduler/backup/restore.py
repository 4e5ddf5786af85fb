"""A backup back into its place.

The specification's six steps are stop, databases, configuration, start, verify, resume. Who calls this has stopped what
runs and starts it again; in between it refuses to overwrite anything, and checks what it restores before and after.
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scheduler.backup import mongo_restore
from scheduler.backup.errors import RestoreRefused
from scheduler.backup.manifest import Manifest
from scheduler.backup.mongo_dump import mongo_client
from scheduler.backup.postgres_copy import prepare_recovery

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from scheduler.backup.repository import Repository, Snapshot


@dataclass(frozen=True, slots=True)
class Target:
    """Where to. What is None is left out.

    Attributes:
        redis: data folder of a Redis that does not run; must hold no append-only files.
        postgres: cluster folder of a PostgreSQL that does not run; must be empty or absent.
        mongo_url: login of a running MongoDB, without collections in the database, that may do everything.
        files: folder below which configuration, certificates and logs are written.
    """

    redis: Path | None = None
    postgres: Path | None = None
    mongo_url: str | None = None
    files: Path | None = None


async def fetch(repository: Repository, snapshot: str, at: datetime | None, into: Path) -> tuple[Snapshot, Path]:
    """A snapshot's generation, checked, below `into`: `latest`, the newest that reaches `at`, or by its id.

    Raises `RestoreRefused` if there is none, or its files are not what was copied.
    """
    found = await repository.snapshots()
    chosen = _chosen(found, snapshot, at)
    await repository.restore(chosen.id, into)
    folder = into / Path(chosen.path).relative_to("/")
    manifest = await asyncio.to_thread(Manifest.read, folder)
    await asyncio.to_thread(manifest.verify, folder)
    return chosen, folder


def _chosen(found: list[Snapshot], wanted: str, at: datetime | None) -> Snapshot:
    if wanted != "latest":
        named = [each for each in found if each.id.startswith(wanted)]
        if len(named) != 1:
            raise RestoreRefused(f"there is no snapshot {wanted!r}", hint="`crypto-mcp backup list` shows them.")
        return named[0]
    if at is None:
        if not found:
            raise RestoreRefused("the repository is empty", hint="There is nothing to restore from here.")
        return found[-1]
    # The first one made after that moment holds everything up to it.
    later = [each for each in found if each.at >= at]
    if not later and not found:
        raise RestoreRefused("the repository is empty", hint="There is nothing to restore from here.")
    return later[0] if later else found[-1]


def require_room(target: Target) -> None:
    """Raises `RestoreRefused` if something is there already that a restore would replace."""
    if target.redis is not None and (target.redis / "appendonlydir").exists():
        raise RestoreRefused(f"{target.redis} has data of Redis", hint="Move it away; a restore overwrites nothing.")
    if target.postgres is not None and target.postgres.exists() and any(target.postgres.iterdir()):
        raise RestoreRefused(f"{target.postgres} is not empty", hint="Move it away; a restore overwrites nothing.")


async def restore(
    folder: Path, target: Target, *, at: datetime | None = None, say: Callable[[str], None]
) -> dict[str, Any]:
    """Puts a fetched generation into its place; what came back, for verification. Raises before it changes anything."""
    manifest = Manifest.read(folder)
    manifest.require_known_version()
    require_room(target)
    done: dict[str, Any] = {"version": manifest.version}
    if target.redis is not None:
        say("Redis: the queues as they were, and every write after")
        shutil.copytree(folder / "redis" / "appendonlydir", target.redis / "appendonlydir")
    if target.postgres is not None and "postgres" in manifest.parts:
        say("PostgreSQL: the cluster, and its log to go on with")
        shutil.copytree(folder / "postgres" / "base", target.postgres)
        target.postgres.chmod(0o700)
        prepare_recovery(folder / "postgres", target.postgres, until=at.isoformat() if at is not None else None)
    if target.files is not None and "files" in manifest.parts:
        say("files: configuration, certificates, logs")
        shutil.copytree(folder / "files", target.files, dirs_exist_ok=False)
    if target.mongo_url is not None:
        say("MongoDB: the dump, then the operations after it")
        async with mongo_client(target.mongo_url) as client:
            until = None if at is None else int(at.timestamp())
            replayed = await mongo_restore.restore(client, manifest.database, folder / "mongo", until=until)
        short = {
            n: (want, replayed.documents.get(n))
            for n, want in manifest.documents.items()
            if replayed.documents.get(n) != want
        }
        if short:
            raise RestoreRefused(f"documents are missing: {short}", hint="The dump is damaged: restore an earlier one.")
        done |= {"documents": replayed.documents, "operations": replayed.operations}
    return done
