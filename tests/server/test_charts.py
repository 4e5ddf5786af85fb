"""Charts and earlier analyses: the real kinds, a real worker, a sandbox exchange, over REST and MCP."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.types import BlobResourceContents, ImageContent, PromptReference, TextContent
from PIL import Image

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.job_kind import LISTS, Catalogue
from crypto_mcp.settings import MarketSettings
from tests.sandbox_server import running_sandbox
from tests.server.running import front_end, worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.settings import Settings

ANALYSIS = Catalogue(tuple(kind for kind in CATALOGUE if kind.list == LISTS[0]))


@pytest.fixture(scope="module")
async def address(stores: Settings) -> AsyncIterator[str]:
    """Address of a front end with a worker that asks a sandbox."""
    with running_sandbox() as sandbox:
        market = MarketSettings.model_validate({"binance_url": sandbox.url})
        settings = stores.model_copy(update={"market": market})
        async with worker(settings, ANALYSIS), front_end(settings, ANALYSIS) as url:
            yield url


async def analysed(http: httpx2.AsyncClient, **params: Any) -> dict[str, Any]:
    answered = await http.post("/v1/jobs/analyze_crypto", json=params, params={"wait": 20})
    assert answered.status_code == 200, answered.text
    answer: dict[str, Any] = answered.json()
    return answer


def size_of(png: bytes) -> tuple[int, int]:
    with Image.open(BytesIO(png)) as picture:
        assert picture.format == "PNG"
        return picture.size


async def test_the_chart_of_a_job_is_drawn_of_the_bars_the_job_looked_at(http: httpx2.AsyncClient) -> None:
    answer = await analysed(http, symbol="ETH", timeframe="1h", chart=True, bars=200)
    (step,) = answer["next"]
    assert step["href"] == f"/v1/jobs/{answer['job_id']}/chart.png"
    drawn = await http.request(step["method"], step["href"])
    assert drawn.status_code == 200, drawn.text
    assert drawn.headers["content-type"] == "image/png"
    assert "ETHUSDT-1h.png" in drawn.headers["content-disposition"]
    assert size_of(drawn.content) == (1080, 1350)
    again = await http.get(step["href"])
    assert again.content == drawn.content
    light = await http.get(step["href"], params={"theme": "light"})
    assert light.content != drawn.content
    jobs = (await http.get("/v1/jobs", params={"kind": "draw_chart"})).json()["jobs"]
    assert len(jobs) == 2, "the second picture came from the cache"


async def test_a_cached_answer_says_where_its_chart_is_too(http: httpx2.AsyncClient) -> None:
    await analysed(http, symbol="SOL", bars=150)
    answer = await analysed(http, symbol="SOL", bars=150, chart=True)
    assert answer["cached"]
    drawn = await http.get(answer["next"][0]["href"])
    assert size_of(drawn.content) == (1080, 1350)


async def test_sentiment_says_who_told_each_part_and_what_is_missing(http: httpx2.AsyncClient) -> None:
    """Funding, open interest and mood of the market beside the bars, from the sandbox's futures and data sites."""
    for bars in range(160, 260):  # what came too late for one call is there for a later one
        answer = await analysed(http, symbol="BTC", bars=bars, detail="full")
        sentiment = answer["result"]["details"]["sentiment"]
        if not sentiment["missing"]:
            break
        await asyncio.sleep(0.2)
    told = {part["name"]: part["source"] for part in sentiment["parts"]}
    assert (told["price"], told["volume"]) == ("bars", "bars")
    assert told["funding"] == told["open_interest"] == "sandbox"
    assert told["fear_greed"]
    assert sentiment["missing"] == {}
    assert sum(part["share"] for part in sentiment["parts"]) == pytest.approx(1, abs=0.005)


async def test_a_chart_by_symbol(http: httpx2.AsyncClient) -> None:
    drawn = await http.get("/v1/chart.png", params={"symbol": "btc/usdt", "timeframe": "4h", "theme": "light"})
    assert size_of(drawn.content) == (1080, 1350)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/chart.png?symbol=NOSUCHCOIN", 422, "unknown_symbol"),
        ("/v1/chart.png?symbol=BTC&timeframe=5h", 422, "invalid_request"),
        ("/v1/chart.png?symbol=BTC&theme=blue", 422, "invalid_request"),
        ("/v1/chart.png?symbol=BTC&bars=5", 422, "invalid_request"),
        ("/v1/chart.png?symbol=BTC&first_bar=2017-01-01T00:00Z&last_bar=2026-01-01T00:00Z", 422, "invalid_request"),
        ("/v1/jobs/nosuchjob/chart.png", 404, "unknown_job"),
    ],
)  # fmt: skip
async def test_what_cannot_be_drawn_says_why(http: httpx2.AsyncClient, path: str, status: int, code: str) -> None:
    answered = await http.get(path)
    assert (answered.status_code, answered.json()["code"]) == (status, code), answered.text


