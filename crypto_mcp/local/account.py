"""Running a program that refuses root (PostgreSQL) when we are root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crypto_mcp.local.errors import ServerNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """An existing unprivileged account."""

    name: str
    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Makes it the owner of a file or directory."""
        os.chown(path, self.uid, self.gid)

    def command(self, argv: list[str], death_signal: signal.Signals, needs: Iterable[Path]) -> list[str]:
        """The command that runs `argv` as this account.

        Changing the user clears the parent death signal, so it is asked for again after it. A path of `needs` below a
        directory closed to others (a checkout under /root) is made reachable by that one capability, instead of
        opening the directory to everybody.
        """
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise ServerNotFound(
                "PostgreSQL does not run as root, and setpriv, which would start it as another user, is missing",
                hint="Run `apt-get install util-linux`, or start as an ordinary user.",
            )
        options = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        options.append(f"--pdeathsig={death_signal.name.removeprefix('SIG')}")
        if not all(_open_to_others(path) for path in needs):
            options += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
            # Without it access(2), by which initdb looks for its programs, would not count the capability.
            options.append("--securebits=+no_setuid_fixup")
        return [setpriv, *options, "--", *argv]


def unprivileged() -> Account | None:
    """The account to run as, None if we are not root and need no other."""
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise ServerNotFound(
        "PostgreSQL does not run as root, and there is no account to run it as",
        hint=f"Make one of the accounts {' or '.join(_CANDIDATES)}, or start as an ordinary user.",
    )


def _open_to_others(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.absolute().parents)
