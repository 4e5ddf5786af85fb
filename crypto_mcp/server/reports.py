"""Routes of reports: files that workers write of a backtest when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import Query, Request, Response

from crypto_mcp.errors import InvalidRequest
from crypto_mcp.server.etags import NOT_MODIFIED, tagged
from crypto_mcp.server.problems import described
from crypto_mcp.server.rest import answer, front_of
from crypto_mcp.server.routing import Routes

if TYPE_CHECKING:
    from crypto_mcp.job_kind import Catalogue

Wait = Annotated[float, Query(ge=0, allow_inf_nan=False, description="Seconds to wait for the file.")]

_SUMMARIES = {
    "report.html": "The report of a backtest, one page that opens offline",
    "trades.csv": "All trades of a backtest",
    "equity.csv": "A backtest's account at every bar",
}
_FORMS = {"report.html": "html", "trades.csv": "trades", "equity.csv": "equity"}
_FILES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {}, "text/csv": {}}, "description": "The file."},
    202: {"description": "Not written yet: ask again."},
    **NOT_MODIFIED,
}
_ALONE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""The page has no script and loads nothing; nothing in it may."""


class NoReport(InvalidRequest):
    """Nothing is reported of this kind of job."""

    code = "no_report"
    http_status = 404


def report_routes(catalogue: Catalogue) -> Routes:
    """Files of a job's result."""
    router = Routes(tags=["reports"])

    async def report(request: Request, job_id: str, wait: Wait = 20) -> Response:
        """Of the very bars that were tested. Waits for the job too."""
        answering, file = front_of(request).answering, request.url.path.rpartition("/")[2]
        outcome = await answering.result(job_id, wait=wait)
        if outcome.result is None:
            return answer(request, outcome)
        if file not in catalogue[outcome.of_kind or ""].files:
            told = ", ".join(kind.name for kind in catalogue if kind.files)
            raise NoReport(f"a result of {outcome.of_kind} has no {file}", hint=f"Results of {told} have.")
        asked = {"job_id": job_id, "form": _FORMS[file]}
        written = await answering.call(catalogue["report_backtest"], asked, wait=wait, trace=request.state.request_id)
        if written.result is None:
            return answer(request, written)
        body = orjson.loads(written.result)
        way = "inline" if file == "report.html" else "attachment"
        headers = {
            "Content-Disposition": f'{way}; filename="{body["name"]}"',
            "Cache-Control": "private, max-age=600",
            "Content-Security-Policy": _ALONE,
        }
        return tagged(request, body["text"].encode(), headers, body["media_type"])

    for file, summary in _SUMMARIES.items():
        router.add_api_route(
            f"/jobs/{{job_id}}/{file}",
            report,
            name=file,
            summary=summary,
            response_class=Response,
            responses={**_FILES, **described(404, 409, 410, 500, 504)},
        )
    return router
