"""REST: what is kept of a user, given out and erased."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Path, Request
from starlette.responses import StreamingResponse

from crypto_mcp.access.identity import current
from crypto_mcp.access.keyring import REMEMBERED
from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.models.rest import Erased
from crypto_mcp.server.problems import described
from crypto_mcp.server.requests import allow_seconds
from crypto_mcp.server.routing import Routes
from crypto_mcp.server.signed import require_signature

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.settings import Settings

_LONGEST = 600.0
_LINES = "application/x-ndjson"
_EXPORT: dict[int | str, dict[str, Any]] = {
    200: {"content": {_LINES: {"schema": {"type": "string"}}}, "description": "One thing a line."}
}

UserId = Annotated[str, Path(max_length=64, description="The client's name; one's own needs no scope.")]


def user_routes(settings: Settings) -> Routes:
    """Both need a signed request; what is another's needs the scope `users:write` too."""
    router = Routes(prefix="/users", tags=["users"])

    @router.get(
        "/{user_id}/export",
        summary="Everything that is kept of a user",
        response_class=StreamingResponse,
        responses={**_EXPORT, **described(403)},
    )
    async def export_user(request: Request, user_id: UserId) -> StreamingResponse:
        """Lines of JSON, each a thing with the store and the place it is kept in; the last line counts them."""
        await _allowed(request, user_id)
        from crypto_mcp.userdata.exporting import exported
        from crypto_mcp.userdata.holdings import open_holdings

        async def lines() -> AsyncIterator[bytes]:
            async with open_holdings(settings) as (holdings, _):
                async for line in exported(holdings, user_id):
                    yield line

        allow_seconds(request.scope, _LONGEST)
        name = 'attachment; filename="export.ndjson"'
        return StreamingResponse(lines(), media_type=_LINES, headers={"Content-Disposition": name})

    @router.delete("/{user_id}", summary="Erase a user", responses=described(403))
    async def erase_user(request: Request, user_id: UserId) -> Erased:
        """Everywhere, with a signed receipt. It cannot be taken back; one that was cut off goes on when repeated."""
        await _allowed(request, user_id)
        if settings.access.pepper is None or "postgres" not in settings.model_fields_set:
            raise StoreUnavailable(
                "no PostgreSQL and no pepper are set", hint="`crypto-mcp doctor` says what is missing."
            )
        from crypto_mcp.userdata.erasing import Eraser
        from crypto_mcp.userdata.holdings import open_holdings

        allow_seconds(request.scope, _LONGEST)
        async with open_holdings(settings) as (holdings, postgres):
            eraser = Eraser(holdings, postgres, settings.access.pepper.get_secret_value())
            done = await eraser.erase(user_id, actor=current().client, settle=REMEMBERED)
        return Erased(erasure_id=done.erasure_id, erased=done.erased, receipt=done.receipt)

    return router


async def _allowed(request: Request, user_id: str) -> None:
    if user_id != current().client:
        current().require("users:write")
    await require_signature(request)
