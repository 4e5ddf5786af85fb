"""PostgreSQL's roles, database and tables, whatever of them is there already.

The owner makes tables and is used by nothing that runs; the product may read and write rows; `read` only reads, for
reports; `backup` copies the cluster. The log of changes cannot be rewritten by anyone: triggers refuse it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg

from crypto_mcp.deploy.errors import NotReadyYet
from crypto_mcp.settings import PostgresSettings
from crypto_mcp.stores.postgres import PostgresStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from crypto_mcp.deploy.accounts import Passwords

_POLL = 0.5

_GRANTS = """
REVOKE ALL ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
GRANT CONNECT ON DATABASE {database} TO crypto_mcp, crypto_mcp_read;
GRANT USAGE ON SCHEMA public TO crypto_mcp, crypto_mcp_read;
GRANT USAGE, CREATE ON SCHEMA public TO crypto_mcp_owner;
"""

_ON_TABLES = """
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO crypto_mcp;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO crypto_mcp;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO crypto_mcp_read;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO crypto_mcp;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO crypto_mcp;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO crypto_mcp_read;
REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM crypto_mcp;
REVOKE UPDATE, DELETE ON audit FROM crypto_mcp;
REVOKE ALL ON api_keys FROM crypto_mcp_read;
"""


def roles(passwords: Passwords) -> dict[str, tuple[str, str]]:
    """Password and options of each role."""
    return {
        "crypto_mcp_owner": (passwords.postgres_owner, "LOGIN"),
        "crypto_mcp": (passwords.postgres_app, "LOGIN"),
        "crypto_mcp_read": (passwords.postgres_read, "LOGIN"),
        "crypto_mcp_backup": (passwords.postgres_backup, "LOGIN REPLICATION"),
    }


async def set_up(
    url: Callable[[str, str, str], str], passwords: Passwords, database: str, *, within: float
) -> list[str]:
    """Makes what is missing; what it did, in words. `url(user, password, database)` says how to log in."""
    administration = await _connected(url("postgres", passwords.postgres_admin, "postgres"), within)
    try:
        done = [f"PostgreSQL: role {name}" for name in await _make_roles(administration, passwords)]
        if not await administration.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
            await administration.execute(f'CREATE DATABASE "{database}" OWNER crypto_mcp_owner')
            done.append(f"PostgreSQL: database {database}")
    finally:
        await administration.close()
    await _execute(url("postgres", passwords.postgres_admin, database), _GRANTS.format(database=f'"{database}"'))
    owner = url("crypto_mcp_owner", passwords.postgres_owner, database)
    store = PostgresStore(PostgresSettings.model_validate({"url": owner, "timeout": 30}))
    try:
        done += [f"PostgreSQL: migration {name}" for name in await store.migrate()]
    finally:
        await store.close()
    await _execute(owner, _ON_TABLES)
    return done


async def _connected(url: str, within: float) -> asyncpg.Connection:
    try:
        async with asyncio.timeout(within):
            while True:
                try:
                    return await asyncpg.connect(url, timeout=5)
                except (OSError, asyncpg.CannotConnectNowError, TimeoutError):
                    await asyncio.sleep(_POLL)
    except TimeoutError:
        raise NotReadyYet(
            f"PostgreSQL was not ready within {within:g} s", hint="Look at the log of postgresql."
        ) from None


async def _make_roles(administration: asyncpg.Connection, passwords: Passwords) -> list[str]:
    """Names of the roles that were made; those that are there get their password again."""
    made = []
    for name, (password, options) in roles(passwords).items():
        known = await administration.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name)
        verb = "ALTER" if known else "CREATE"
        await administration.execute(f"{verb} ROLE {name} {options} PASSWORD '{password}'")
        if not known:
            made.append(name)
    return made


async def _execute(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()
