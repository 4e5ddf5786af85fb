"""`crypto-mcp doctor`: what is reachable, what is wrong, how to fix it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import typer

from crypto_mcp.cli.configuration import load

if TYPE_CHECKING:
    from crypto_mcp.cli.findings import Finding


def doctor() -> None:
    """Check everything the product needs. Exit status 1 if something is wrong."""
    from crypto_mcp.cli.checks import examine

    show(asyncio.run(examine(load())))


def show(findings: list[Finding]) -> None:
    """Prints findings and ends the command, with status 1 if something is wrong."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from crypto_mcp.cli.findings import MARKS, Level

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for finding in findings:
        table.add_row(MARKS[finding.level], finding.subject, escape(finding.detail))
        if finding.hint:
            table.add_row("", "", f"[dim]{escape(finding.hint)}[/]")
    console = Console()
    console.print(table)
    wrong, warnings = (sum(f.level is level for f in findings) for level in (Level.WRONG, Level.WARNING))
    console.print(f"\n{wrong} wrong, {warnings} warnings" if wrong or warnings else "\nAll is well")
    raise typer.Exit(1 if wrong else 0)
