"""The product's worker with the tests' kinds, set up by its environment."""

from __future__ import annotations

from crypto_mcp import logs
from crypto_mcp.settings import Settings
from tests.workers.kinds import CATALOGUE
from workers.main import run


def work_on(*lists: str) -> None:
    """Runs the worker until SIGTERM."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    logs.configure(settings.log)
    run(settings, lists, CATALOGUE)
