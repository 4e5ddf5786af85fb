"""MCP completion: pairs, timeframes and portfolios, while somebody types an argument of a prompt or an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from mcp.types import CompleteResult, Completion

from crypto_mcp.access.identity import current
from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.models.timeframes import Timeframe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mcp.server.context import ServerRequestContext
    from mcp.types import CompleteRequestParams

    from crypto_mcp.job_kind import Catalogue
    from crypto_mcp.server.front import Front

_MOST = 100  # the protocol's own bound
_WAIT = 2.0
_SYMBOLS = "list_symbols"


class Completions:
    """Proposes values by the name of an argument. Where nothing is known it proposes nothing."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._symbols_kind = next((kind for kind in catalogue if kind.name == _SYMBOLS), None)
        self._kinds = [kind.name for kind in catalogue.tools()]
        self._by_argument: dict[str, Callable[[ServerRequestContext[Front]], Awaitable[Sequence[str]]]] = {
            "timeframe": self._timeframes,
            "symbol": self._symbols,
            "symbols": self._symbols,
            "kind": self._tools,
        }

    async def complete(self, ctx: ServerRequestContext[Front], params: CompleteRequestParams) -> CompleteResult:
        """Values that begin with what was typed; of a list, its last part."""
        name, typed = params.argument.name, params.argument.value
        known = self._by_argument.get(name)
        if known is None:
            return CompleteResult(completion=Completion(values=[], total=0, has_more=False))
        before, comma, last = typed.rpartition(",") if name == "symbols" else ("", "", typed)
        lead = f"{before}{comma} " if comma else ""
        wanted = last.strip().upper() if name in ("symbol", "symbols") else last.strip()
        found = [value for value in await known(ctx) if value.startswith(wanted)]
        values = [lead + value for value in found[:_MOST]]
        return CompleteResult(completion=Completion(values=values, total=len(found), has_more=len(found) > _MOST))

    async def _timeframes(self, _: ServerRequestContext[Front]) -> Sequence[str]:
        return [timeframe.value for timeframe in Timeframe]

    async def _tools(self, _: ServerRequestContext[Front]) -> Sequence[str]:
        return self._kinds

    async def _symbols(self, ctx: ServerRequestContext[Front]) -> Sequence[str]:
        """What the client asked about lately, then the exchange's pairs, those most traded first."""
        front = ctx.lifespan_context
        try:
            lately = (await front.callers.sessions.of(current().client)).symbols
            if self._symbols_kind is None:
                return lately
            outcome = await front.answering.call(self._symbols_kind, {}, wait=_WAIT)
        except CryptoMcpError:
            return []
        listed = [] if outcome.result is None else orjson.loads(outcome.result)["symbols"]
        return list(dict.fromkeys([*lately, *listed]))
