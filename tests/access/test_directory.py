"""Clients, keys and the audit log, on a real PostgreSQL."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest

from crypto_mcp.access.audit import record, verify
from crypto_mcp.access.directory import Directory, UnknownKey
from crypto_mcp.access.keys import ApiKey
from crypto_mcp.access.roles import SCOPES, Role, allows
from crypto_mcp.errors import InvalidRequest
from crypto_mcp.stores.postgres import PostgresStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.settings import Settings


@pytest.fixture
async def directory(settings: Settings, postgres_database: asyncpg.Connection) -> AsyncIterator[Directory]:
    store = PostgresStore(settings.postgres)
    await store.migrate()
    yield Directory(store, "pepper")
    await store.close()


async def test_a_key_is_stored_as_a_hash_that_its_text_alone_does_not_give(
    directory: Directory, postgres_database: asyncpg.Connection
) -> None:
    """Neither the key nor its secret is anywhere in the database, and another pepper makes another hash."""
    key = await directory.create("me", Role.TRADER, actor="test")
    assert re.fullmatch(r"cmcp_[a-z2-7]{12}_[\w-]{43}", key.text)
    dump = ""
    for table in ("clients", "api_keys", "audit"):
        dump += str(await postgres_database.fetch(f"SELECT * FROM {table}"))
    assert key.key_id in dump
    assert key.text[18:] not in dump
    found = await directory.find(key.key_id)
    assert found is not None
    assert (found.client_id, found.role, found.scopes) == ("me", Role.TRADER, SCOPES[Role.TRADER])
    assert key.matches(found.digest, "pepper")
    assert not key.matches(found.digest, "another")
    assert key.text not in repr(key)


@pytest.mark.parametrize("name", ["", "local", "A", "a b", "../etc", "a" * 65, "-a", "ä", "a;DROP TABLE clients"])
async def test_a_name_that_cannot_be_is_refused(directory: Directory, name: str) -> None:
    with pytest.raises(InvalidRequest):
        await directory.create(name, Role.READER, actor="test")
    assert await directory.keys() == []


async def test_a_key_has_no_more_than_its_role(directory: Directory) -> None:
    with pytest.raises(InvalidRequest, match="may not have"):
        await directory.create("me", Role.READER, actor="test", scopes=["portfolio:write"])
    with pytest.raises(InvalidRequest, match="no such scope"):
        await directory.create("me", Role.READER, actor="test", scopes=["everything"])
    await directory.create("me", Role.READER, actor="test", scopes=["analysis:read"])
    with pytest.raises(InvalidRequest, match="is a reader"):
        await directory.create("me", Role.ADMIN, actor="test")
    (only,) = await directory.keys("me")
    assert only.scopes == {"analysis:read"}
    assert allows(only.scopes, "analysis:read")
    assert not allows(only.scopes, "analysis:write")


async def test_the_first_admin_is_made_once(directory: Directory) -> None:
    assert await directory.create_first_admin("admin", actor="test") is not None
    assert await directory.create_first_admin("admin", actor="test") is None


async def test_rotation_keeps_the_client_and_ends_the_old_key(directory: Directory) -> None:
    """A key that ends sooner anyway does not live longer for it, and a revoked one is not brought back."""
    old = await directory.create("me", Role.READER, actor="test", lifetime=timedelta(minutes=5))
    new = await directory.rotate(old.key_id, actor="test", overlap=timedelta(hours=1), lifetime=None)
    known = {found.key_id: found for found in await directory.keys("me")}
    assert known[new.key_id].expires_at is None
    ends = known[old.key_id].expires_at
    assert ends is not None
    assert ends < datetime.now(UTC) + timedelta(minutes=6)
    assert known[old.key_id].state(ends) == "expired"
    await directory.revoke(old.key_id, actor="test")
    with pytest.raises(InvalidRequest, match="revoked"):
        await directory.rotate(old.key_id, actor="test", overlap=timedelta(0), lifetime=None)
    for missing in (ApiKey.minted().key_id, "' OR 1=1 --"):
        with pytest.raises(UnknownKey):
            await directory.revoke(missing, actor="test")


async def test_the_audit_log_shows_every_change_and_cannot_be_changed(
    directory: Directory, postgres_database: asyncpg.Connection
) -> None:
    """Not by an update, not by a deletion; and what a superuser did behind its back is found."""
    key = await directory.create("me", Role.READER, actor="cli:root")
    await directory.revoke(key.key_id, actor="cli:root")
    async with postgres_database.transaction():
        await record(postgres_database, "test", "thing.done", "a", {"b": [1, {"c": "ü"}]})
    rows = await postgres_database.fetch("SELECT action, actor, subject FROM audit ORDER BY seq")
    assert [tuple(row) for row in rows] == [
        ("key.create", "cli:root", key.key_id),
        ("key.revoke", "cli:root", key.key_id),
        ("thing.done", "test", "a"),
    ]
    assert (await verify(postgres_database)).broken_at is None
    for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"):
        with pytest.raises(asyncpg.RaiseError):
            await postgres_database.execute(statement)
    await postgres_database.execute("ALTER TABLE audit DISABLE TRIGGER ALL")
    await postgres_database.execute("UPDATE audit SET subject = 'b' WHERE seq = 2")
    assert (await verify(postgres_database)).broken_at == 2
    await postgres_database.execute("DELETE FROM audit WHERE seq = 2")
    assert (await verify(postgres_database)).broken_at == 2


async def test_a_signing_key_is_kept_with_its_key_and_goes_on_when_that_is_rotated(
    directory: Directory, postgres_database: asyncpg.Connection
) -> None:
    """So that a rotation does not bring back the secret that the pair replaced; who registered it is written down."""
    key, public = await directory.create("me", Role.TRADER, actor="test"), bytes(range(32))
    with pytest.raises(UnknownKey):
        await directory.set_signing_key("abcdefghijkl", public, actor="test")
    await directory.set_signing_key(key.key_id, public, actor="ops")
    renewed = await directory.rotate(key.key_id, actor="test", overlap=timedelta(0), lifetime=None)
    for key_id in (key.key_id, renewed.key_id):
        found = await directory.find(key_id)
        assert found is not None
        assert found.signing_key == public
    await directory.set_signing_key(renewed.key_id, None, actor="ops")
    found = await directory.find(renewed.key_id)
    assert found is not None
    assert found.signing_key is None
    rows = await postgres_database.fetch("SELECT actor FROM audit WHERE action = 'key.signing_key'")
    assert [row["actor"] for row in rows] == ["ops", "ops"]
