"""REST: who asks, as the front end sees it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from crypto_mcp.access.identity import current
from crypto_mcp.server.routing import Routes

client_routes = Routes(tags=["session"])


class Client(BaseModel):
    """A client, and what it may do."""

    client: str = Field(description="Under this name its jobs, portfolios and alerts are kept.")
    by: Literal["key", "token", "machine"] = Field(description="How it was recognised.")
    key_id: str | None = Field(None, description="Of the API key, for `keyid` of signed requests.")
    expires_at: datetime | None = Field(None, description="When the key or token ends.")
    scopes: list[str]


@client_routes.get("/client", summary="Who the caller is")
async def get_client() -> Client:
    """Name and scopes of the caller, and the end of the key or token it came with."""
    identity = current()
    return Client(
        client=identity.client,
        by=identity.by,
        key_id=identity.key_id,
        expires_at=identity.expires_at,
        scopes=sorted(identity.scopes),
    )
