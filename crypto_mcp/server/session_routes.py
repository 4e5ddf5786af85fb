"""REST: a client's session."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Query, Request, Response

from crypto_mcp.access.identity import current
from crypto_mcp.access.sessions import Session
from crypto_mcp.server.problems import described
from crypto_mcp.server.requests import read_json
from crypto_mcp.server.rest import answer, front_of
from crypto_mcp.server.routing import Routes

session_routes = Routes(prefix="/session", tags=["session"])

_Preferences = Annotated[
    dict[str, Any],
    Body(description="Values by name of a parameter; null takes one back.", examples=[{"detail": "full"}]),
]


@session_routes.get("", summary="The caller's session")
async def get_session(request: Request) -> Session:
    """Preferences, the newest call, newest jobs and symbols. Kept for an hour after the newest call."""
    return await front_of(request).callers.sessions.of(current().client)


@session_routes.patch("", summary="Set preferences")
async def patch_session(request: Request, preferences: _Preferences) -> Session:
    """A preference is taken by every kind that has a parameter of that name and was not given it."""
    return await front_of(request).callers.sessions.prefer(current().client, preferences)


@session_routes.post("/again", summary="Repeat the newest call", responses=described(400, 409, 415))
async def again(request: Request, wait: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 0) -> Response:
    """With the parameters in the body changed. Only what changes nothing is repeated."""
    front = front_of(request)
    kind, arguments = await front.callers.sessions.repeated(current().client, await read_json(request))
    outcome = await front.answering.call(kind, arguments, wait=wait, trace=request.state.request_id)
    return answer(request, outcome)
