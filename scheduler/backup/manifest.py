"""What a generation of backups holds: checksums of what does not change any more, counts, versions, moments."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import crypto_mcp
from scheduler.backup.errors import RestoreRefused

if TYPE_CHECKING:
    from pathlib import Path

NAME = "manifest.json"
GROWING = ("mongo/oplog.bson", "redis/appendonlydir/appendonly.aof.1.incr.aof", "postgres/wal/")
"""What goes on being written after the manifest."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Of one generation.

    Attributes:
        began, ended: seconds since 1970 between which the first copy was made.
        version: of the product.
        database: MongoDB's database.
        documents: by collection, in the dump.
        parts: what was copied: `mongo`, `redis`, `postgres`, `files`.
        files: SHA-256 by path below the generation, of all that does not grow.
    """

    began: float
    ended: float
    database: str
    documents: dict[str, int]
    parts: list[str]
    version: str = crypto_mcp.__version__
    files: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Writes it into the generation's folder, with the checksums of what is there."""
        content = asdict(self) | {"files": checksums(folder)}
        (folder / NAME).write_text(json.dumps(content, indent=1))

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Raises `RestoreRefused` where there is none: the generation was not finished."""
        try:
            return cls(**json.loads((folder / NAME).read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise RestoreRefused(
                f"{folder} has no readable manifest: that backup was not finished ({type(error).__name__})",
                hint="Restore an earlier one: `crypto-mcp backup list`.",
            ) from error

    def require_known_version(self) -> None:
        """Raises `RestoreRefused` for a backup of a newer product. An older one's is migrated by `deploy init`."""
        if _numbers(self.version) > _numbers(crypto_mcp.__version__):
            raise RestoreRefused(
                f"the backup is of version {self.version}, and this is {crypto_mcp.__version__}",
                hint="Restore with the version that made it, or a newer one.",
            )

    def verify(self, folder: Path) -> None:
        """Raises `RestoreRefused` if a file is missing or is not what was copied."""
        found = checksums(folder)
        wrong = sorted(path for path, digest in self.files.items() if found.get(path) != digest)
        if wrong:
            raise RestoreRefused(
                f"{len(wrong)} files are not what was backed up, such as {wrong[0]}",
                hint="Restore an earlier backup, and check the repository: `crypto-mcp backup check`.",
            )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that does not grow, by path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != NAME and not name.startswith(GROWING):
            with path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
