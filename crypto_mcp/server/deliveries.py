"""REST: what became of notifications."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request

from crypto_mcp.access.identity import current
from crypto_mcp.models.answers import Contract
from crypto_mcp.models.notifications import Delivery
from crypto_mcp.notify.entries import delivery_of
from crypto_mcp.server.problems import described
from crypto_mcp.server.rest import front_of
from crypto_mcp.server.routing import Routes

delivery_routes = Routes(prefix="/notifications", tags=["notifications"])


class DeliveryList(Contract):
    """The caller's notifications, the newest first."""

    notifications: list[Delivery]


@delivery_routes.get("", summary="What became of your notifications", responses=described(403))
async def list_deliveries(
    request: Request, limit: Annotated[int, Query(ge=1, le=200, description="At most so many.")] = 50
) -> DeliveryList:
    """Queued, sent, delivered, read, failed with the reason, or suppressed by a STOP. Kept for 90 days."""
    current().require("alerts:read")
    found = await front_of(request).stored.notifications.newest(current().client, limit)
    return DeliveryList(notifications=[delivery_of(each) for each in found])
