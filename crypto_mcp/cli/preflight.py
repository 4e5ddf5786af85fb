"""What `crypto-mcp deploy preflight` looks at, on the machine that is to run the stack."""

from __future__ import annotations

import json
import os
import shutil
import subprocess  # our own argument lists, never a shell # nosec B404
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from crypto_mcp.cli.findings import Finding, Level
from crypto_mcp.deploy.certificate_files import certificates_in
from crypto_mcp.deploy.secret_files import ROLES
from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.local.ports import is_free

if TYPE_CHECKING:
    from collections.abc import Callable

    from crypto_mcp.settings import Settings

_GIB = 1 << 30
_LEAST_DISK, _GOOD_DISK = 10 * _GIB, 50 * _GIB
_LEAST_MEMORY, _GOOD_MEMORY = 8 * _GIB, 16 * _GIB
_CLOCK_MAY_DIFFER = 2.0
_RESERVED_PROCESSORS = 8
"""By docker-compose.production.yml: two front ends, four workers, two schedulers."""
_PORTS = (80, 443)


def examine(settings: Settings, folder: Path) -> list[Finding]:
    """All checks."""
    engine = _docker("info")
    checks: list[Callable[[], list[Finding]]] = [
        lambda: _secrets(folder),
        lambda: _certificates(folder),
        _environment,
        lambda: _engine(engine),
        lambda: _ports(engine),
        lambda: _disk(engine),
        lambda: _encryption(engine),
        _memory,
        lambda: _clock(settings.market.binance_url),
        lambda: _backups(settings),
        lambda: _operators(settings),
    ]
    return [finding for check in checks for finding in check()]


def _secrets(folder: Path) -> list[Finding]:
    names = ["passwords.json", "redis.acl", "mongodb.keyfile", "postgresql-admin.password", "keys.env"]
    missing = [name for name in [*names, *(f"{role}.env" for role in ROLES)] if not (folder / name).is_file()]
    if missing:
        return [
            Finding(Level.WRONG, "Secrets", f"{folder} lacks {', '.join(missing)}", "Run `crypto-mcp deploy secrets`.")
        ]
    if folder.stat().st_mode & 0o077:
        return [Finding(Level.WRONG, "Secrets", f"others may enter {folder}", f"chmod 700 {folder}")]
    return [Finding(Level.FINE, "Secrets", f"complete in {folder}")]


def _certificates(folder: Path) -> list[Finding]:
    try:
        standings = certificates_in(folder, datetime.now(UTC))
    except (CryptoMcpError, ValueError, OSError) as error:
        return [Finding(Level.WRONG, "Certificates", str(error), "Run `crypto-mcp certs renew`.")]
    if not standings:
        return [Finding(Level.WRONG, "Certificates", f"none in {folder}", "Run `crypto-mcp deploy secrets`.")]
    due = [f"{s.path.name} ends in {s.days_left:.0f} days" for s in standings if s.due]
    if due:
        level = Level.WRONG if any(s.days_left < 0 for s in standings) else Level.WARNING
        return [Finding(level, "Certificates", "; ".join(due), "Run `crypto-mcp certs make`, then deploy again.")]
    first = min(standings, key=lambda each: each.days_left)
    return [Finding(Level.FINE, "Certificates", f"{len(standings)}, the first ends in {first.days_left:.0f} days")]


def _environment() -> list[Finding]:
    """Who may read a process's environment reads what is in it: secrets belong into files."""
    told = [
        name for name in os.environ if name.startswith("CRYPTO_MCP_") and name.endswith(("_KEY", "PEPPER", "TOKEN"))
    ]
    if told:
        hint = "Put them into keys.env of the secrets folder."
        return [Finding(Level.WARNING, "Environment", f"secrets in the environment: {', '.join(sorted(told))}", hint)]
    return [Finding(Level.FINE, "Environment", "no secrets in it")]


