"""A worker process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import uvloop

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.errors import InvalidRequest
from crypto_mcp.job_kind import LISTS
from workers.handlers import prepare_process
from workers.services import Services
from workers.worker import DeskWorker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crypto_mcp.job_kind import Catalogue
    from crypto_mcp.settings import Settings


class UnknownList(InvalidRequest):
    """No list of that name."""

    code = "unknown_list"


def run(settings: Settings, lists: Sequence[str], catalogue: Catalogue = CATALOGUE) -> None:
    """Works on `lists` until SIGTERM or SIGINT, then ends in order. Raises `CryptoMcpError` if it cannot start."""
    for name in lists:
        if name not in LISTS:
            raise UnknownList(f"there is no list {name!r}", hint=f"The lists are {', '.join(LISTS)}.")
    prepare_process(catalogue.on(*lists))
    asyncio.set_event_loop(uvloop.new_event_loop())
    DeskWorker(settings, lists, catalogue, Services(settings)).run()
