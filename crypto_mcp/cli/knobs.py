"""`crypto-mcp settings`: every setting with its environment variable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crypto_mcp.cli.configuration import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crypto_mcp.settings import Settings

AsEnv = Annotated[bool, typer.Option("--env", help="As the text of .env.example, with the defaults.")]

_HEADER = """\
# Every setting with its default. Copy to .env and uncomment what you change; the environment wins over .env.
# Made by `crypto-mcp settings --env`; a test compares.
"""


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting: its group, environment variable, description and value as text."""

    group: str
    group_summary: str
    variable: str
    description: str
    value: str


def settings(as_env: AsEnv = False) -> None:
    """Print every setting, its environment variable and its value. Passwords are masked."""
    if as_env:
        print(env_example(), end="")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(header_style="cyan", box=None, padding=(0, 2, 0, 0))
    table.add_column("variable", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("meaning")
    group = ""
    for knob in knobs(load()):
        if knob.group != group:
            table.add_section()
            group = knob.group
        table.add_row(knob.variable, escape(knob.value), escape(knob.description))
    Console().print(table)


def knobs(values: Settings) -> Iterator[Knob]:
    """The settings in the order of their declaration, passwords masked."""
    for name in type(values).model_fields:
        group = getattr(values, name)
        summary = (type(group).__doc__ or "").splitlines()[0]
        for field, declared in type(group).model_fields.items():
            yield Knob(
                group=name,
                group_summary=summary,
                variable=f"CRYPTO_MCP_{name}__{field}".upper(),
                description=declared.description or "",
                value=_text(getattr(group, field)),
            )


def env_example() -> str:
    """The text of `.env.example`."""
    from crypto_mcp.settings import Settings

    defaults = Settings.model_construct()
    lines, group = [_HEADER], ""
    for knob in knobs(defaults):
        if knob.group != group:
            lines.append(f"\n## {knob.group_summary}\n")
            group = knob.group
        lines.append(f"# {knob.description}\n# {knob.variable}={knob.value}\n")
    return "".join(lines)


def _text(value: Any) -> str:
    """As it would stand in the environment, a password in a URL replaced; nothing where it is not set."""
    import json
    from urllib.parse import urlsplit

    from pydantic import SecretStr

    if value is None:
        return ""
    if isinstance(value, SecretStr):
        address = value.get_secret_value()
        if not urlsplit(address).netloc:
            return "***"
        password = urlsplit(address).password
        return address.replace(f":{password}@", ":***@") if password else address
    return json.dumps(value, default=_text) if isinstance(value, list | tuple | dict | bool) else str(value)
