"""From a result to its picture: which results can be drawn, and the `draw_chart` jobs that draw them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson

from crypto_mcp.errors import InvalidRequest
from crypto_mcp.server.answering import checked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crypto_mcp.job_kind import Catalogue, JobKind
    from crypto_mcp.server.answering import Answering
    from crypto_mcp.server.outcome import Outcome

_DRAWING = "draw_chart"


class NoChart(InvalidRequest):
    """Nothing can be drawn of this kind of job."""

    code = "no_chart"
    http_status = 404


class Charts:
    """Has results drawn by `draw_chart` jobs."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def draw(self, answering: Answering, params: Mapping[str, Any], *, wait: float, trace: str) -> Outcome:
        """The picture if it is drawn within `wait` seconds, else how its job stands."""
        return await answering.call(self._catalogue[_DRAWING], dict(params), wait=wait, trace=trace)

    def of_result(self, kind_name: str | None, result: bytes) -> dict[str, Any]:
        """Parameters that draw a result. `NoChart` where its kind is not drawn."""
        kind = self._catalogue[kind_name or ""]
        if kind.chart is None:
            raise NoChart(f"a result of {kind.name} is not drawn", hint="Ask for the chart of an analyze_crypto job.")
        return dict(kind.chart(orjson.loads(result)))


def png_of(outcome: Outcome) -> str | None:
    """The picture, base64, once it is drawn."""
    return None if outcome.result is None else orjson.loads(outcome.result)["png"]


def wants_chart(kind: JobKind[Any, Any], arguments: Any) -> bool:
    """Whether parameters that were accepted ask for a picture."""
    return kind.chart is not None and bool(getattr(checked(kind, arguments), "chart", False))


def chart_step(kind: JobKind[Any, Any], outcome: Outcome) -> dict[str, str]:
    """Where the picture of a result is."""
    assert kind.chart is not None
    assert outcome.result is not None
    if outcome.job_id is not None:
        href = f"/v1/jobs/{outcome.job_id}/chart.png"
    else:
        href = f"/v1/chart.png?{urlencode(kind.chart(orjson.loads(outcome.result)))}"
    return {"method": "GET", "href": href, "why": "draws the chart"}
