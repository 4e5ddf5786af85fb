"""`crypto-mcp dead`: what failed for good."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from crypto_mcp.cli.configuration import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.jobs.dead import DeadLetters

app = typer.Typer(help="Look at jobs that failed for good, replay or drop them.", no_args_is_help=True)

ListName = Annotated[str, typer.Argument(help="The list the job was on, such as analysis:queue.", metavar="LIST")]
MaybeList = Annotated[str | None, typer.Argument(help="The list; all if not given.", metavar="[LIST]")]
JobId = Annotated[str, typer.Argument(help="The job's id, as `dead list` shows it.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="At most so many of each list.")]


@app.command("list")
def list_(list_name: MaybeList = None, limit: Limit = 20) -> None:
    """What is there, newest first."""
    asyncio.run(_list(list_name, limit))


@app.command()
def show(list_name: ListName, job_id: JobId) -> None:
    """One entry with its reason and what was pushed."""
    asyncio.run(_show(list_name, job_id))


@app.command()
def replay(list_name: ListName, job_id: JobId) -> None:
    """Put an entry back on its list as a fresh job."""
    asyncio.run(_replay(list_name, job_id))


@app.command()
def drop(list_name: ListName, job_id: JobId) -> None:
    """Remove an entry for good."""
    asyncio.run(_drop(list_name, job_id))


@asynccontextmanager
async def _letters() -> AsyncIterator[DeadLetters]:
    from crypto_mcp.jobs.connection import connect
    from crypto_mcp.jobs.dead import DeadLetters

    settings = load()
    redis = connect(settings.redis.queue_url, settings.redis)
    try:
        yield DeadLetters(redis, settings.queue)
    finally:
        await redis.aclose()


async def _list(list_name: str | None, limit: int) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    async with _letters() as letters:
        counts = await letters.counts()
        names = [list_name] if list_name else [name for name, count in counts.items() if count]
        table = Table(header_style="cyan", box=None)
        for name in ("list", "job", "tries", "died", "reason"):
            table.add_column(name, no_wrap=name in ("list", "job"))
        for name in names:
            for letter in await letters.entries(name, limit=limit):
                reason = escape(f"{letter.reason.code}: {letter.reason.message}")
                table.add_row(name, letter.job_id, str(letter.attempts), _moment(letter.died_at), reason)
    Console().print(table if table.row_count else "Nothing has failed for good.")


async def _show(list_name: str, job_id: str) -> None:
    async with _letters() as letters:
        print((await letters.show(list_name, job_id)).model_dump_json(indent=2, exclude_none=True))


async def _replay(list_name: str, job_id: str) -> None:
    async with _letters() as letters:
        print(f"back on {list_name} as job {await letters.replay(list_name, job_id)}")


async def _drop(list_name: str, job_id: str) -> None:
    async with _letters() as letters:
        await letters.drop(list_name, job_id)
    print(f"dropped {job_id} from dead:{list_name}")


def _moment(seconds: float) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
