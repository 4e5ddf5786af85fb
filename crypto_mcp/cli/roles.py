"""Commands that start processes and take more than a name."""

from __future__ import annotations

from typing import Annotated

import typer

from crypto_mcp.cli import processes
from crypto_mcp.cli.configuration import load

Live = Annotated[bool, typer.Option("--live", help="Real public market data of Binance instead of the sandbox.")]
Lists = Annotated[list[str], typer.Argument(help="Redis lists to work on, such as analysis:queue.")]
AllowEviction = Annotated[
    bool, typer.Option("--allow-eviction", help="Start on a Redis that may evict jobs. They may then be lost.")
]


def run(live: Live = False) -> None:
    """Run the whole product on this machine: databases, sandbox market, front end, workers, scheduler."""
    with processes.importing():
        from crypto_mcp.cli.onemachine import run_stack

        settings = load(of_running_stack=False)
    run_stack(settings, live=live)


def worker(lists: Lists, allow_eviction: AllowEviction = False) -> None:
    """Run a worker on one or more lists."""
    processes.worker(lists, allow_eviction=allow_eviction)
