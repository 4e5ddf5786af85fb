"""`crypto-mcp keys`: who may ask. `crypto-mcp audit`: what was changed."""

from __future__ import annotations

import asyncio
import getpass
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crypto_mcp.access.roles import SCOPES, Role
from crypto_mcp.cli.configuration import load
from crypto_mcp.errors import CryptoMcpError, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.access.directory import Directory, KeyRecord
    from crypto_mcp.access.keys import ApiKey
    from crypto_mcp.settings import Settings
    from crypto_mcp.stores.postgres import PostgresStore

app = typer.Typer(help="Make, list, rotate and revoke the keys clients ask with.", no_args_is_help=True)
audit_app = typer.Typer(help="Look after the log of what was changed.", no_args_is_help=True)

Client = Annotated[str, typer.Argument(help="Name of the client: a person, a program, a team.")]
KeyId = Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")]
RoleOption = Annotated[Role, typer.Option(help="reader: market questions; trader: portfolios and alerts too; ...")]
Days = Annotated[int | None, typer.Option(min=1, max=3650, help="Days until it expires; as set, if not given.")]
Scope = Annotated[list[str] | None, typer.Option(help="Only this scope of the role's; may be repeated.")]
Network = Annotated[list[str] | None, typer.Option(help="Network (CIDR) the client may come from; may be repeated.")]


class BrokenAudit(CryptoMcpError):
    """A row of the audit log is not what was written."""

    code = "audit_broken"


@app.command()
def create(
    client: Client,
    role: RoleOption = Role.READER,
    days: Days = None,
    never_expires: Annotated[bool, typer.Option(help="The key has no end.")] = False,
    scope: Scope = None,
    allow: Network = None,
) -> None:
    """Make a key. It is shown once, and cannot be shown again."""

    async def work() -> None:
        async with _directory() as (directory, settings):
            lifetime = None if never_expires else timedelta(days=days or settings.access.key_days)
            key = await directory.create(
                client, role, actor=_actor(), scopes=scope or (), lifetime=lifetime, allowed_ips=allow or ()
            )
        _show(key, lifetime)

    asyncio.run(work())


@app.command("list")
def list_(client: Annotated[str | None, typer.Argument(help="Only this client's.")] = None) -> None:
    """All keys, without their secrets."""

    async def work() -> list[KeyRecord]:
        async with _directory() as (directory, _):
            return await directory.keys(client)

    _table(asyncio.run(work()))


@app.command()
def rotate(
    key_id: KeyId,
    overlap_hours: Annotated[float, typer.Option(min=0, max=24 * 90, help="Hours the old key stays good.")] = 24.0,
    days: Days = None,
) -> None:
    """Make a key that takes another's place; both are good for a while."""

    async def work() -> None:
        async with _directory() as (directory, settings):
            lifetime = timedelta(days=days or settings.access.key_days)
            overlap = timedelta(hours=overlap_hours)
            key = await directory.rotate(key_id, actor=_actor(), overlap=overlap, lifetime=lifetime)
        _show(key, lifetime)
        print(f"{key_id} stays good for {overlap_hours:g} hours.")

    asyncio.run(work())


@app.command()
def revoke(key_id: KeyId) -> None:
    """Refuse a key from now on, on every front end within two seconds."""

    async def work() -> None:
        async with _directory() as (directory, _):
            await directory.revoke(key_id, actor=_actor())

    asyncio.run(work())
    print(f"{key_id} is revoked.")


@audit_app.command("verify")
def verify_audit() -> None:
    """Check the whole chain. Keep the newest hash elsewhere: it shows a chain that was rewritten."""
    from crypto_mcp.access.audit import verify

    async def work() -> None:
        async with _postgres(load()) as postgres, postgres.connection() as connection:
            found = await verify(connection)
        if found.broken_at is not None:
            raise BrokenAudit(
                f"row {found.broken_at} of the audit log is not what was written",
                hint=f"The {found.rows} rows before it are whole. Compare with a backup.",
            )
        print(f"{found.rows} rows, whole. Newest hash: {found.newest}")

    asyncio.run(work())


