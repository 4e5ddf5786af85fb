"""Clients and their keys in PostgreSQL."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from crypto_mcp.access.audit import record
from crypto_mcp.access.keys import ApiKey
from crypto_mcp.access.roles import SCOPES, Role, known_scopes
from crypto_mcp.errors import InvalidRequest
from crypto_mcp.models.answers import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import asyncpg

    from crypto_mcp.stores.postgres import PostgresStore

_CLIENT = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class UnknownKey(InvalidRequest):
    """No API key of that id."""

    code = "unknown_key"
    http_status = 404


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is known of a key, without its secret.

    Attributes:
        digest: keyed hash of the whole key.
        expires_at: from then on it is refused; None: never.
        allowed_ips: networks its client may come from; empty: any.
        signing_key: public key (Ed25519) that its holder signs with, if one is registered.
    """

    key_id: str
    client_id: str
    role: Role
    scopes: frozenset[str]
    digest: bytes
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    allowed_ips: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    signing_key: bytes | None = None

    def state(self, now: datetime) -> str:
        """`active`, `revoked` or `expired`."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


class Directory:
    """Clients and keys. Every method raises `StoreUnavailable` when PostgreSQL does not answer.

    Every change is one transaction with its line in the audit log; `actor` is who made it.
    """

    def __init__(self, postgres: PostgresStore, pepper: str) -> None:
        self._postgres = postgres
        self._pepper = pepper

    async def find(self, key_id: str) -> KeyRecord | None:
        """The key of that id."""
        async with self._postgres.connection() as connection:
            return _record(await connection.fetchrow(f"{_SELECT} WHERE key_id = $1", key_id))

    async def keys(self, client_id: str | None = None) -> list[KeyRecord]:
        """All keys, or those of one client, the newest first."""
        async with self._postgres.connection() as connection:
            rows = await connection.fetch(
                f"{_SELECT} WHERE $1::text IS NULL OR client_id = $1 ORDER BY k.created_at DESC, key_id", client_id
            )
        return [found for row in rows if (found := _record(row)) is not None]

    async def create(
        self,
        client_id: str,
        role: Role,
        *,
        actor: str,
        scopes: Iterable[str] = (),
        lifetime: timedelta | None = None,
        allowed_ips: Sequence[str] = (),
    ) -> ApiKey:
        """A new key for a client, which is made if there is none of that name.

        Args:
            scopes: fewer than the role has; all of them, if none are named.
            lifetime: from now; never ending, if None.
            allowed_ips: networks (CIDR) its client may come from; left as they are, if none are named.

        Raises:
            InvalidRequest: of a name, scope or network that cannot be, or a client that has another role.
        """
        _check_client(client_id)
        granted = _granted(role, frozenset(scopes))
        networks = [_network(text) for text in allowed_ips]
        key = ApiKey.minted()
        async with self._postgres.connection() as connection, connection.transaction():
            await _ensure_client(connection, client_id, role, networks)
            expires = None if lifetime is None else datetime.now(UTC) + lifetime
            await self._insert(connection, key, client_id, granted, expires, None)
            await record(connection, actor, "key.create", key.key_id, {"client": client_id, "scopes": sorted(granted)})
        return key

    async def create_first_admin(self, client_id: str, *, actor: str) -> ApiKey | None:
        """An admin's key, if there is no key of an admin yet."""
        key = ApiKey.minted()
        async with self._postgres.connection() as connection, connection.transaction():
            await connection.execute("LOCK TABLE clients IN SHARE ROW EXCLUSIVE MODE")
            if await connection.fetchval("SELECT 1 FROM clients WHERE role = $1 LIMIT 1", Role.ADMIN):
                return None
            await _ensure_client(connection, client_id, Role.ADMIN, [])
            await self._insert(connection, key, client_id, SCOPES[Role.ADMIN], None, None)
            await record(connection, actor, "key.create", key.key_id, {"client": client_id, "first": True})
        return key

    async def rotate(self, key_id: str, *, actor: str, overlap: timedelta, lifetime: timedelta | None) -> ApiKey:
        """A key in the place of another, which stays good for `overlap`. `UnknownKey` if there is none."""
        key, now = ApiKey.minted(), datetime.now(UTC)
        async with self._postgres.connection() as connection, connection.transaction():
            old = _record(await connection.fetchrow(f"{_SELECT} WHERE key_id = $1 FOR UPDATE OF k", key_id))
            if old is None:
                raise _unknown(key_id)
            if old.state(now) == "revoked":
                raise InvalidRequest(f"key {key_id} was revoked", hint="Make a new one with `crypto-mcp keys create`.")
            expires = None if lifetime is None else now + lifetime
            await self._insert(connection, key, old.client_id, old.scopes, expires, key_id)
            await _set_signing_key(connection, key.key_id, old.signing_key)
            ends = now + overlap if old.expires_at is None else min(old.expires_at, now + overlap)
            await connection.execute("UPDATE api_keys SET expires_at = $2 WHERE key_id = $1", key_id, ends)
            await record(connection, actor, "key.rotate", key_id, {"client": old.client_id, "new": key.key_id})
        return key

    async def revoke(self, key_id: str, *, actor: str) -> None:
        """From now on the key is refused. `UnknownKey` if there is none."""
        async with self._postgres.connection() as connection, connection.transaction():
            status = await connection.execute(
                "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = $1", key_id
            )
            if status == "UPDATE 0":
                raise _unknown(key_id)
            await record(connection, actor, "key.revoke", key_id)

    async def set_signing_key(self, key_id: str, public: bytes | None, *, actor: str) -> None:
        """From now on the key's holder signs with the private half of this one (32 bytes, Ed25519), and with nothing
        else; None: with the secret that goes with the key. `UnknownKey` if there is none.
        """
        async with self._postgres.connection() as connection, connection.transaction():
            await _set_signing_key(connection, key_id, public)
            detail = {"public": None if public is None else public.hex()}
            await record(connection, actor, "key.signing_key", key_id, detail)

    async def used(self, key_ids: Iterable[str]) -> None:
        """Notes that these keys were used now."""
        async with self._postgres.connection() as connection:
            await connection.execute(
                "UPDATE api_keys SET last_used_at = now() WHERE key_id = ANY($1::text[])", list(key_ids)
            )

    async def _insert(
        self, connection: asyncpg.Connection, key: ApiKey, client_id: str, scopes: Iterable[str],
        expires: datetime | None, replaces: str | None,
    ) -> None:  # fmt: skip
        await connection.execute(
            "INSERT INTO api_keys (key_id, client_id, digest, scopes, expires_at, replaces) VALUES ($1,$2,$3,$4,$5,$6)",
            key.key_id, client_id, key.digest(self._pepper), sorted(scopes), expires, replaces,
        )  # fmt: skip