async def test_only_results_with_a_picture_are_drawn(http: httpx2.AsyncClient) -> None:
    """A drawing itself has none."""
    await http.get("/v1/chart.png", params={"symbol": "BTC", "timeframe": "2h"})
    (job,) = (await http.get("/v1/jobs", params={"kind": "draw_chart", "limit": 1})).json()["jobs"]
    answered = await http.get(f"/v1/jobs/{job['job_id']}/chart.png")
    assert (answered.status_code, answered.json()["code"]) == (404, "no_chart")


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_over_mcp_the_picture_comes_with_the_answer(address: str, mode: str) -> None:
    async with Client(f"{address}/mcp", mode=mode) as client:
        assert "draw_chart" not in {tool.name for tool in (await client.list_tools()).tools}
        result = await client.call_tool("analyze_crypto", {"symbol": "BTC", "chart": True})
        plain = await client.call_tool("analyze_crypto", {"symbol": "BTC"})
    text, image = result.content
    assert isinstance(text, TextContent)
    assert isinstance(image, ImageContent)
    assert image.mime_type == "image/png"
    assert size_of(b64decode(image.data)) == (1080, 1350)
    assert len(image.data) < 300_000
    assert len(plain.content) == 1
    assert result.structured_content["result"]["symbol"] == "BTCUSDT"


async def test_earlier_analyses_are_read_back(http: httpx2.AsyncClient) -> None:
    """By symbol, timeframe and time, the newest first, page by page, each with the job that made it."""
    begun = datetime.now(UTC)
    made = [await analysed(http, symbol="SOLUSDT", timeframe=t, bars=b) for t in ("1h", "4h") for b in (110, 120)]
    since = {"symbol": "sol", "from": begun.isoformat()}
    page = (await http.get("/v1/analyses", params={**since, "limit": 3})).json()
    rest = (await http.get(page["next"][0]["href"])).json()
    found = page["analyses"] + rest["analyses"]
    assert [stored["job_id"] for stored in found] == [answer["job_id"] for answer in reversed(made)]
    assert found[0]["analysis"] == made[-1]["result"]
    of_hours = (await http.get("/v1/analyses", params={**since, "timeframe": "1h"})).json()
    assert {stored["analysis"]["timeframe"] for stored in of_hours["analyses"]} == {"1h"}
    assert len(of_hours["analyses"]) == 2
    assert (of_hours["next"], rest["next"]) == ([], [])
    later = {"symbol": "SOL", "from": (begun + timedelta(days=1)).isoformat()}
    assert (await http.get("/v1/analyses", params={**later, "to": "2099-01-01T00:00Z"})).json()["analyses"] == []


@pytest.mark.parametrize(
    "query",
    ["", "symbol=BTC&from=yesterday", "symbol=BTC&from=2099-01-01T00:00Z", "symbol=BTC&from=2026-01-01T00:00:00"],
)
async def test_a_question_for_analyses_that_makes_no_sense_is_refused(http: httpx2.AsyncClient, query: str) -> None:
    answered = await http.get(f"/v1/analyses?{query}")
    assert (answered.status_code, answered.json()["code"]) == (422, "invalid_request")


async def test_pairs_are_completed_from_the_exchanges_list(address: str) -> None:
    """What the client asked about lately comes first, then the most traded."""
    async with Client(f"{address}/mcp", mode="2026-07-28") as client:
        prompt = PromptReference(type="ref/prompt", name="daily_brief")
        completed = (await client.complete(prompt, {"name": "symbols", "value": "ETHUSDT, bt"})).completion
        assert "ETHUSDT, BTCUSDT" in completed.values
        assert all(value.startswith("ETHUSDT, BT") for value in completed.values)
        uri = "crypto://charts/ETH/4h"
        (picture,) = (await client.read_resource(uri)).contents
        assert isinstance(picture, BlobResourceContents)
        assert size_of(b64decode(picture.blob)) == (1080, 1350)
