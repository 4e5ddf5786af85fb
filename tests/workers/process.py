"""`python -m tests.workers.process LIST...`: the product's worker with the tests' kinds."""

from __future__ import annotations

import sys

from crypto_mcp import logs
from crypto_mcp.settings import Settings
from tests.workers.kinds import CATALOGUE
from workers.main import run

if __name__ == "__main__":
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    logs.configure(settings.log)
    run(settings, sys.argv[1:], CATALOGUE)
