"""The chart that a message links to, for a phone that has no key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Query, Request, Response

from crypto_mcp.access.chart_links import LONGEST, PATH, BadLink, ChartLinks, no_link
from crypto_mcp.access.identity import Identity, acting_as
from crypto_mcp.server.charts import PNG_ANSWERS, Wait, drawn
from crypto_mcp.server.drawing import Charts, Drawing
from crypto_mcp.server.problems import described
from crypto_mcp.server.rest import front_of
from crypto_mcp.server.routing import PREFIX, Routes

if TYPE_CHECKING:
    from crypto_mcp.job_kind import Catalogue
    from crypto_mcp.settings import AccessSettings

_KIND = "draw_chart"


def linked_chart_routes(catalogue: Catalogue, access: AccessSettings) -> Routes:
    """A picture by its link."""
    router, charts = Routes(tags=["charts"]), Charts(catalogue)
    links = None if access.pepper is None else ChartLinks(access.pepper.get_secret_value())

    @router.get(
        PATH.removeprefix(PREFIX),
        summary="The chart that a message links to",
        response_class=Response,
        responses={**PNG_ANSWERS, **described(403, 410, 500, 504)},
    )
    async def draw_linked(
        request: Request,
        link: Annotated[str, Query(max_length=LONGEST, description="As it was sent.")] = "",
        wait: Wait = 20,
    ) -> Response:
        """Of the newest closed bars. Needs no key: the link says which chart, and for how long it may be looked at."""
        if links is None:
            raise BadLink("there are no links to charts here", hint="Ask for the chart with a key.")
        asked = links.read(link)
        owner = await front_of(request).stored.chart_links.owner_of(asked.mark)
        if owner is None:
            raise no_link()
        drawing = Drawing(_KIND, {"symbol": asked.symbol, "timeframe": asked.timeframe})
        with acting_as(Identity(owner, frozenset({catalogue[_KIND].scope}), "link")):
            response = await drawn(request, charts, drawing, wait)
        response.headers.update({"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"})
        return response

    return router