_SELECT = (
    "SELECT k.key_id, k.client_id, c.role, k.scopes, k.digest, k.created_at, k.expires_at, k.last_used_at, "
    "k.revoked_at, c.allowed_ips, k.signing_key FROM api_keys k JOIN clients c USING (client_id)"
)


def _record(row: asyncpg.Record | None) -> KeyRecord | None:
    if row is None:
        return None
    fields: dict[str, Any] = dict(row)
    return KeyRecord(
        **fields
        | {
            "role": Role(fields["role"]),
            "scopes": frozenset(fields["scopes"]),
            "allowed_ips": tuple(fields["allowed_ips"]),
            "signing_key": None if fields["signing_key"] is None else bytes.fromhex(fields["signing_key"]),
        }
    )


async def _set_signing_key(connection: asyncpg.Connection, key_id: str, public: bytes | None) -> None:
    status = await connection.execute(
        "UPDATE api_keys SET signing_key = $2 WHERE key_id = $1", key_id, None if public is None else public.hex()
    )
    if status == "UPDATE 0":
        raise _unknown(key_id)


async def _ensure_client(connection: asyncpg.Connection, client_id: str, role: Role, networks: Sequence[Any]) -> None:
    await connection.execute(
        "INSERT INTO clients (client_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING", client_id, role
    )
    known = await connection.fetchval("SELECT role FROM clients WHERE client_id = $1", client_id)
    if known != role:
        raise InvalidRequest(
            f"client {client_id} is a {known}", hint=f"Use --role {known}, or another name for the client."
        )
    if networks:
        await connection.execute("UPDATE clients SET allowed_ips = $2 WHERE client_id = $1", client_id, list(networks))


def _check_client(client_id: str) -> None:
    if not _CLIENT.fullmatch(client_id) or client_id == LOCAL:
        raise InvalidRequest(
            f"{client_id[:80]!r} is no name for a client",
            hint=f"Up to 64 of a-z, 0-9, dot, dash and underscore, a letter or digit first; not {LOCAL!r}.",
        )


def _granted(role: Role, scopes: frozenset[str]) -> frozenset[str]:
    if not scopes:
        return SCOPES[role]
    strange = scopes - known_scopes()
    if strange:
        raise InvalidRequest(f"no such scope: {min(strange)}", hint=f"Known: {', '.join(sorted(known_scopes()))}.")
    beyond = scopes - SCOPES[role]
    if beyond and role is not Role.ADMIN:
        raise InvalidRequest(
            f"a {role} may not have {min(beyond)}", hint=f"It may have: {', '.join(sorted(SCOPES[role]))}."
        )
    return scopes


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise InvalidRequest(f"{text[:80]!r} is no network: {error}", hint="Such as 203.0.113.0/24.") from None


def _unknown(key_id: str) -> UnknownKey:
    return UnknownKey(f"there is no key {key_id[:40]!r}", hint="`crypto-mcp keys list` shows them.")
