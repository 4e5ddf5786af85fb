"""From a result to its picture: which results can be drawn, and the jobs that draw them."""

from __future__ import annotations

from dataclasses import dataclass
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


class NoChart(InvalidRequest):
    """Nothing can be drawn of this kind of job."""

    code = "no_chart"
    http_status = 404


@dataclass(frozen=True, slots=True)
class Drawing:
    """A job that draws: its kind and parameters."""

    kind: str
    params: Mapping[str, Any]


class Charts:
    """Has results drawn."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def draw(self, answering: Answering, drawing: Drawing, *, wait: float, trace: str) -> Outcome:
        """The picture if it is drawn within `wait` seconds, else how its job stands."""
        return await answering.call(self._catalogue[drawing.kind], dict(drawing.params), wait=wait, trace=trace)

    def of_result(self, kind_name: str | None, result: bytes, *, theme: str = "dark") -> Drawing:
        """The job that draws a result. `NoChart` where its kind is not drawn."""
        kind = self._catalogue[kind_name or ""]
        if kind.chart is None:
            drawn = ", ".join(each.name for each in self._catalogue if each.chart is not None)
            raise NoChart(f"a result of {kind.name} is not drawn", hint=f"Results of {drawn} are.")
        return Drawing(kind.drawn_by, {**kind.chart(orjson.loads(result)), "theme": theme})


def png_of(outcome: Outcome) -> str | None:
    """The picture, base64, once it is drawn."""
    return None if outcome.result is None else orjson.loads(outcome.result)["png"]


def wants_chart(kind: JobKind[Any, Any], arguments: Any) -> bool:
    """Whether parameters that were accepted ask for a picture."""
    return kind.chart is not None and bool(getattr(checked(kind, arguments), "chart", False))


def result_steps(kind: JobKind[Any, Any], outcome: Outcome, arguments: Mapping[str, Any]) -> list[dict[str, str]]:
    """Where there is more of a result: its picture where that was asked for, and its files."""
    if outcome.result is None:
        return []
    steps = [chart_step(kind, outcome, arguments)] if wants_chart(kind, arguments) else []
    return steps + file_steps(kind, outcome.result)


def file_steps(kind: JobKind[Any, Any], result: bytes) -> list[dict[str, str]]:
    """Where the files of a result are, in one step."""
    if not kind.files:
        return []
    first, *others = kind.files
    beside = f"; {', '.join(others)} lie beside it" if others else ""
    href = f"/v1/jobs/{orjson.loads(result)['backtest_job_id']}/{first}"
    return [{"method": "GET", "href": href, "why": f"the report as a page{beside}"}]


def chart_step(kind: JobKind[Any, Any], outcome: Outcome, arguments: Mapping[str, Any]) -> dict[str, str]:
    """Where the picture of a result is."""
    assert kind.chart is not None
    assert outcome.result is not None
    if outcome.job_id is not None or kind.files:
        href = f"/v1/jobs/{outcome.job_id or orjson.loads(outcome.result)['backtest_job_id']}/chart.png"
    elif kind.drawn_by == "draw_scan":
        asked = {name: _in_query(value) for name, value in arguments.items() if name != "chart"}
        href = f"/v1/scan.png?{urlencode(asked)}"
    else:
        href = f"/v1/chart.png?{urlencode(kind.chart(orjson.loads(outcome.result)))}"
    return {"method": "GET", "href": href, "why": "draws the chart"}


def _in_query(value: Any) -> str:
    """Texts as they are, anything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
