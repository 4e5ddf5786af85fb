"""A front end and a worker, running in the test's own event loop against real servers."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import uvicorn

from crypto_mcp.job_kind import LISTS
from crypto_mcp.server.app import build_app
from crypto_mcp.server.serve import listen
from crypto_mcp.server.uvicorn_server import BoundedProtocol
from tests.server.kinds import CATALOGUE
from workers.services import Services
from workers.worker import DeskWorker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from crypto_mcp.job_kind import Catalogue
    from crypto_mcp.settings import Settings


@asynccontextmanager
async def front_end(settings: Settings, catalogue: Catalogue = CATALOGUE, **options: Any) -> AsyncIterator[str]:
    """The front end on a free port; its address."""
    listening = listen(settings.server.model_copy(update={"port": 0}))
    config = uvicorn.Config(
        build_app(settings, catalogue, **options),
        http=BoundedProtocol,
        lifespan="on",
        log_config=None,
        ws="none",
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def worker(
    settings: Settings, catalogue: Catalogue = CATALOGUE, lists: Iterable[str] = LISTS
) -> AsyncIterator[DeskWorker]:
    """A worker that knows the kinds for tests, on all lists if none are named."""
    running = DeskWorker(settings, lists, catalogue, Services(settings))
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):  # arq takes them; here they are pytest's
        loop.remove_signal_handler(signum)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    task = asyncio.create_task(running.main())
    try:
        yield running
    finally:
        task.cancel()
        await asyncio.wait([task])
        await running.close()
