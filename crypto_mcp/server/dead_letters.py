"""REST: what failed for good."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from crypto_mcp.access.identity import current
from crypto_mcp.job_kind import ListName
from crypto_mcp.models.rest import DeadLetterList, Replayed
from crypto_mcp.server.problems import described
from crypto_mcp.server.rest import front_of
from crypto_mcp.server.routing import Routes
from crypto_mcp.server.signed import require_signature

dead_routes = Routes(prefix="/dead", tags=["dead letters"])


@dead_routes.get("/{list_name}", summary="What failed for good on a list, the newest first", responses=described(403))
async def list_dead(
    request: Request,
    list_name: ListName,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> DeadLetterList:
    """Each with its reason and the envelope as it was pushed."""
    current().require("dead:read")
    return DeadLetterList(dead=await front_of(request).dead.entries(list_name, limit=limit, offset=offset))


@dead_routes.post(
    "/{list_name}/{job_id}/replay", summary="Put an entry back", status_code=202, responses=described(403, 404, 409)
)
async def replay_dead(request: Request, response: Response, list_name: ListName, job_id: str) -> Replayed:
    """The entry's envelope becomes a fresh job on its list."""
    current().require("dead:write")
    await require_signature(request)
    replayed = await front_of(request).dead.replay(list_name, job_id)
    response.headers["Location"] = f"/v1/jobs/{replayed}"
    return Replayed(job_id=replayed)


@dead_routes.delete("/{list_name}/{job_id}", summary="Drop an entry", status_code=204, responses=described(403, 404))
async def drop_dead(request: Request, list_name: ListName, job_id: str) -> None:
    """Removes it for good."""
    current().require("dead:write")
    await require_signature(request)
    await front_of(request).dead.drop(list_name, job_id)
