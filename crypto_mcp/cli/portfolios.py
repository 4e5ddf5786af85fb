"""`crypto-mcp portfolio`: audits portfolios, and takes trade files."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crypto_mcp.cli.configuration import load
from crypto_mcp.errors import InvalidRequest

if TYPE_CHECKING:
    from workers.portfolio_ledger import Verdict

app = typer.Typer(help="Audit portfolios, import trades.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The portfolio.", metavar="PORTFOLIO")]
MaybeName = Annotated[str | None, typer.Argument(help="The portfolio; all if not given.", metavar="[PORTFOLIO]")]
Owner = Annotated[str | None, typer.Option(help="Only of this client.")]
File = Annotated[Path, typer.Argument(help="CSV file of Binance, Coinbase, Kraken, or the plain format.")]
Take = Annotated[bool, typer.Option("--take", help="Take the trades; without it they are only looked at.")]


@app.command()
def verify(name: MaybeName = None, owner: Owner = None) -> None:
    """Rebuild portfolios from their ledgers and compare: seals, sequence, and every digit of the snapshot."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    verdicts = asyncio.run(_verified(name, owner))
    if not verdicts:
        Console().print("There are no portfolios.")
        return
    table = Table("owner", "portfolio", "entries", "verdict", header_style="cyan", box=None)
    for each in verdicts:
        words = f"[red]{escape(each.problem)}[/]" if each.problem else "[green]clean[/]"
        table.add_row(escape(each.owner), escape(each.name), str(each.entries), words)
    Console().print(table)
    if any(each.problem for each in verdicts):
        raise typer.Exit(1)


@app.command("import")
def import_(name: Name, file: File, take: Take = False) -> None:
    """Look at a trade file, or take its trades with --take."""
    from rich.console import Console

    from crypto_mcp.cli.front_end import front_end
    from crypto_mcp.cli.render import result_tables

    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{file} cannot be read ({error})", hint="Give a CSV file in UTF-8.") from None
    action = "import_trades" if take else "preview_import"
    params = {"action": action, "portfolio_id": name, "csv": text}
    with front_end(load()) as client:
        answer = client.submit("portfolio_monitor", params, wait=25, idempotency_key=secrets.token_urlsafe(16))
    Console().print(result_tables(answer.result) if answer.result else f"job {answer.job_id} goes on")


async def _verified(name: str | None, owner: str | None) -> list[Verdict]:
    from crypto_mcp.stores.mongo import MongoStore
    from workers.portfolio_ledger import PortfolioLedger

    store = MongoStore(load().mongo)
    try:
        ledger = PortfolioLedger(store.portfolios)
        found = await store.portfolios.ledgers()
        wanted = [(o, n) for o, n in found if owner in (None, o) and name in (None, n)]
        return [await ledger.verify(o, n) for o, n in wanted]
    finally:
        await store.close()
