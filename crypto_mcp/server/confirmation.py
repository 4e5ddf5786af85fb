"""Asking the user before something that cannot be taken back, where the client can ask (MCP elicitation)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp.types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from crypto_mcp.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp.server.context import ServerRequestContext

_NAME = "confirm"
_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {_NAME: {"type": "boolean", "title": "Yes, do it", "default": False}},
    "required": [_NAME],
}


class Declined(InvalidRequest):
    """The user was asked and did not agree; nothing was changed."""

    code = "declined"
    http_status = 409


async def confirm(
    ctx: ServerRequestContext[Any], question: str, responses: Mapping[str, Any] | None
) -> InputRequiredResult | None:
    """None to go on: the user agreed, or the client cannot ask. Else what has the client ask and call again.

    `Declined` if the user did not agree.
    """
    capabilities = ctx.session.client_capabilities
    if capabilities is None or capabilities.elicitation is None:
        return None
    answer = (responses or {}).get(_NAME)
    if answer is None and ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        form = ElicitRequestFormParams(message=question, requested_schema=_FORM)
        return InputRequiredResult(input_requests={_NAME: ElicitRequest(params=form)})
    if answer is None:
        if not ctx.session.can_send_request:
            return None
        answer = await ctx.session.elicit_form(question, _FORM, related_request_id=ctx.request_id)
    agreed = isinstance(answer, ElicitResult) and answer.action == "accept" and (answer.content or {}).get(_NAME)
    if agreed is not True:
        raise Declined("the user did not agree", hint="Ask the user what they want instead.")
    return None
