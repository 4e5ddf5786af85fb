"""REST: what a client checks callbacks with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from crypto_mcp.access.identity import current
from crypto_mcp.access.signing import callback_secret
from crypto_mcp.errors import InvalidRequest
from crypto_mcp.notify.webhook import check_url, new_secret
from crypto_mcp.server.routing import Routes

if TYPE_CHECKING:
    from crypto_mcp.server.rest import UrlCheck
    from crypto_mcp.settings import AccessSettings, Settings


class CallbackSecret(BaseModel):
    """Standard Webhooks' secret of the caller."""

    secret: str


def url_check(settings: Settings) -> UrlCheck:
    """Raises of an address that callbacks must not go to, or where they cannot be signed."""

    async def check(url: str) -> None:
        _pepper(settings.access)
        await check_url(url, settings.notify.webhook_networks)

    return check


def callback_routes(settings: AccessSettings) -> Routes:
    """Where the secret is."""
    router = Routes(prefix="/callbacks", tags=["jobs"])

    @router.get("/secret", summary="What callbacks to the caller are signed with")
    async def get_secret() -> CallbackSecret:
        """`whsec_...`, for the libraries of standardwebhooks.com."""
        return CallbackSecret(secret=new_secret(callback_secret(_pepper(settings), current().client)))

    return router


def _pepper(settings: AccessSettings) -> str:
    if settings.pepper is None:
        raise InvalidRequest("no pepper is set, and callbacks are signed", hint="Set CRYPTO_MCP_ACCESS__PEPPER.")
    return settings.pepper.get_secret_value()
