"""`crypto-mcp deploy`: secrets, accounts, checks. `crypto-mcp certs`: certificates of the stack."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crypto_mcp.cli.configuration import load

if TYPE_CHECKING:
    from crypto_mcp.deploy.certificate_files import Standing

app = typer.Typer(help="Put the product onto other machines: secrets, accounts, checks.", no_args_is_help=True)
certs_app = typer.Typer(help="Certificates of the stack: make, renew, check.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option("--folder", help="Folder of secrets.")]
Names = Annotated[list[str] | None, typer.Option("--name", help="Host name clients come by; may be repeated.")]
Within = Annotated[float, typer.Option(help="Seconds to wait, at most.")]

_FOLDER = Path("compose/secrets")


@app.command()
def secrets(folder: Folder = _FOLDER, name: Names = None) -> None:
    """Make what is missing of passwords, certificates and role settings; what is there is kept."""
    from crypto_mcp.deploy.secret_files import make_secrets

    _show(make_secrets(folder, name or [], datetime.now(UTC)))
    print(f"secrets are in {folder}; `passwords.json` and `ca.key` there belong into your safe")


@app.command()
def versions(files: Annotated[list[Path], typer.Argument(help="Files that the stack mounts.")]) -> None:
    """Print a version variable for each file, as the stack file wants them."""
    from crypto_mcp.deploy.secret_files import versions as of_files

    for name, digest in of_files(files).items():
        print(f"export {name}={digest}")


@app.command()
def init(
    passwords: Annotated[Path, typer.Option(help="passwords.json of the secrets.")] = Path(
        "/run/secrets/passwords.json"
    ),
    mongo: Annotated[str, typer.Option(help="Members of the replica set, `host:port`, separated by commas.")] = (
        "mongodb:27017"
    ),
    postgres: Annotated[str, typer.Option(help="`host:port` of PostgreSQL.")] = "postgresql:5432",
    database: Annotated[str, typer.Option(help="Database in both.")] = "crypto_mcp",
    ca: Annotated[Path, typer.Option(help="Certificate of the authority.")] = Path("/run/secrets/ca.crt"),
    within: Within = 180.0,
) -> None:
    """Make accounts, indexes, validators and tables in the databases. May be run again at any time."""
    from crypto_mcp.deploy import mongo_setup, postgres_setup
    from crypto_mcp.deploy.accounts import Passwords

    known = Passwords.kept_in(passwords)
    tls = {"tls": True, "tlsCAFile": str(ca)}

    def url(user: str, password: str, name: str) -> str:
        return f"postgresql://{user}:{password}@{postgres}/{name}?sslmode=verify-full&sslrootcert={ca}"

    async def work() -> list[str]:
        async with asyncio.TaskGroup() as group:
            document = group.create_task(mongo_setup.set_up(mongo.split(","), known, database, tls=tls, within=within))
            relational = group.create_task(postgres_setup.set_up(url, known, database, within=within))
        return [*document.result(), *relational.result()]

    for line in asyncio.run(work()):
        print(line)
    print("accounts, indexes, validators and tables are there")


@app.command()
def wait(within: Within = 120.0) -> None:
    """Return when the databases let this role in and their tables are there."""
    from crypto_mcp.deploy.waiting import wait_for_stores

    asyncio.run(wait_for_stores(load(), within))


@app.command()
def preflight(folder: Folder = _FOLDER) -> None:
    """Check settings, secrets, certificates, ports, disk, clock and engine before a deployment."""
    from crypto_mcp.cli.diagnosis import show
    from crypto_mcp.cli.preflight import examine

    show(examine(load(of_running_stack=False), folder))


@certs_app.command()
def make(folder: Folder = _FOLDER, name: Names = None) -> None:
    """Make what is missing, what ends within 30 days, and what lacks one of the names."""
    _certificates(folder, name, renew=False)


@certs_app.command()
def renew(folder: Folder = _FOLDER, name: Names = None) -> None:
    """Make every server's certificate anew; the authority stays."""
    _certificates(folder, name, renew=True)


@certs_app.command()
def check(folder: Folder = _FOLDER) -> None:
    """Show how long each certificate is good for. Exit status 1 if one ends within 30 days."""
    from crypto_mcp.deploy.certificate_files import certificates_in

    standings = certificates_in(folder, datetime.now(UTC))
    _show(standings)
    if not standings or any(standing.due for standing in standings):
        raise typer.Exit(1)


def _certificates(folder: Path, names: list[str] | None, *, renew: bool) -> None:
    from crypto_mcp.deploy.certificate_files import make_certificates
    from crypto_mcp.deploy.files import private_folder

    _show(make_certificates(private_folder(folder), names or [], datetime.now(UTC), renew=renew))


def _show(standings: list[Standing]) -> None:
    for standing in standings:
        due = "  renew it: crypto-mcp certs make" if standing.due else ""
        print(f"{standing.path.name:<16} {standing.days_left:>6.0f} days{'  new' if standing.made else ''}{due}")
    if not standings:
        print("no certificates here; `crypto-mcp certs make` makes them", file=sys.stderr)
