"""Every few seconds a front-end process says in Redis how it stands: for system alerts and for scaling."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import orjson
from redis.exceptions import RedisError

from crypto_mcp.jobs import keys
from crypto_mcp.vitals import Vitals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

    from crypto_mcp.server.infrastructure import Performance

_EVERY = 5.0
_GOOD_FOR = 15


@asynccontextmanager
async def telling(redis: Redis, performance: Performance) -> AsyncIterator[None]:
    """Tells while inside; a Redis that is away is told later."""
    task = asyncio.create_task(_tell(redis, performance))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _tell(redis: Redis, performance: Performance) -> None:
    vitals = Vitals()
    name = f"{keys.FRONT_VITALS}{keys.host_part(socket.gethostname())}-{os.getpid()}"
    while True:
        await asyncio.sleep(_EVERY)
        said = asdict(vitals.take()) | performance.of_a_minute()
        with contextlib.suppress(RedisError, OSError):
            await redis.set(name, orjson.dumps(said), ex=_GOOD_FOR)
