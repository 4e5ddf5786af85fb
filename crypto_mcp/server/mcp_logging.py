"""MCP logging: what became of a call, for clients that set a level (kept in their session) or opt in by request."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.types import EmptyResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from crypto_mcp.access.identity import current

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp.types import LoggingLevel, SetLevelRequestParams

    from crypto_mcp.server.front import Front
    from crypto_mcp.server.outcome import Outcome

_LEVELS: tuple[LoggingLevel, ...] = (
    "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency",
)  # fmt: skip
_UNSET = "warning"


async def set_level(ctx: ServerRequestContext[Front], params: SetLevelRequestParams) -> EmptyResult:
    """Keeps the level for the client's next calls, whichever process answers them."""
    await ctx.lifespan_context.callers.sessions.set_log_level(current().client, params.level)
    return EmptyResult()


async def tell(ctx: ServerRequestContext[Front], kind: str, outcome: Outcome) -> None:
    """Tells how a call was answered: by which job, or from which cache."""
    level: LoggingLevel = "error" if outcome.failed else "debug" if outcome.cached_in else "info"
    if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        wanted = await ctx.lifespan_context.callers.sessions.log_level(current().client) or _UNSET
        if _LEVELS.index(level) < _LEVELS.index(wanted):
            return
    facts = {"kind": kind, "status": outcome.status.value, "job_id": outcome.job_id, "cached_in": outcome.cached_in}
    data = {name: value for name, value in facts.items() if value is not None}
    with warnings.catch_warnings():  # the newest protocol has it on request only, older ones have no other way
        warnings.simplefilter("ignore", MCPDeprecationWarning)
        await ctx.session.send_log_message(level, data, "crypto-mcp", related_request_id=ctx.request_id)
