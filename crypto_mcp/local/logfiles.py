"""Log files of the children: those of the last starts are kept beside the new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

KEPT = 3


def rotate(folder: Path) -> None:
    """Moves every `NAME.log` to `NAME.log.1`, that to `NAME.log.2` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for log in folder.glob("*.log"):
        for number in range(KEPT, 0, -1):
            newer = log if number == 1 else log.with_name(f"{log.name}.{number - 1}")
            if newer.exists():
                newer.replace(log.with_name(f"{log.name}.{number}"))
