"""Random passwords of the embedded servers and the pepper of API keys, made once and kept for the owner's eyes only."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING

from crypto_mcp.local.errors import LocalError
from crypto_mcp.local.server import write_private

if TYPE_CHECKING:
    from pathlib import Path


_ADDED_LATER = frozenset({"pepper", "numbers", "whatsapp"})


def _random() -> str:
    return secrets.token_hex(24)


@dataclass(frozen=True, slots=True)
class Passwords:
    """One for each login. Hexadecimal, so that they need no quoting anywhere."""

    redis: str = field(default_factory=_random, repr=False)
    mongo: str = field(default_factory=_random, repr=False)
    mongo_admin: str = field(default_factory=_random, repr=False)
    postgres: str = field(default_factory=_random, repr=False)
    postgres_admin: str = field(default_factory=_random, repr=False)
    pepper: str = field(default_factory=_random, repr=False)
    numbers: str = field(default_factory=_random, repr=False)
    whatsapp: str = field(default_factory=_random, repr=False)

    @classmethod
    def kept_in(cls, path: Path) -> Passwords:
        """Those in the file, which is made if it is not there; one of an earlier version gets what it lacks."""
        if not path.exists():
            return _kept(cls(), path)
        try:
            known = json.loads(path.read_text())
            names = [each.name for each in fields(cls) if each.name in known or each.name not in _ADDED_LATER]
            read = cls(**{name: str(known[name]) for name in names})
        except (ValueError, KeyError, TypeError) as error:
            raise LocalError(
                f"{path} cannot be read ({type(error).__name__})",
                hint=f"Restore it, or move {path.parent} away to begin anew.",
            ) from error
        return read if len(names) == len(fields(cls)) else _kept(read, path)


def _kept(passwords: Passwords, path: Path) -> Passwords:
    beside = path.with_suffix(".new")
    write_private(beside, json.dumps(asdict(passwords), indent=2))
    beside.rename(path)
    return passwords
