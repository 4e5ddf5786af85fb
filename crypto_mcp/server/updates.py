"""MCP `subscriptions/listen`: who watches a resource hears when it has changed, on the stream of its own request."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated

from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.server.requests import allow_seconds
from crypto_mcp.server.resources import SCHEME

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from mcp.server.context import ServerRequestContext
    from mcp.types import SubscriptionsListenRequestParams, SubscriptionsListenResult

    from crypto_mcp.server.front import Front

_LONGEST = 600.0
_MOST = 50
_SETTLES = 2.0
"""Seconds after its close in which a bar reaches the data sources."""

_JOB = re.compile(rf"{SCHEME}jobs/([A-Za-z0-9_.-]{{1,64}})")
_OF_BARS = re.compile(rf"{SCHEME}(?:analyses|charts)/[^/]+/(\w+)")


async def listen(
    ctx: ServerRequestContext[Front], params: SubscriptionsListenRequestParams
) -> SubscriptionsListenResult:
    """Tells of changes of jobs, and of bars that close under analyses and charts.

    Over HTTP a stream lives ten minutes; the client listens again and reads what it watches.
    """
    if ctx.request is not None:
        allow_seconds(ctx.request.scope, _LONGEST)
    bus = InMemorySubscriptionBus()
    stream = ListenHandler(bus)
    watched = list(dict.fromkeys(str(uri) for uri in params.notifications.resource_subscriptions or ()))[:_MOST]
    tasks = [asyncio.create_task(work, name="updates") for uri in watched if (work := _watching(ctx, bus, uri))]
    tasks.append(asyncio.create_task(_end(stream, ctx.lifespan_context), name="updates"))
    try:
        return await stream(ctx, params)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _end(stream: ListenHandler, front: Front) -> None:
    """When the front end ends, the stream does: the client is told, and it does not hold up the end."""
    await front.answering.closing.wait()
    stream.close()


def _watching(
    ctx: ServerRequestContext[Front], bus: InMemorySubscriptionBus, uri: str
) -> Coroutine[None, None, None] | None:
    """What tells of an address; None where nothing ever will."""
    if (job := _JOB.fullmatch(uri)) is not None:
        return _of_job(ctx.lifespan_context, bus, uri, job[1])
    bars = _OF_BARS.fullmatch(uri)
    if bars is not None and bars[1] in {timeframe.value for timeframe in Timeframe}:
        return _of_bars(bus, uri, Timeframe(bars[1]))
    return None


async def _of_job(front: Front, bus: InMemorySubscriptionBus, uri: str, job_id: str) -> None:
    """Each change; nothing of a job that does not exist for this client."""
    try:
        known = await front.answering.status(job_id)
        async for record in front.answering.changes(job_id):
            if record is not None and record != known:
                known = record
                await bus.publish(ResourceUpdated(uri=uri))
    except CryptoMcpError:
        return


async def _of_bars(bus: InMemorySubscriptionBus, uri: str, timeframe: Timeframe) -> None:
    """Each close of a bar: from then on the answer is another."""
    length = timeframe.milliseconds / 1000
    while True:
        await asyncio.sleep(length - time.time() % length + _SETTLES)
        await bus.publish(ResourceUpdated(uri=uri))
