"""What providers of messages tell us: checked, freed of numbers and texts, queued, and answered at once.

No key is asked for: the signature over the body says who calls.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import PlainTextResponse

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.errors import Forbidden
from crypto_mcp.notify.reports import check_meta, check_waha, read_meta, read_waha, report_id
from crypto_mcp.notify.sealing import Seal
from crypto_mcp.server.problems import described
from crypto_mcp.server.rest import front_of
from crypto_mcp.server.routing import PREFIX

if TYPE_CHECKING:
    from crypto_mcp.models.notifications import ReportParams
    from crypto_mcp.settings import NotifySettings


def webhook_routes(settings: NotifySettings) -> APIRouter:
    """Meta's webhook, and WAHA's."""
    routes = APIRouter(prefix=f"{PREFIX}/webhooks", tags=["webhooks"])
    seal = Seal.of(settings) if settings.encryption_key is not None else None

    @routes.get("/whatsapp", summary="Meta checks the webhook", responses=described(403, 422))
    async def verify(
        token: Annotated[str, Query(alias="hub.verify_token")] = "",
        challenge: Annotated[str, Query(alias="hub.challenge", max_length=200)] = "",
    ) -> PlainTextResponse:
        """Repeats the challenge to whoever knows the verify token."""
        known = settings.meta_verify_token
        if known is None or not hmac.compare_digest(known.get_secret_value().encode(), token.encode()):
            raise Forbidden("that is not the verify token", hint="It is CRYPTO_MCP_NOTIFY__META_VERIFY_TOKEN.")
        return PlainTextResponse(challenge)

    @routes.post("/whatsapp", summary="Meta tells what became of messages", responses=described(403, 422, 503))
    async def whatsapp(request: Request, x_hub_signature_256: Annotated[str, Header()] = "") -> PlainTextResponse:
        """Signed with the app's secret."""
        body = await request.body()
        check_meta(settings.meta_app_secret, body, x_hub_signature_256)
        await _queue(request, read_meta(body, seal), body)
        return PlainTextResponse("")

    @routes.post("/waha", summary="WAHA tells what became of messages", responses=described(403, 422, 503))
    async def waha(request: Request, x_webhook_hmac: Annotated[str, Header()] = "") -> PlainTextResponse:
        """Signed with the session's HMAC key."""
        body = await request.body()
        check_waha(settings.waha_hmac_key, body, x_webhook_hmac)
        await _queue(request, read_waha(body, seal), body)
        return PlainTextResponse("")

    return routes


async def _queue(request: Request, told: ReportParams, body: bytes) -> None:
    if told.statuses or told.heard:
        jobs = front_of(request).jobs
        await jobs.submit(CATALOGUE["note_delivery"], told, job_id=report_id(body), share=False)
