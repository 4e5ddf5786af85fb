"""`crypto-mcp backup`, `crypto-mcp restore`, `crypto-mcp drill`: what is kept, how it comes back, and the proof."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crypto_mcp.cli.configuration import load
from crypto_mcp.errors import InvalidRequest

if TYPE_CHECKING:
    from scheduler.backup.repository import Repository

app = typer.Typer(help="Make, list and check backups.", no_args_is_help=True)

At = Annotated[datetime | None, typer.Option(help="Bring back what was at this moment (UTC), not the newest.")]


@app.command("make")
def make() -> None:
    """A full backup now, beside the daily ones that the scheduler makes."""
    from scheduler.backup.duty import make_one

    print(f"kept as snapshot {asyncio.run(make_one(load()))}")


@app.command("list")
def list_() -> None:
    """Show what the repository holds, the newest last."""
    for snapshot in asyncio.run(_repository().snapshots()):
        print(f"{snapshot.id}  {snapshot.at:%Y-%m-%d %H:%M:%S}  {','.join(snapshot.tags)}")


@app.command()
def check() -> None:
    """Read everything the repository holds and compare it with its checksums."""
    asyncio.run(_repository().check())
    print("everything is what was backed up")


def restore(
    snapshot: Annotated[str, typer.Argument(help="Id of a snapshot, or `latest`.")] = "latest",
    at: At = None,
    redis: Annotated[Path | None, typer.Option(help="Data folder of a Redis that does not run.")] = None,
    postgres: Annotated[Path | None, typer.Option(help="Cluster folder of a PostgreSQL that does not run.")] = None,
    mongo: Annotated[
        str | None, typer.Option(help="URL of a running, empty MongoDB, or the stack's passwords.json for its own.")
    ] = None,
    files: Annotated[Path | None, typer.Option(help="Folder for configuration, certificates, logs.")] = None,
    work: Annotated[Path, typer.Option(help="Where the backup is unpacked.")] = Path("/tmp"),  # noqa: S108 - a choice # nosec B108
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only the plan is shown.")] = False,
) -> None:
    """Bring a backup back into empty places. Shows its plan first; overwrites nothing."""
    from crypto_mcp.deploy.accounts import Passwords, mongo_url
    from scheduler.backup.restore import Target, fetch, require_room
    from scheduler.backup.restore import restore as bring_back

    if mongo is not None and not mongo.startswith(("mongodb://", "mongodb+srv://")):
        mongo = mongo_url("admin", Passwords.kept_in(Path(mongo)).mongo_admin)
    target = Target(redis, postgres, mongo, files)
    if target == Target():
        raise InvalidRequest(
            "nothing to restore into", hint="Name at least one of --redis, --postgres, --mongo, --files."
        )
    moment = None if at is None else at.astimezone() if at.tzinfo else at.replace(tzinfo=UTC)
    require_room(target)

    async def run() -> None:
        with tempfile.TemporaryDirectory(prefix="restore-", dir=work) as folder:
            print("fetching and checking")
            chosen, found = await fetch(_repository(), snapshot, moment, Path(folder))
            print(f"snapshot {chosen.id} of {chosen.at:%Y-%m-%d %H:%M:%S} is sound")
            for name, place in (("Redis", redis), ("PostgreSQL", postgres), ("MongoDB", mongo), ("files", files)):
                print(f"  {name}: {'as it is' if place is None else 'restored' if name == 'MongoDB' else place}")
            if not yes:
                print("nothing was changed; add --yes")
                return
            done = await bring_back(found, target, at=moment, say=print)
            print(f"restored: {done}")

    asyncio.run(run())


def drill(
    documents: Annotated[int, typer.Option(min=1, help="Documents and rows to lose and bring back.")] = 100_000,
    seconds: Annotated[float, typer.Option(min=1, help="Writes after the full backup.")] = 90.0,
    tail_every: Annotated[float, typer.Option(min=0.5, help="Seconds between backups of changes.")] = 30.0,
    folder: Annotated[Path, typer.Option(help="Where reports are kept.")] = Path(".local/drills"),
) -> None:
    """Lose everything on purpose, on servers of its own, and measure what a restore brings back."""
    from crypto_mcp.local.ports import free_ports
    from scheduler.backup.drill import drill as run

    with tempfile.TemporaryDirectory(prefix="drill-") as place:
        Path(place).chmod(0o755)
        work = Path(place) / "drill"
        report = asyncio.run(
            run(work, free_ports(3), documents=documents, seconds=seconds, tail_every=tail_every, say=print)
        )
    print(report.in_words())
    print(f"report: {report.write(folder)}")
    if not report.passed:
        raise typer.Exit(1)


def _repository() -> Repository:
    from scheduler.backup.errors import BackupFailed
    from scheduler.backup.repository import Repository

    own = load().backup
    if not own.repository or own.key is None:
        raise BackupFailed(
            "no place or no key for backups is set",
            hint="Set CRYPTO_MCP_BACKUP__REPOSITORY and CRYPTO_MCP_BACKUP__KEY.",
        )
    return Repository(own.repository, own.key.get_secret_value())
