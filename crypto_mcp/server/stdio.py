"""MCP over standard input and output, for a client that starts the front end as a child."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import uvloop
from mcp.server.stdio import stdio_server

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.server.front import Front, open_front
from crypto_mcp.server.mcp import mcp_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mcp.server.lowlevel import Server

    from crypto_mcp.job_kind import Catalogue
    from crypto_mcp.settings import Settings


def run(settings: Settings, catalogue: Catalogue = CATALOGUE) -> None:
    """Serves until the client closes standard input. Standard output belongs to the protocol, logs go to stderr."""
    uvloop.run(_serve(settings, catalogue))


async def _serve(settings: Settings, catalogue: Catalogue) -> None:
    @asynccontextmanager
    async def lifespan(_: Server[Front]) -> AsyncIterator[Front]:
        async with open_front(settings, catalogue) as front:
            yield front

    server = mcp_server(catalogue, settings.server, lifespan)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
