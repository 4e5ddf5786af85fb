"""REST: the changes of a job as server-sent events."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from fastapi import Request
from starlette.responses import StreamingResponse

from crypto_mcp.access.identity import current
from crypto_mcp.errors import TooManyRequests
from crypto_mcp.server.problems import described
from crypto_mcp.server.requests import allow_seconds
from crypto_mcp.server.rest import front_of
from crypto_mcp.server.routing import Routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.server.answering import Answering

event_routes = Routes(tags=["jobs"])

_MOST_STREAMS = 20
_LONGEST = 600.0
_GRACE = 30.0
_COME_BACK_MS = 1000
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "One event a change."}
}

_open: Counter[str] = Counter()


@event_routes.get(
    "/jobs/{job_id}/events",
    summary="The changes of a job, as they happen",
    response_class=StreamingResponse,
    responses={**_STREAM, **described(404)},
)
async def stream_job(request: Request, job_id: str) -> StreamingResponse:
    """Server-sent events named by the job's state, each with its record; the first at once, the last at its end.

    A stream lives ten minutes; the browser's EventSource comes back by itself and is told where the job stands.
    """
    answering, client = front_of(request).answering, current().client
    await answering.status(job_id)
    if _open[client] >= _MOST_STREAMS:
        raise TooManyRequests(
            f"{_MOST_STREAMS} streams of this client are open",
            hint="End one, or poll.",
            retry_after=_COME_BACK_MS / 1000,
        )
    allow_seconds(request.scope, _LONGEST + _GRACE)
    return StreamingResponse(
        _events(answering, job_id, client),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(answering: Answering, job_id: str, client: str) -> AsyncIterator[bytes]:
    until = time.monotonic() + _LONGEST
    _open[client] += 1
    try:
        yield f"retry: {_COME_BACK_MS}\n\n".encode()
        async for record in answering.changes(job_id):
            if record is None:
                yield b": nothing new\n\n"
            else:
                yield f"event: {record.state}\ndata: {record.model_dump_json(exclude_none=True)}\n\n".encode()
            if time.monotonic() >= until:
                return
    finally:
        _open[client] -= 1
        if not _open[client]:
            del _open[client]
