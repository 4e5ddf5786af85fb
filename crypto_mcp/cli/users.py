"""`crypto-mcp user`: what is kept of a user, given out and erased."""

from __future__ import annotations

import asyncio
import getpass
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crypto_mcp.cli.configuration import load
from crypto_mcp.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.userdata.erasing import Eraser, Erasure

app = typer.Typer(help="Give out or erase all that is kept of a user.", no_args_is_help=True)

User = Annotated[
    str, typer.Argument(help="The client's name, as `keys list` shows it; `local` for this machine's user.")
]


@app.command()
def export(
    user: User, to: Annotated[Path, typer.Option(help="File to write, lines of JSON; readable by you alone.")]
) -> None:
    """Write everything that is kept of a user into a file."""
    from crypto_mcp.userdata.exporting import exported
    from crypto_mcp.userdata.holdings import open_holdings

    async def work() -> int:
        count = 0
        with os.fdopen(os.open(to, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            async with open_holdings(load()) as (holdings, _):
                async for line in exported(holdings, user):
                    file.write(line)
                    count += 1
        return count - 1

    try:
        print(f"{asyncio.run(work())} things of {user} are in {to}.")
    except FileExistsError:
        raise InvalidRequest(f"{to} is there already", hint="Name a new file.") from None


@app.command()
def erase(user: User, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Erase a user everywhere. It cannot be taken back; cut off, the same command goes on."""
    if not yes:
        typer.confirm(f"Erase everything that is kept of {user}?", abort=True)
    done = asyncio.run(_erased([user]))
    print(f"{sum(done[0].erased.values())} things of {user} are erased. Receipt:\n{done[0].receipt}")


@app.command("name")
def name(
    subject: Annotated[str, typer.Argument(help="The user's `sub` at the issuer of access tokens.")],
    issuer: Annotated[str | None, typer.Option(help="Another issuer than the one that is set.")] = None,
) -> None:
    """Say under which name the data of a user with access tokens is kept."""
    from crypto_mcp.access.tokens import token_client

    known = issuer or load().oauth.issuer
    if known is None:
        raise InvalidRequest("no issuer is set", hint="Set CRYPTO_MCP_OAUTH__ISSUER, or name one with --issuer.")
    print(token_client(known, subject))


@app.command("erase-again")
def erase_again() -> None:
    """After a restore of a backup: erase all who were erased before."""
    done = asyncio.run(_erased(None))
    print(f"{len(done)} users are erased again.")


@app.command("check-receipt")
def check_receipt(
    receipt: Annotated[str, typer.Argument(help="As `user erase` printed it.")],
    key: Annotated[str | None, typer.Option(help="Public key; this installation's, if not given.")] = None,
) -> None:
    """Say what a receipt says, if it was given out by this installation."""
    import json

    from crypto_mcp.userdata.erasing import public_key, read_receipt

    known = key or public_key(_pepper())
    print(json.dumps(read_receipt(receipt, known), indent=2))
    print(f"Signed with the key {known}.")


async def _erased(users: list[str] | None) -> list[Erasure]:
    from crypto_mcp.access.keyring import REMEMBERED

    async with _eraser() as eraser:
        wanted = await eraser.known() if users is None else users
        return [await eraser.erase(each, actor=f"cli:{getpass.getuser()}", settle=REMEMBERED) for each in wanted]


@asynccontextmanager
async def _eraser() -> AsyncIterator[Eraser]:
    from crypto_mcp.userdata.erasing import Eraser
    from crypto_mcp.userdata.holdings import open_holdings

    async with open_holdings(load()) as (holdings, postgres):
        await postgres.migrate()
        yield Eraser(holdings, postgres, _pepper())


def _pepper() -> str:
    pepper = load().access.pepper
    if pepper is None:
        raise InvalidRequest("no pepper is set, and receipts are signed with it", hint="Set CRYPTO_MCP_ACCESS__PEPPER.")
    return pepper.get_secret_value()
