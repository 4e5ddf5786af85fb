"""Every command of `crypto-mcp`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from crypto_mcp.cli import (
    backtests,
    backups,
    calls,
    candles,
    dead,
    deployment,
    diagnosis,
    keys,
    knobs,
    language,
    pictures,
    portfolios,
    processes,
    roles,
    signing,
    users,
)

app = typer.Typer(
    name="crypto-mcp",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Url = Annotated[str | None, typer.Option(help="Front end to ask, such as https://crypto.example.com.")]
KeyFile = Annotated[
    Path | None, typer.Option(help="File with the API key to ask with, mode 600; - reads it from standard input.")
]


@app.callback()
def which_front_end(url: Url = None, key_file: KeyFile = None) -> None:
    """Crypto trading analysis as a worker system, asked through MCP."""
    # A key itself is no option: every process of a machine may read the arguments of the others.
    for name, value in (("URL", url), ("KEY_FILE", key_file)):
        if value is not None:
            os.environ[f"CRYPTO_MCP_CLIENT__{name}"] = str(value)


_TO_RUN, _TO_USE, _TO_CARE = "To run it", "To use it", "To look after it"

app.command("run", rich_help_panel=_TO_RUN)(roles.run)
app.command("serve", rich_help_panel=_TO_RUN)(processes.serve)
app.command("worker", rich_help_panel=_TO_RUN)(roles.worker)
app.command("scheduler", rich_help_panel=_TO_RUN)(processes.scheduler)
app.command("sandbox", rich_help_panel=_TO_RUN)(processes.sandbox)
app.command("stdio", rich_help_panel=_TO_RUN)(processes.stdio)
app.command("call", rich_help_panel=_TO_USE)(calls.call)
app.command("chart", rich_help_panel=_TO_USE)(pictures.chart)
app.command("backtest", rich_help_panel=_TO_USE)(backtests.backtest)
app.command("conditions", rich_help_panel=_TO_USE)(language.conditions)
app.add_typer(candles.app, name="candles", rich_help_panel=_TO_USE)
app.add_typer(portfolios.app, name="portfolio", rich_help_panel=_TO_USE)
app.command("jobs", rich_help_panel=_TO_USE)(calls.jobs)
app.add_typer(dead.app, name="dead", rich_help_panel=_TO_CARE)
app.add_typer(keys.app, name="keys", rich_help_panel=_TO_CARE)
app.command("sign", rich_help_panel=_TO_CARE)(signing.sign)
app.add_typer(users.app, name="user", rich_help_panel=_TO_CARE)
app.add_typer(keys.audit_app, name="audit", rich_help_panel=_TO_CARE)
app.command("doctor", rich_help_panel=_TO_CARE)(diagnosis.doctor)
app.add_typer(backups.app, name="backup", rich_help_panel=_TO_CARE)
app.command("restore", rich_help_panel=_TO_CARE)(backups.restore)
app.command("drill", rich_help_panel=_TO_CARE)(backups.drill)
app.add_typer(deployment.app, name="deploy", rich_help_panel=_TO_CARE)
app.add_typer(deployment.certs_app, name="certs", rich_help_panel=_TO_CARE)
app.command("settings", rich_help_panel=_TO_CARE)(knobs.settings)
