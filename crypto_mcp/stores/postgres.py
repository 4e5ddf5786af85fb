"""PostgreSQL: tool logs and workflow executions, and the migrations that make their tables."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import TYPE_CHECKING

import asyncpg

from crypto_mcp.errors import CryptoMcpError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.settings import PostgresSettings

_LOCK = 0x63727970  # any constant: one migration at a time, whoever starts first


class MigrationChanged(CryptoMcpError):
    """A migration that was applied has another text now."""

    code = "migration_changed"


class NotMigrated(CryptoMcpError):
    """The tables of this version are not there yet."""

    code = "not_migrated"


class PostgresStore:
    """A pool, opened when first used. Every method raises `StoreUnavailable` when PostgreSQL does not answer."""

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the pool."""
        try:
            async with asyncio.timeout(self._settings.timeout):
                pool = await self._connected()
            async with pool.acquire(timeout=self._settings.timeout) as connection:
                yield connection
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise _unavailable(error) from error

    async def ping(self) -> None:
        """Returns if PostgreSQL answers."""
        async with self.connection() as connection:
            await connection.execute("SELECT 1")

    async def migrate(self) -> list[str]:
        """Applies missing migrations in order; their names. `MigrationChanged` if an applied one was edited."""
        applied: list[str] = []
        async with self.connection() as connection, connection.transaction():
            if not await self._missing(connection):
                return applied  # also for those who may not make tables
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_migrations "
                "(name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
            )
            for name, text in await self._missing(connection):
                await connection.execute(text)
                await connection.execute("INSERT INTO schema_migrations VALUES ($1, $2)", name, _digest(text))
                applied.append(name)
        return applied

    async def require_migrated(self) -> None:
        """Raises `NotMigrated` while migrations are missing."""
        async with self.connection() as connection:
            missing = [name for name, _ in await self._missing(connection)]
        if missing:
            raise NotMigrated(f"migrations are missing: {', '.join(missing)}", hint="Run `crypto-mcp deploy init`.")

    @staticmethod
    async def _missing(connection: asyncpg.Connection) -> list[tuple[str, str]]:
        """Migrations that were not applied yet. `MigrationChanged` if one that was has another text."""
        if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
            return migrations()
        known = dict(await connection.fetch("SELECT name, sha256 FROM schema_migrations"))
        for name, text in migrations():
            if known.get(name, _digest(text)) != _digest(text):
                raise MigrationChanged(
                    f"migration {name} was changed after it had been applied",
                    hint="Restore its text and put the change into a new migration.",
                )
        return [(name, text) for name, text in migrations() if name not in known]

    async def close(self) -> None:
        """Closes the pool."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    async def _connected(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._settings.url.get_secret_value(),
                    min_size=0,
                    max_size=4,
                    timeout=self._settings.timeout,
                    command_timeout=self._settings.timeout,
                )
            return self._pool


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def migrations() -> list[tuple[str, str]]:
    """Name and text of every migration, in order."""
    folder = files("crypto_mcp.stores.migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(name, folder.joinpath(name).read_text()) for name in names]


def _unavailable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"PostgreSQL does not answer ({type(error).__name__})",
        hint="`crypto-mcp doctor` says what is wrong.",
        retry_after=2,
    )