@asynccontextmanager
async def _postgres(settings: Settings) -> AsyncIterator[PostgresStore]:
    from crypto_mcp.stores.postgres import PostgresStore

    store = PostgresStore(settings.postgres)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def _directory() -> AsyncIterator[tuple[Directory, Settings]]:
    from crypto_mcp.access.directory import Directory

    settings = load()
    if settings.access.pepper is None:
        raise InvalidRequest(
            "no pepper is set, and keys are stored as hashes made with it",
            hint="Set CRYPTO_MCP_ACCESS__PEPPER to a long random text, the same for all front ends, and keep it.",
        )
    async with _postgres(settings) as store:
        await store.migrate()
        yield Directory(store, settings.access.pepper.get_secret_value()), settings


def _actor() -> str:
    return f"cli:{getpass.getuser()}"


@app.command("signing-secret")
def show_signing_secret(key_id: KeyId) -> None:
    """Show what a key signs requests with, where an operation needs that."""
    from crypto_mcp.access.signing import signing_secret

    async def work() -> str:
        async with _directory() as (directory, settings):
            found = await directory.find(key_id)
            if found is None:
                raise InvalidRequest(f"there is no key {key_id!r}", hint="`crypto-mcp keys list` shows them.")
            if found.signing_key is not None:
                raise InvalidRequest(
                    f"key {key_id} signs with a key pair of its holder", hint="`keys signing-key --remove` ends that."
                )
            assert settings.access.pepper is not None
            return signing_secret(settings.access.pepper.get_secret_value(), key_id)

    print(asyncio.run(work()))


@app.command("signing-key")
def register_signing_key(
    key_id: KeyId,
    public: Annotated[Path | None, typer.Argument(help="File with an Ed25519 public key in PEM.")] = None,
    remove: Annotated[bool, typer.Option(help="Back to the secret of `keys signing-secret`.")] = False,
) -> None:
    """Have a key's holder sign with a key pair of their own, whose private half never leaves them."""
    from crypto_mcp.access.signing import public_key

    if (public is None) != remove:
        raise InvalidRequest("give a file with a public key, or --remove", hint="crypto-mcp keys signing-key KEY FILE")
    try:
        registered = None if public is None else public_key(public.read_text())
    except (OSError, UnicodeDecodeError):
        raise InvalidRequest(f"{public} cannot be read", hint="Is it the right file?") from None

    async def work() -> None:
        async with _directory() as (directory, _):
            await directory.set_signing_key(key_id, registered, actor=_actor())

    asyncio.run(work())
    print(f"{key_id} signs with {'its secret' if registered is None else 'the private half of that key'}.")


def _show(key: ApiKey, lifetime: timedelta | None) -> None:
    until = "and never expires" if lifetime is None else f"good until {datetime.now(UTC) + lifetime:%Y-%m-%d}"
    print(f"{key.text}\n\nThis is key {key.key_id}, {until}. It is not stored: keep it now.")


def _table(records: list[KeyRecord]) -> None:
    from rich.console import Console
    from rich.table import Table

    columns = ("key", "client", "role", "state", "expires", "last used", "limited to")
    table = Table(*columns, header_style="cyan", box=None)
    now = datetime.now(UTC)
    for found in records:
        ends = "never" if found.expires_at is None else f"{found.expires_at:%Y-%m-%d}"
        used = "never" if found.last_used_at is None else f"{found.last_used_at:%Y-%m-%d %H:%M}"
        limits = [*map(str, found.allowed_ips), *(sorted(found.scopes) if found.scopes != SCOPES[found.role] else ())]
        table.add_row(found.key_id, found.client_id, found.role, found.state(now), ends, used, ", ".join(limits))
    Console().print(table if table.row_count else "There are no keys.")
