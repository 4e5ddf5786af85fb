"""restic's repository: encrypted (AES-256 with Poly1305), deduplicated, on a disk or elsewhere.

https://restic.readthedocs.io. A snapshot is there as a whole or not at all: what was cut off leaves no snapshot.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from scheduler.backup.errors import BackupFailed
from scheduler.backup.programs import run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FULL, TAIL = "full", "tail"
"""Tags: the first snapshot of a generation, and those of what changed since."""

_TAILS_KEPT = "2d"
_HOST = "crypto-mcp"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One backup in the repository."""

    id: str
    at: datetime
    tags: tuple[str, ...]
    path: str


class Repository:
    """A place for backups. Raises `BackupFailed` when restic does."""

    def __init__(self, place: str, key: str) -> None:
        self.place = place
        self._key = key

    async def prepare(self) -> None:
        """Makes the repository, if there is none. Another key than its own is refused, not overwritten."""
        try:
            await self._restic("cat", "config")
        except BackupFailed as reason:
            try:
                await self._restic("init")
            except BackupFailed as error:
                if "already" not in error.message:
                    raise
                raise BackupFailed(
                    f"the repository {self.place} is there and does not open: {reason.message}",
                    hint="Set CRYPTO_MCP_BACKUP__KEY to the key it was made with.",
                ) from None

    async def keep(self, folders: Sequence[Path], *tags: str, at: datetime | None = None) -> str:
        """A snapshot of folders; its id."""
        marks = [word for tag in tags for word in ("--tag", tag)]
        when = ["--time", at.strftime("%Y-%m-%d %H:%M:%S")] if at is not None else []
        said = await self._restic("backup", "--json", "--host", _HOST, *marks, *when, *map(str, folders))
        summary = json.loads(said.strip().splitlines()[-1])
        return str(summary["snapshot_id"])

    async def snapshots(self, *tags: str) -> list[Snapshot]:
        """Those with one of these tags, or all; the oldest first."""
        marks = [word for tag in tags for word in ("--tag", tag)]
        found: list[dict[str, Any]] = json.loads(await self._restic("snapshots", "--no-lock", "--json", *marks)) or []
        rows = [
            Snapshot(
                row["short_id"],
                datetime.fromisoformat(_microseconds(row["time"])),
                tuple(row.get("tags") or ()),
                row["paths"][0],
            )
            for row in found
        ]
        return sorted(rows, key=lambda row: row.at)

    async def forget(self, keep: tuple[int, int, int]) -> None:
        """Keeps the newest full backup of so many days, weeks and months, and the tails of two days; drops the rest."""
        daily, weekly, monthly = (str(count) for count in keep)
        await self._restic(
            *("forget", "--tag", FULL, "--host", _HOST, "--group-by", "host"),
            *("--keep-daily", daily, "--keep-weekly", weekly, "--keep-monthly", monthly),
        )
        await self._restic(
            *("forget", "--tag", TAIL, "--host", _HOST, "--group-by", "host", "--keep-within", _TAILS_KEPT, "--prune")
        )

    async def check(self, *, share: str = "100%") -> None:
        """Reads a share of everything and compares it with its checksums. Raises `BackupFailed` where they differ."""
        await self._restic("check", f"--read-data-subset={share}")

    async def restore(self, snapshot: str, target: Path) -> None:
        """Writes a snapshot's folders below a folder.

        Without a lock: a repository on a full or read-only disk is restored from as well.
        """
        await self._restic("restore", "--no-lock", snapshot, "--target", str(target), "--verify")

    async def unlock(self) -> None:
        """Removes locks of processes that are gone."""
        await self._restic("unlock")

    async def _restic(self, *words: str) -> str:
        program = shutil.which("restic")
        if program is None:
            raise BackupFailed("restic is not installed", hint="apt-get install restic; the scheduler's image has it.")
        env = {"RESTIC_REPOSITORY": self.place, "RESTIC_PASSWORD": self._key, "RESTIC_PROGRESS_FPS": "0.01"}
        return await run([program, "--quiet" if words[0] != "backup" else "--no-cache", *words], env=env)


def _microseconds(time: str) -> str:
    """An ISO time with nanoseconds, cut to what Python reads."""
    head, dot, rest = time.partition(".")
    if not dot:
        return time
    digits = "".join(character for character in rest if character.isdigit() or character in "+-:Z")
    end = next((i for i, c in enumerate(digits) if c in "+-Z"), len(digits))
    return f"{head}.{digits[:end][:6]:0<6}{digits[end:].replace('Z', '+00:00')}"
