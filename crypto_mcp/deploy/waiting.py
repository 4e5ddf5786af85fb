"""What a container waits for before it starts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from crypto_mcp.deploy.errors import NotReadyYet
from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.jobs.connection import connect
from crypto_mcp.stores.mongo import MongoStore
from crypto_mcp.stores.postgres import PostgresStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crypto_mcp.settings import Settings

_POLL = 0.5


async def wait_for_stores(settings: Settings, within: float) -> None:
    """Returns when Redis, MongoDB and PostgreSQL let this role in and the tables are there.

    Raises `NotReadyYet` with the last reason after `within` seconds.
    """
    redis = connect(settings.redis.queue_url, settings.redis)
    mongo, postgres = MongoStore(settings.mongo), PostgresStore(settings.postgres)
    probes: list[Callable[[], Awaitable[object]]] = [redis.ping, mongo.ping]
    if "postgres" in settings.model_fields_set:
        probes.append(postgres.require_migrated)
    try:
        for probe in probes:
            await _until(probe, within)
    finally:
        await redis.aclose()
        await mongo.close()
        await postgres.close()


async def _until(probe: Callable[[], Awaitable[object]], within: float) -> None:
    reason = ""
    try:
        async with asyncio.timeout(within):
            while True:
                try:
                    await probe()
                except Exception as error:  # noqa: BLE001 - whatever it is, it may pass
                    reason = error.message if isinstance(error, CryptoMcpError) else f"{type(error).__name__}: {error}"
                    await asyncio.sleep(_POLL)
                else:
                    return
    except TimeoutError:
        raise NotReadyYet(
            f"not ready within {within:g} s: {reason}", hint="Look at the log of `init` and of the databases."
        ) from None
