"""Who may do what in the databases: one account a role and system, each with the least that its role needs."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING

from crypto_mcp.deploy.errors import DeployError
from crypto_mcp.deploy.files import write_secret

if TYPE_CHECKING:
    from pathlib import Path

CA = "/run/secrets/ca.crt"
"""Where containers find the authority."""


def _random() -> str:
    return secrets.token_hex(24)


@dataclass(frozen=True, slots=True)
class Passwords:
    """One for each login; hexadecimal, so that they need no quoting anywhere."""

    mongo_admin: str = field(default_factory=_random, repr=False)
    mongo_app: str = field(default_factory=_random, repr=False)
    mongo_read: str = field(default_factory=_random, repr=False)
    mongo_backup: str = field(default_factory=_random, repr=False)
    mongo_keyfile: str = field(default_factory=lambda: secrets.token_hex(64), repr=False)
    postgres_admin: str = field(default_factory=_random, repr=False)
    postgres_owner: str = field(default_factory=_random, repr=False)
    postgres_app: str = field(default_factory=_random, repr=False)
    postgres_read: str = field(default_factory=_random, repr=False)
    postgres_backup: str = field(default_factory=_random, repr=False)
    redis_front: str = field(default_factory=_random, repr=False)
    redis_worker: str = field(default_factory=_random, repr=False)
    redis_scheduler: str = field(default_factory=_random, repr=False)
    redis_backup: str = field(default_factory=_random, repr=False)
    backup_key: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)
    pepper: str = field(default_factory=_random, repr=False)
    numbers: str = field(default_factory=_random, repr=False)

    @classmethod
    def kept_in(cls, path: Path) -> Passwords:
        """Those in the file, which is made if it is not there; one of an earlier version gets what it lacks."""
        known = _read(path) if path.exists() else {}
        passwords = cls(**{each.name: known[each.name] for each in fields(cls) if each.name in known})
        if asdict(passwords) != known:
            write_secret(path, json.dumps(asdict(passwords), indent=2) + "\n")
        return passwords


def _read(path: Path) -> dict[str, str]:
    try:
        return {str(name): str(value) for name, value in json.loads(path.read_text()).items()}
    except (ValueError, AttributeError) as error:
        raise DeployError(
            f"{path} cannot be read ({type(error).__name__})", hint="Restore it from a backup: the databases know it."
        ) from error


def role_settings(role: str, passwords: Passwords, database: str = "crypto_mcp") -> dict[str, str]:
    """The settings that hold secrets, of `front`, `worker` or `scheduler`."""
    redis = getattr(passwords, f"redis_{role}")
    found = {
        "REDIS__CACHE_URL": _redis(role, redis, "redis-cache", 0),
        "REDIS__SESSION_URL": _redis(role, redis, "redis-cache", 1),
        "REDIS__QUEUE_URL": _redis(role, redis, "redis-queue", 2),
        "MONGO__URL": mongo_url("crypto_mcp", passwords.mongo_app),
        "POSTGRES__URL": postgres_url("crypto_mcp", passwords.postgres_app, database=database),
    }
    if role == "front":
        found["ACCESS__PEPPER"] = passwords.pepper
    if role in ("front", "worker"):
        found["NOTIFY__ENCRYPTION_KEY"] = passwords.numbers
    if role == "scheduler":
        found |= {
            "BACKUP__MONGO_URL": mongo_url("crypto_mcp_backup", passwords.mongo_backup),
            "BACKUP__POSTGRES_URL": postgres_url("crypto_mcp_backup", passwords.postgres_backup, database=database),
            "BACKUP__REDIS_URL": _redis("backup", passwords.redis_backup, "redis-queue", 2),
            "BACKUP__KEY": passwords.backup_key,
        }
    return {f"CRYPTO_MCP_{name}": value for name, value in found.items()}


def mongo_url(user: str, password: str, hosts: str = "mongodb:27017", *, source: str = "admin") -> str:
    """Of the stack's replica set, over TLS."""
    return f"mongodb://{user}:{password}@{hosts}/?replicaSet=rs0&authSource={source}&tls=true&tlsCAFile={CA}"


def postgres_url(user: str, password: str, host: str = "postgresql:5432", *, database: str) -> str:
    """Of the stack's PostgreSQL, over TLS with its name checked."""
    return f"postgresql://{user}:{password}@{host}/{database}?sslmode=verify-full&sslrootcert={CA}"


def _redis(user: str, password: str, host: str, db: int) -> str:
    return f"rediss://{user}:{password}@{host}:6379/{db}?ssl_ca_certs={CA}"


_APP_COMMANDS = "+@all -@admin -@dangerous +info +sort +sort_ro +config|get"
_BACKUP_COMMANDS = "-@all +@connection +psync +sync +replconf +info +config|get +lastsave"


def redis_acl(passwords: Passwords) -> str:
    """The ACL file of both instances: no account may flush, configure, shut down or read others' passwords.

    Nobody gets in as `default`, for it is off. It may do everything all the same: Redis replays its append-only file as
    `default`, and on start would drop every transaction in it, which is nearly all of the queue, if it might not.
    """
    users = {name: (_APP_COMMANDS, getattr(passwords, f"redis_{name}")) for name in ("front", "worker", "scheduler")}
    users["backup"] = (_BACKUP_COMMANDS, passwords.redis_backup)
    lines = ["user default off resetpass ~* &* +@all"]
    for name, (commands, password) in users.items():
        digest = hashlib.sha256(password.encode()).hexdigest()
        lines.append(f"user {name} on #{digest} ~* &* {commands}")
    return "\n".join(lines) + "\n"
