"""The certificates of a deployment as files: made where they are missing, renewed in time, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crypto_mcp.deploy.certificates import Signed, days_left, issue, make_authority, names_in
from crypto_mcp.deploy.files import write_secret

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

RENEW_BEFORE_DAYS = 30.0

SERVERS = {
    "nginx": ("localhost", "127.0.0.1", "nginx"),
    "mongodb": ("mongodb", "mongodb-1", "mongodb-2", "mongodb-3", "localhost", "127.0.0.1"),
    "postgresql": ("postgresql", "localhost", "127.0.0.1"),
    "redis": ("redis-queue", "redis-cache", "localhost", "127.0.0.1"),
}
"""Servers of the stack, by the names under which others reach them."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a certificate file stands."""

    path: Path
    days_left: float
    made: bool = False

    @property
    def due(self) -> bool:
        """Whether it is to be renewed."""
        return self.days_left < RENEW_BEFORE_DAYS


def make_certificates(folder: Path, names: Iterable[str], now: datetime, *, renew: bool = False) -> list[Standing]:
    """Makes what is missing, ends soon or lacks one of `names` (of nginx); all servers' anew with `renew`.

    The authority is kept: clients trust it. `ca.key` is needed only here; keep it off the servers.
    """
    authority = _authority(folder, now)
    standings = [Standing(folder / "ca.crt", days_left(authority.certificate_pem, now))]
    for server, own in SERVERS.items():
        wanted = {*own, *(names if server == "nginx" else ())}
        path = folder / f"{server}.crt"
        made = renew or not _good(folder, server, wanted, now)
        if made:
            ordered = [*(names if server == "nginx" else ()), *own]
            signed = issue(authority, ordered, now)
            write_secret(folder / f"{server}.key", signed.key_pem)
            write_secret(path, signed.certificate_pem)
        standings.append(Standing(path, days_left(path.read_bytes(), now), made))
    return standings


def certificates_in(folder: Path, now: datetime) -> list[Standing]:
    """How every certificate in a folder stands."""
    return [Standing(path, days_left(path.read_bytes(), now)) for path in sorted(folder.glob("*.crt"))]


def _authority(folder: Path, now: datetime) -> Signed:
    certificate, key = folder / "ca.crt", folder / "ca.key"
    if not certificate.exists():
        made = make_authority("Crypto MCP", now)
        write_secret(key, made.key_pem)
        write_secret(certificate, made.certificate_pem)
    return Signed.read(certificate, key)


def _good(folder: Path, server: str, names: set[str], now: datetime) -> bool:
    path, key = folder / f"{server}.crt", folder / f"{server}.key"
    if not path.exists() or not key.exists():
        return False
    certificate = Signed.read(path, key).certificate
    return names <= names_in(certificate) and days_left(path.read_bytes(), now) >= RENEW_BEFORE_DAYS
