"""A kind of job is declared once: tool, route, schema and documentation follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
from mcp.client.client import Client

from crypto_mcp.job_kind import Catalogue, JobKind
from crypto_mcp.models.answers import Contract
from tests.server import running

if TYPE_CHECKING:
    from crypto_mcp.settings import Settings


class Sides(Contract):
    a: int
    b: int


class Area(Contract):
    area: int


AREA = JobKind(
    name="rectangle_area",
    list="backtest:queue",
    params=Sides,
    result=Area,
    handler="tests.server.test_new_kind:area",
    title="Area of a rectangle",
    summary="Multiplies its sides.",
    example={"a": 3, "b": 4},
)


async def area(_: object, params: Sides) -> Area:
    return Area(area=params.a * params.b)


async def test_a_new_kind_is_a_tool_a_route_and_a_schema(stores: Settings) -> None:
    catalogue = Catalogue((AREA,))
    async with (
        running.worker(stores, catalogue),
        running.front_end(stores, catalogue) as url,
        httpx2.AsyncClient(base_url=url, timeout=30) as http,
        Client(f"{url}/mcp", mode="2026-07-28") as client,
    ):
        answered = await http.post("/v1/jobs/rectangle_area", json=dict(AREA.example), params={"wait": 20})
        assert answered.json()["result"] == {"area": 12}
        called = await client.call_tool("rectangle_area", {"a": 5, "b": 6})
        assert called.structured_content["result"] == {"area": 30}
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools["rectangle_area"].title == "Area of a rectangle"
        operation = (await http.get("/openapi.json")).json()["paths"]["/v1/jobs/rectangle_area"]["post"]
        assert operation["requestBody"]["content"]["application/json"]["schema"]["required"] == ["a", "b"]
        assert [kind["name"] for kind in (await http.get("/v1/kinds")).json()["kinds"]] == ["rectangle_area"]
