"""Log files for those who want files: one a day, compressed when the day is over, kept for a month.

Several processes of a role write into one file: every line is one write at its end. Whoever writes first on a new day
compresses the file of the day before.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import threading
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _today() -> date:
    return datetime.now(UTC).date()


class DailyFiles:
    """A stream that also writes to `FOLDER/NAME-YYYY-MM-DD.log` (UTC). Trouble with files never stops the program."""

    def __init__(
        self, folder: Path, name: str, beside: TextIO, *, days: int = 30, today: Callable[[], date] = _today
    ) -> None:
        self._folder, self._name, self._beside, self._days, self._today = folder, name, beside, days, today
        self._day: date | None = None
        self._file: int | None = None
        self._changing = threading.Lock()

    def write(self, text: str) -> int:
        """Writes to both."""
        with contextlib.suppress(OSError):
            os.write(self._descriptor(), text.encode(errors="replace"))
        return self._beside.write(text)

    def flush(self) -> None:
        """Of the stream beside; lines of the file are written at once."""
        self._beside.flush()

    def isatty(self) -> bool:
        """Whether the stream beside is a terminal."""
        return self._beside.isatty()

    def _descriptor(self) -> int:
        today = self._today()
        with self._changing:
            if today != self._day or self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                fresh = os.open(self._path(today), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
                if self._file is not None:
                    os.close(self._file)
                self._file, self._day = fresh, today
                threading.Thread(target=self._tidy, args=(today,), daemon=True).start()
            return self._file

    def _path(self, day: date) -> Path:
        return self._folder / f"{self._name}-{day.isoformat()}.log"

    def _tidy(self, today: date) -> None:
        """Compresses what is of earlier days and removes what is too old."""
        for path in self._folder.glob(f"{self._name}-*.log*"):
            with contextlib.suppress(OSError, ValueError):
                day = date.fromisoformat(path.name.removeprefix(f"{self._name}-")[:10])
                if day < today - timedelta(days=self._days):
                    path.unlink()
                elif day < today and path.suffix == ".log":
                    _compress(path)


def _compress(path: Path) -> None:
    """In one step: who finds the compressed file finds all of it. Of several processes one does it."""
    beside = path.with_name(path.name + ".gz.new")
    with path.open("rb") as source, beside.open("xb") as raw, gzip.open(raw, "wb") as target:
        shutil.copyfileobj(source, target)
    beside.rename(path.with_name(path.name + ".gz"))
    path.unlink()
