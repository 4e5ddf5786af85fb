"""The condition language, for people at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

Text = Annotated[str | None, typer.Argument(help="A condition to check and explain.", metavar="CONDITION")]
Search = Annotated[str, typer.Option("--search", "-s", help="Only entries with this in their name or words.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print docs/conditions.md.")]


def conditions(text: Text = None, search: Search = "", markdown: Markdown = False) -> None:
    """List what a condition may say, or check one: crypto-mcp conditions "rsi(14) < 30 and close > ema(200)\""""
    from rich.console import Console

    if markdown:
        from crypto_mcp.conditions.reference import reference

        print(reference(), end="")
        return
    Console().print(_checked(text) if text is not None else _listed(search.lower()), soft_wrap=text is not None)


def _checked(text: str) -> RenderableType:
    from rich.markup import escape

    from crypto_mcp.conditions import explain, lookback, parse, timeframes
    from crypto_mcp.models.timeframes import Timeframe

    condition = parse(text)
    needed = lookback(condition, Timeframe.H1)
    others = "".join(f", {bars} of {timeframe}" for timeframe, bars in timeframes(condition).items())
    return f"{escape(explain(condition))}\n[dim]Needs {needed} bars (counted for bars of 1h){others}.[/]"


def _listed(search: str) -> RenderableType:
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table

    from crypto_mcp.conditions.reference import sections

    tables = []
    for title, rows in sections():
        found = [row for row in rows if search in " ".join(row).lower()]
        if found:
            table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None)
            table.add_column(style="cyan")
            table.add_column(overflow="fold")
            for row in found:
                table.add_row(*row)
            tables.append(Padding(table, (0, 0, 1, 0)))
    return Group(*tables) if tables else f"Nothing with {search!r} in it."
