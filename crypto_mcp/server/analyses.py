"""REST: analyses as MongoDB keeps them, for a week."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import orjson
from fastapi import Query, Request, Response
from pydantic import AwareDatetime

from crypto_mcp.access.identity import current
from crypto_mcp.errors import InvalidRequest
from crypto_mcp.models.analysis import Analysis
from crypto_mcp.models.rest import AnalysisList
from crypto_mcp.models.symbols import SymbolName
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.server.etags import NOT_MODIFIED, tagged
from crypto_mcp.server.problems import described
from crypto_mcp.server.rest import front_of
from crypto_mcp.server.routing import Routes

if TYPE_CHECKING:
    from crypto_mcp.job_kind import Catalogue

_KIND = "analyze_crypto"

From = Annotated[AwareDatetime | None, Query(alias="from", description="Made at this time or later, with its zone.")]
To = Annotated[AwareDatetime | None, Query(alias="to", description="Made before this time; now by default.")]


def analysis_routes(catalogue: Catalogue) -> Routes:
    """Reading back what was analysed."""
    router = Routes(tags=["analyses"])

    @router.get(
        "/analyses",
        summary="Earlier analyses of a symbol",
        response_model=AnalysisList,
        responses={**NOT_MODIFIED, **described(403)},
    )
    async def list_analyses(
        request: Request,
        symbol: Annotated[SymbolName, Query()],
        timeframe: Annotated[Timeframe | None, Query(description="Only of bars of this length.")] = None,
        begin: From = None,
        end: To = None,
        limit: Annotated[int, Query(ge=1, le=200, description="At most so many.")] = 20,
    ) -> Response:
        """As they were made, the newest first; they are kept for a week."""
        kind = catalogue[_KIND]
        current().require(kind.scope)
        until = end or datetime.now(UTC)
        if begin is not None and begin >= until:
            raise InvalidRequest("from: is not before `to`", hint="Swap them, or leave `to` out.")
        where: dict[str, Any] = {"symbol": symbol} | ({"timeframe": timeframe} if timeframe else {})
        found = await front_of(request).stored.results_between(kind, where, begin, until, limit)
        listed = [
            {"job_id": job_id, "analysis": orjson.Fragment(analysis.model_dump_json())} for job_id, analysis in found
        ]
        steps = []
        if len(found) == limit:
            oldest = found[-1][1]
            assert isinstance(oldest, Analysis)
            asked = {**where, "from": begin and begin.isoformat(), "to": oldest.timestamp.isoformat(), "limit": limit}
            query = urlencode({name: value for name, value in asked.items() if value is not None})
            steps = [{"method": "GET", "href": f"/v1/analyses?{query}", "why": "older ones"}]
        return tagged(request, orjson.dumps({"analyses": listed, "next": steps}))

    return router
