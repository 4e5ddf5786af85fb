"""Files with secrets, as commands read them."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from crypto_mcp.cli.configuration import BadSettings

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST = 16_384


def read_private(path: Path, what: str) -> str:
    """The text of a file that nobody but its owner may read; of standard input for `-`. `BadSettings` if others may."""
    if str(path) == "-":
        return sys.stdin.read(_LONGEST).strip()
    try:
        with path.open() as file:
            # Of the open file, so that it is the one that is read.
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise BadSettings(f"others may read or change the {what} in {path}", hint=f"chmod 600 {path}")
            return file.read(_LONGEST).strip()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadSettings(f"the {what} in {path} cannot be read: {said}", hint="Is it the right file?") from None
