"""Where `crypto-mcp` begins, and how its errors look."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from crypto_mcp.errors import CryptoMcpError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROCESSES = frozenset({"serve", "scheduler", "sandbox", "stdio"})


def main() -> None:
    """Runs a command. An error of ours is three words and a hint, never a traceback."""
    try:
        _run(sys.argv[1:])
    except CryptoMcpError as error:
        print(f"error: {error.message} [{error.code}]", file=sys.stderr)
        if error.hint:
            print(f"hint:  {error.hint}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(arguments: Sequence[str]) -> None:
    """A process that was given no options needs no parser: without one it starts sooner, and is 4 MB smaller."""
    name, *rest = arguments or ("",)
    if name in _PROCESSES and not rest:
        from crypto_mcp.cli import processes

        getattr(processes, name)()
    elif name == "worker" and rest and not any(each.startswith("-") for each in rest):
        from crypto_mcp.cli import processes

        processes.worker(rest)
    else:
        from crypto_mcp.cli.app import app

        app()
