"""The processes of the product: one command each."""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from crypto_mcp.cli.configuration import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def serve() -> None:
    """Run the front end: MCP at /mcp, REST at /v1, its documentation at /docs."""
    with importing():
        from crypto_mcp.logs import configure
        from crypto_mcp.server.serve import run

    settings = load()
    configure(settings.log)
    run(settings)


def worker(lists: Sequence[str], *, allow_eviction: bool = False) -> None:
    """Run a worker on one or more lists."""
    # TA-Lib imports pandas wherever it is installed, 0.6 s and 60 MB a process that no worker has a use for.
    sys.modules["pandas"] = None  # type: ignore[assignment]
    with importing():
        from crypto_mcp.catalogue import CATALOGUE
        from crypto_mcp.logs import configure
        from workers.handlers import load as load_handler
        from workers.main import run

        for kind in CATALOGUE.on(*lists):
            load_handler(kind)

    settings = load()
    if allow_eviction:
        queue = settings.queue.model_copy(update={"allow_eviction": True})
        settings = settings.model_copy(update={"queue": queue})
    configure(settings.log)
    run(settings, lists)


def scheduler() -> None:
    """Run a scheduler. Of several one leads, the others stand by."""
    with importing():
        from crypto_mcp.logs import configure
        from scheduler.main import run

    settings = load()
    configure(settings.log)
    run(settings)


def sandbox() -> None:
    """Run the loopback exchange: recorded candles, real wire formats, limits and errors."""
    with importing():
        from crypto_mcp.sandbox.__main__ import run

    run(load())


def stdio() -> None:
    """Speak MCP on standard input and output, for a client that starts this command."""
    with importing():
        from crypto_mcp.logs import configure
        from crypto_mcp.server.stdio import run

    settings = load()
    configure(settings.log)
    run(settings)


@contextmanager
def importing() -> Iterator[None]:
    """The garbage collector finds nothing in what imports make: without it they take an eighth less time.

    Afterwards they are taken out of its sight for good.
    """
    gc.disable()
    yield
    gc.freeze()
    gc.enable()
