"""The settings a command works with."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from crypto_mcp.errors import InvalidRequest

if TYPE_CHECKING:
    from crypto_mcp.settings import Settings


class BadSettings(InvalidRequest):
    """A setting has a value it cannot have, or a name that does not exist."""

    code = "bad_settings"


def load(*, of_running_stack: bool = True) -> Settings:
    """Environment, then `.env`, then (unless told otherwise) the addresses of the stack that runs on this machine.

    `CRYPTO_MCP_SETTINGS` names more files, separated by colons, such as secrets that a container has mounted; they come
    before `.env`.
    """
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from crypto_mcp.settings import Settings
    from crypto_mcp.validation import explain

    try:
        files = [".env", *filter(None, os.environ.get("CRYPTO_MCP_SETTINGS", "").split(":"))]
        own = Settings(_env_file=files)
        if not of_running_stack:
            return own
        return Settings(_env_file=(_data_here(own.local.data) / "run.env", *files))
    except SettingsError as error:
        raise BadSettings(
            f"settings: {error}", hint="Lists and pairs are written as JSON, as in .env.example."
        ) from None
    except ValidationError as error:
        raise BadSettings(
            f"settings: {explain(error)}", hint="`crypto-mcp settings` lists every setting and what it may be."
        ) from None


def _data_here(data: Path) -> Path:
    """The stack's data below the current directory, else beside the `.venv` this command runs from.

    An MCP client starts `/path/to/.venv/bin/crypto-mcp stdio` in a directory of its own.
    """
    beside = Path(sys.prefix).parent / data
    return beside if not data.exists() and beside.exists() else data
