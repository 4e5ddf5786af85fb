"""The folder of secrets a stack is deployed from: passwords, certificates, one settings file a role.

Swarm secrets and configs cannot be changed, only replaced by others of another name: each file's name in the swarm ends
with a digest of its content, so that a deployment restarts what reads a changed file and nothing else.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from crypto_mcp.deploy.accounts import Passwords, redis_acl, role_settings
from crypto_mcp.deploy.certificate_files import Standing, make_certificates
from crypto_mcp.deploy.files import private_folder, write_secret

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

ROLES = ("front", "worker", "scheduler")

_KEYS = """\
# Keys of others' services, for every role. See `crypto-mcp settings` for names and meanings.
# CRYPTO_MCP_MARKET__COINGECKO_KEY=
# CRYPTO_MCP_MARKET__COINMARKETCAP_KEY=
"""


def make_secrets(folder: Path, names: Iterable[str], now: datetime, *, renew: bool = False) -> list[Standing]:
    """Makes what is missing and keeps what is there; how the certificates stand. `names`: hosts clients come by."""
    private_folder(folder)
    passwords = Passwords.kept_in(folder / "passwords.json")
    standings = make_certificates(folder, list(names), now, renew=renew)
    for role in ROLES:
        _write(folder / f"{role}.env", "".join(f"{k}={v}\n" for k, v in role_settings(role, passwords).items()))
    _write(folder / "redis.acl", redis_acl(passwords))
    _write(folder / "mongodb.keyfile", passwords.mongo_keyfile)
    _write(folder / "postgresql-admin.password", passwords.postgres_admin)
    if not (folder / "keys.env").exists():
        _write(folder / "keys.env", _KEYS)
    return standings


def versions(files: Iterable[Path]) -> dict[str, str]:
    """Variables for the stack file: `NGINX_CONF_VERSION` and the like, a digest of each file's content."""
    return {variable(path): hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in files if path.is_file()}


def variable(path: Path) -> str:
    """The variable that names a file's version."""
    name = "".join(character if character.isalnum() else "_" for character in path.name)
    return f"{name.upper()}_VERSION"


def _write(path: Path, text: str) -> None:
    """Leaves a file alone that says the same."""
    if not path.exists() or path.read_text() != text:
        write_secret(path, text)
