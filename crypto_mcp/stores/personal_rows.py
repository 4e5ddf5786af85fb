"""Whatever PostgreSQL has of one user, but for the audit log: it says what was done to whose keys, and stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.stores.postgres import PostgresStore

TABLES = ("mcp_tool_logs", "workflow_executions", "api_keys", "clients")
"""Tables with a column `client_id`, in the order in which their rows can go."""

_NEVER_TOLD = frozenset({"digest"})


class PersonalRows:
    """Reads and removes them. Every method raises `StoreUnavailable` when PostgreSQL does not answer."""

    name = "postgresql"

    def __init__(self, postgres: PostgresStore) -> None:
        self._postgres = postgres

    async def read(self, user: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Each row with its table's name; of keys without the hash."""
        async with self._postgres.connection() as connection, connection.transaction(readonly=True):
            for table in TABLES:
                async for row in connection.cursor(f"SELECT * FROM {table} WHERE client_id = $1", user):  # noqa: S608 - our tables # nosec B608
                    yield table, {name: value for name, value in row.items() if name not in _NEVER_TOLD}

    async def erase(self, user: str) -> int:
        """Removes them; how many."""
        async with self._postgres.connection() as connection, connection.transaction():
            done = [await connection.execute(f"DELETE FROM {table} WHERE client_id = $1", user) for table in TABLES]  # noqa: S608 - our tables # nosec B608
        return sum(int(status.rpartition(" ")[2]) for status in done)

    async def lock_out(self, user: str) -> None:
        """From now on none of the user's keys opens anything."""
        async with self._postgres.connection() as connection:
            await connection.execute(
                "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE client_id = $1", user
            )
