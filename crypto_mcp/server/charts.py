"""Routes of charts: PNG, drawn by workers when asked for."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import Query, Request, Response

from crypto_mcp.models.charts import ChartTheme
from crypto_mcp.server.drawing import Charts, Drawing
from crypto_mcp.server.etags import NOT_MODIFIED, tagged
from crypto_mcp.server.problems import described
from crypto_mcp.server.rest import answer, front_of
from crypto_mcp.server.routing import Routes

if TYPE_CHECKING:
    from crypto_mcp.job_kind import Catalogue

Theme = Annotated[ChartTheme, Query(description="Background of the picture.")]
Wait = Annotated[float, Query(ge=0, allow_inf_nan=False, description="Seconds to wait for the picture.")]
PNG_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {}}, "description": "The picture, 1080 x 1350 pixels."},
    202: {"description": "Not drawn yet: ask again."},
    **NOT_MODIFIED,
}


def chart_routes(catalogue: Catalogue) -> Routes:
    """Pictures by symbol and by job."""
    router, charts = Routes(tags=["charts"]), Charts(catalogue)

    @router.get(
        "/chart.png",
        summary="The chart of a symbol",
        response_class=Response,
        responses={**PNG_ANSWERS, **described(500, 504)},
    )
    async def draw(
        request: Request,
        symbol: Annotated[str, Query(max_length=40, description="Trading pair in any usual spelling.")],
        timeframe: Annotated[str, Query(max_length=4, description="Length of a bar.")] = "1h",
        bars: Annotated[int, Query(description="Closed bars to analyse; the newest 120 are drawn.")] = 500,
        theme: Theme = "dark",
        first_bar: Annotated[
            str | None, Query(max_length=40, description="Of a range: start of the oldest bar.")
        ] = None,
        last_bar: Annotated[
            str | None, Query(max_length=40, description="Of a range: start of the newest bar.")
        ] = None,
        wait: Wait = 20,
    ) -> Response:
        """Of the newest closed bars, or of a range. Asked again before the next bar closes it comes from the cache."""
        asked = {"symbol": symbol, "timeframe": timeframe, "bars": bars, "theme": theme}
        asked |= {"first_bar": first_bar, "last_bar": last_bar}
        return await drawn(request, charts, Drawing("draw_chart", asked), wait)

    @router.get(
        "/scan.png",
        summary="The picture of a scan",
        response_class=Response,
        responses={**PNG_ANSWERS, **described(500, 504)},
    )
    async def draw_scan(request: Request, theme: Theme = "dark", wait: Wait = 20) -> Response:
        """Any parameter of `market_scanner` in the query; lists and objects as JSON."""
        query = request.query_params
        asked = {name: _from_query(name, query[name]) for name in query if name not in ("theme", "wait")}
        outcome = await front_of(request).answering.call(
            catalogue["market_scanner"], asked, wait=wait, trace=request.state.request_id
        )
        if outcome.result is None:
            return answer(request, outcome)
        return await drawn(request, charts, charts.of_result("market_scanner", outcome.result, theme=theme), wait)

    @router.get(
        "/jobs/{job_id}/chart.png",
        summary="The chart of a job's result",
        response_class=Response,
        responses={**PNG_ANSWERS, **described(404, 409, 410, 500, 504)},
    )
    async def draw_result(request: Request, job_id: str, theme: Theme = "dark", wait: Wait = 20) -> Response:
        """Of the very bars the job looked at, drawn when it is asked for. Waits for the job too."""
        outcome = await front_of(request).answering.result(job_id, wait=wait)
        if outcome.result is None:
            return answer(request, outcome)
        return await drawn(request, charts, charts.of_result(outcome.of_kind, outcome.result, theme=theme), wait)

    @router.get(
        "/portfolios/{portfolio_id}/chart.png",
        summary="The picture of a portfolio",
        response_class=Response,
        responses={**PNG_ANSWERS, **described(404, 500, 504)},
    )
    async def draw_portfolio(request: Request, portfolio_id: str, theme: Theme = "dark", wait: Wait = 20) -> Response:
        """Allocation, equity and drawdown, correlations, as they are now."""
        asked = {"portfolio_id": portfolio_id, "theme": theme}
        outcome = await front_of(request).answering.call(
            catalogue["draw_portfolio"], asked, wait=wait, trace=request.state.request_id
        )
        if outcome.result is None:
            return answer(request, outcome)
        return _png(request, orjson.loads(outcome.result)["png"], f"{portfolio_id}.png")

    return router


def _png(request: Request, drawn: str, name: str) -> Response:
    headers = {"Content-Disposition": f'inline; filename="{name}"', "Cache-Control": "private, max-age=60"}
    return tagged(request, b64decode(drawn), headers, "image/png")


async def drawn(request: Request, charts: Charts, drawing: Drawing, wait: float) -> Response:
    """The picture, if it is drawn within `wait` seconds, else how its job stands."""
    outcome = await charts.draw(front_of(request).answering, drawing, wait=wait, trace=request.state.request_id)
    if outcome.result is None:
        return answer(request, outcome)
    picture = orjson.loads(outcome.result)
    data = picture.get("data")
    name = f"{data['symbol']}-{data['timeframe']}" if data else picture["scan_type"]
    return _png(request, picture["png"], f"{name}.png")


def _from_query(name: str, text: str) -> Any:
    """Names and conditions as they are; numbers, lists and objects as JSON."""
    if name in ("scan_type", "condition", "side", "detail"):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return [text] if name == "timeframes" else text