def _docker(*words: str) -> dict[str, Any] | None:
    program = shutil.which("docker")
    if program is None:
        return None
    command = [program, *words, "--format", "{{json .}}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603 - ours # nosec B603
    try:
        return dict(json.loads(done.stdout)) if done.returncode == 0 else None
    except ValueError:
        return None


def _engine(engine: dict[str, Any] | None) -> list[Finding]:
    if engine is None or engine.get("ServerErrors"):
        hint = "Install Docker, start it, or set DOCKER_HOST."
        return [Finding(Level.WRONG, "Engine", "no Docker engine answers", hint)]
    said = f"Docker {engine.get('ServerVersion')}, {engine.get('NCPU')} processors"
    swarm = engine.get("Swarm") or {}
    if swarm.get("LocalNodeState") != "active":
        return [
            Finding(
                Level.WARNING, "Engine", f"{said}, no swarm", "`docker swarm init` for a swarm; compose needs none."
            )
        ]
    if not swarm.get("ControlAvailable"):
        return [Finding(Level.WRONG, "Engine", f"{said}, not a manager", "Deploy from a manager of the swarm.")]
    if swarm.get("Nodes", 1) == 1 and engine.get("NCPU", 0) < _RESERVED_PROCESSORS:
        hint = f"Production reserves {_RESERVED_PROCESSORS}: add nodes, or APP_CPUS_RESERVED=0.2 (staging is content)."
        return [Finding(Level.WARNING, "Engine", f"{said}, the only node of its swarm", hint)]
    return [Finding(Level.FINE, "Engine", f"{said}, manager of a swarm of {swarm.get('Nodes', 1)}")]


def _ports(engine: dict[str, Any] | None) -> list[Finding]:
    if engine is None:
        return []
    taken = [str(port) for port in _PORTS if not is_free(port)]
    if taken:
        hint = "Fine if it is this stack; else end what listens there: `ss -ltnp`."
        return [Finding(Level.WARNING, "Ports", f"in use: {', '.join(taken)}", hint)]
    return [Finding(Level.FINE, "Ports", "80 and 443 are free")]


def _disk(engine: dict[str, Any] | None) -> list[Finding]:
    root = Path((engine or {}).get("DockerRootDir") or "/")
    free = shutil.disk_usage(root if root.exists() else Path("/")).free
    said = f"{free / _GIB:.0f} GiB free at {root}"
    if free < _LEAST_DISK:
        return [Finding(Level.WRONG, "Disk", said, f"At least {_LEAST_DISK // _GIB} GiB are needed.")]
    if free < _GOOD_DISK:
        return [Finding(Level.WARNING, "Disk", said, f"{_GOOD_DISK // _GIB} GiB leave room for a year.")]
    return [Finding(Level.FINE, "Disk", said)]


def _encryption(engine: dict[str, Any] | None) -> list[Finding]:
    """The databases do not encrypt their files: the volume below has to."""
    root = Path((engine or {}).get("DockerRootDir") or "/")
    program = shutil.which("findmnt")
    if program is None or not root.exists():
        return []
    command = [program, "-no", "SOURCE", "-T", str(root)]
    source = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - ours # nosec B603
    if Path(source).exists() and _is_crypt(source):
        return [Finding(Level.FINE, "Encryption", f"{root} lies on an encrypted volume ({source})")]
    hint = "Put Docker's data on LUKS or an encrypted cloud disk; see docs/operations.md, Encryption at rest."
    return [Finding(Level.WARNING, "Encryption", f"{root} lies on {source}, which is not known to be encrypted", hint)]


def _is_crypt(source: str) -> bool:
    program = shutil.which("lsblk")
    if program is None:
        return False
    command = [program, "-nso", "TYPE", source]
    return "crypt" in subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - ours # nosec B603


def _memory() -> list[Finding]:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    said = f"{total / _GIB:.0f} GiB"
    if total < _LEAST_MEMORY:
        return [Finding(Level.WRONG, "Memory", said, "The whole stack needs 8 GiB; 16 in production.")]
    if total < _GOOD_MEMORY:
        return [Finding(Level.WARNING, "Memory", said, "16 GiB are recommended in production.")]
    return [Finding(Level.FINE, "Memory", said)]


def _clock(url: str) -> list[Finding]:
    """Against the market's: bars close by it, and signed requests are refused when clocks differ."""
    try:
        before = time.time()
        answer = httpx2.get(f"{url}/api/v3/ping", timeout=5)
        after = time.time()
        told = parsedate_to_datetime(answer.headers["date"]).timestamp() + 0.5
    except (httpx2.HTTPError, KeyError, ValueError) as error:
        said = f"not compared: {url} does not answer ({type(error).__name__})"
        return [Finding(Level.WARNING, "Clock", said, "Is this machine online? Is time kept by chrony or timesyncd?")]
    off = abs((before + after) / 2 - told)
    if off > _CLOCK_MAY_DIFFER:
        return [Finding(Level.WRONG, "Clock", f"{off:.1f} s off", "Start chrony or systemd-timesyncd.")]
    return [Finding(Level.FINE, "Clock", f"within {max(1.0, off):.0f} s of the market's")]


def _backups(settings: Settings) -> list[Finding]:
    repository = os.environ.get("BACKUP_REPOSITORY") or settings.backup.repository
    if not repository:
        hint = "Set BACKUP_REPOSITORY to a folder on another machine or an S3 bucket."
        return [Finding(Level.WARNING, "Backups", "no place to keep them is set", hint)]
    if not repository.startswith(("s3:", "sftp:", "rest:", "b2:", "azure:", "gs:", "rclone:")):
        hint = "A backup beside its data is lost with it: name a place elsewhere, such as s3:HOST/BUCKET."
        return [Finding(Level.WARNING, "Backups", f"kept in {repository}, a folder", hint)]
    return [Finding(Level.FINE, "Backups", f"kept in {repository.split(':')[0]} storage")]


def _operators(settings: Settings) -> list[Finding]:
    """Who hears of system alerts."""
    operators = os.environ.get("OPERATORS") or settings.monitor.operators
    if not operators or operators == "[]":
        hint = "OPERATORS='[\"me\"]' names the clients by whose channels they go."
        return [Finding(Level.WARNING, "Alerts", "nobody is told when something is wrong", hint)]
    return [Finding(Level.FINE, "Alerts", f"told to {operators}")]
