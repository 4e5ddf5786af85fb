"""Files that hold secrets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def private_folder(folder: Path) -> Path:
    """The folder, made if need be, that only its owner may enter: what lies in it is as safe as the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def write_secret(path: Path, content: bytes | str) -> None:
    """Writes a file in one step, so that no reader sees half of it.

    It is readable by all: containers mount it one by one, and their accounts have numbers the host does not know. The
    folder around it is what keeps others out.
    """
    data = content.encode() if isinstance(content, str) else content
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
