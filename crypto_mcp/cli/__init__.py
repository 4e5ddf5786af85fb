"""The command line. Every command imports what it needs when it runs, so that `--help` is instant."""

from crypto_mcp.cli.entry import main

__all__ = ["main"]
