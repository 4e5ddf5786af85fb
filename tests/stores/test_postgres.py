"""Migrations in a real PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.settings import PostgresSettings
from crypto_mcp.stores import postgres
from crypto_mcp.stores.postgres import MigrationChanged, PostgresStore, migrations
from tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from crypto_mcp.settings import Settings

SPECIFIED = {
    "workflow_executions": {
        "execution_id", "workflow_id", "execution_data", "status", "created_at", "updated_at",
    },
    "mcp_tool_logs": {
        "log_id", "tool_name", "arguments", "response", "execution_time_ms", "status", "error_message", "created_at",
    },
}  # fmt: skip


@pytest.fixture
async def store(settings: Settings, postgres_database: asyncpg.Connection) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(settings.postgres)
    yield store
    await store.close()


async def test_the_tables_have_the_specified_columns(
    store: PostgresStore, postgres_database: asyncpg.Connection
) -> None:
    assert await store.migrate() == [name for name, _ in migrations()]
    rows = await postgres_database.fetch(
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
    )
    columns = {(row["table_name"], row["column_name"]): row["data_type"] for row in rows}
    for table, expected in SPECIFIED.items():
        assert {column for name, column in columns if name == table} >= expected
    assert columns["mcp_tool_logs", "arguments"] == columns["workflow_executions", "execution_data"] == "jsonb"


async def test_migrations_are_applied_once_whoever_starts_first(store: PostgresStore, settings: Settings) -> None:
    other = PostgresStore(settings.postgres)
    applied = await asyncio.gather(store.migrate(), other.migrate())
    assert sorted(applied, key=len) == [[], [name for name, _ in migrations()]]
    await other.close()


async def test_a_migration_that_was_edited_after_it_was_applied_is_refused(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.migrate()
    name, text = migrations()[0]
    monkeypatch.setattr(postgres, "migrations", lambda: [(name, text + "-- changed")])
    with pytest.raises(MigrationChanged, match=name):
        await store.migrate()


async def test_a_failing_migration_leaves_nothing_behind(
    store: PostgresStore, postgres_database: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [("0001.sql", "CREATE TABLE half (a int)"), ("0002.sql", "CREATE TABLE half (a int)")]
    monkeypatch.setattr(postgres, "migrations", lambda: steps)
    with pytest.raises(StoreUnavailable):
        await store.migrate()
    assert await postgres_database.fetchval("SELECT to_regclass('public.half')") is None


async def test_a_database_that_is_away_is_an_error_with_a_code() -> None:
    address = SecretStr(f"postgresql://127.0.0.1:{free_port()}/none")
    store = PostgresStore(PostgresSettings(url=address, timeout=0.5))
    with pytest.raises(StoreUnavailable):
        await store.ping()
    with pytest.raises(StoreUnavailable):
        await store.migrate()
