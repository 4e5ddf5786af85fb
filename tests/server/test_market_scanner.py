"""`market_scanner` as a client meets it: over REST and MCP, by a worker, against the sandbox."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any, get_args

import httpx2
import pytest
from mcp.client import Client
from mcp.types import ImageContent
from PIL import Image
from pymongo import AsyncMongoClient

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.conditions import parse
from crypto_mcp.jobs.connection import connect
from crypto_mcp.market.watching import watched
from crypto_mcp.models.backtest import BacktestParams
from crypto_mcp.models.scans import ScanType
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.settings import MarketSettings
from tests.sandbox_server import SandboxServer, running_sandbox
from tests.server.running import front_end, worker

if TYPE_CHECKING:
    from crypto_mcp.jobs.connection import Redis
    from crypto_mcp.settings import Settings

SYMBOLS = ["BTC", "ETH", "SOL", *(f"SBX{number:03d}" for number in range(1, 21))]
KLINES = "/api/v3/klines"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.fixture(scope="module")
def market(stores: Settings, sandbox: SandboxServer) -> Settings:
    return stores.model_copy(update={"market": MarketSettings(binance_url=sandbox.url)})


@pytest.fixture(scope="module")
async def url(market: Settings) -> AsyncIterator[str]:
    async with worker(market, CATALOGUE), front_end(market, CATALOGUE) as address:
        yield address


async def scan(url: str, **params: Any) -> dict[str, Any]:
    params = {"universe": {"only": SYMBOLS}} | params
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:
        response = await http.post("/v1/jobs/market_scanner?wait=25", json=params)
        for _ in range(4):  # the first job of a machine may be run as Python, kernels compiled meanwhile
            if response.status_code == 202:
                response = await http.get(f"/v1/jobs/{response.json()['job_id']}/result?wait=25")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer["status"] == "done"
    return answer


async def test_a_scan_says_what_it_looked_at_what_matched_and_why(
    url: str, sandbox: SandboxServer, market: Settings
) -> None:
    """Another scan of the same bars asks the exchange nothing; the same scan is answered from the cache."""
    universe = {"only": [*SYMBOLS, "SBX200", "NOSUCH"]}
    result = (await scan(url, scan_type="custom", condition="close > 0", universe=universe))["result"]
    assert (result["looked_at"], result["matched"], len(result["rows"])) == (23, 23, 8)
    assert {left["why"]: left["symbols"] for left in result["left_out"]} == {
        "not traded at present": ["SBX200USDT"],
        "not listed": ["NOSUCHUSDT"],
    }
    assert result["data"]["source"] == "sandbox"
    assert "recorded" in result["data"]["note"]
    asked = sandbox.requests(KLINES)
    found = await scan(url, scan_type="momentum", side="long")
    parse(found["result"]["conditions"]["long"])
    assert all(row["side"] == "long" and row["why"] for row in found["result"]["rows"])
    assert sandbox.requests(KLINES) == asked
    again = await scan(url, scan_type="momentum", side="long")
    assert again["cached"] or again["result"]["timestamp"] > found["result"]["timestamp"]  # a minute may have ended
    queue = connect(market.redis.queue_url, market.redis)
    wanted = await watched(queue)
    await queue.aclose()
    assert all(Timeframe.H1 in wanted[row["symbol"]] for row in again["result"]["rows"])
    async with AsyncMongoClient[dict[str, Any]](market.mongo.url.get_secret_value()) as client:
        kept = client[market.mongo.database]["market_scans"]
        assert await kept.count_documents({"scan_type": "momentum"}) >= 1


async def test_every_scan_type_answers_in_a_few_kilobytes(url: str) -> None:
    for name in get_args(ScanType):
        answer = await scan(url, scan_type=name, condition="rsi(14) > 0" if name == "custom" else None)
        assert answer["result"]["scan_type"] == name
        assert answer["result"]["looked_at"] == len(SYMBOLS)
        assert len(httpx2.Response(200, json=answer["result"]).content) < 4096
    for name in ("funding_extreme", "correlation_break"):
        assert (await scan(url, scan_type=name, condition="close < 0"))["result"]["matched"] == 0


async def test_the_scanner_is_a_tool_whose_mistakes_are_explained(url: str) -> None:
    async with Client(f"{url}/mcp", mode="auto") as client:
        found = await client.call_tool(
            "market_scanner",
            {"scan_type": "trend_strength", "timeframes": ["1h", "4h"], "universe": {"only": SYMBOLS}, "wait": 27},
        )
        assert not found.is_error
        assert (found.structured_content or {})["result"]["data"]["timeframes"] == ["1h", "4h"]
        wrong = await client.call_tool(
            "market_scanner", {"scan_type": "custom", "condition": "rsi(14 < 30", "universe": {"only": SYMBOLS}}
        )
        assert wrong.is_error
        assert "bad_condition" in str(wrong.content)
        empty = await client.call_tool("market_scanner", {"scan_type": "custom"})
        assert empty.is_error
        assert "needs a condition" in str(empty.content)


async def test_a_universe_by_rank_and_category_is_of_those_coins(url: str) -> None:
    """Named by the data site that said so; a category that there is not is explained."""
    largest = (await scan(url, scan_type="custom", condition="close > 0", universe={"max_rank": 10}))["result"]
    assert 5 < largest["looked_at"] <= 10
    assert "ranks of sandbox" in largest["data"]["note"]
    universe = {"category": "layer-1", "max_rank": 10, "only": SYMBOLS}
    narrow = (await scan(url, scan_type="custom", condition="close > 0", universe=universe))["result"]
    assert 0 < narrow["looked_at"] < largest["looked_at"]
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:
        body = {"universe": {"category": "no-such-thing"}}
        response = await http.post("/v1/jobs/market_scanner?wait=25", json=body)
    assert response.status_code == 422
    assert "no category" in response.json()["detail"]
    assert "layer-1" in response.json()["hint"]


async def test_a_scan_is_drawn_when_asked_for(url: str) -> None:
    """By the job, by parameters in the query, and over MCP; the cached answer says where too."""
    asked: dict[str, Any] = {"scan_type": "trend_strength", "universe": {"only": SYMBOLS}, "chart": True}
    answer = await scan(url, **asked)
    again = await scan(url, **asked)
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:
        for (step,) in (answer["next"], again["next"]):
            drawn = await http.get(step["href"])
            assert drawn.status_code == 200, drawn.text
            assert size_of(drawn.content) == (1080, 1350)
            assert "trend_strength.png" in drawn.headers["content-disposition"]
        query = {"scan_type": "momentum", "timeframes": "2h", "universe": '{"only": ["BTC", "ETH"]}', "theme": "light"}
        assert size_of((await http.get("/v1/scan.png", params=query)).content) == (1080, 1350)
        wrong = await http.get("/v1/scan.png", params={"scan_type": "momentum", "timeframes": "5h"})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_request")
    async with Client(f"{url}/mcp", mode="auto") as client:
        found = await client.call_tool("market_scanner", asked)
        picture = found.content[-1]
        assert isinstance(picture, ImageContent)
        assert size_of(b64decode(picture.data)) == (1080, 1350)


def size_of(png: bytes) -> tuple[int, int]:
    with Image.open(BytesIO(png)) as picture:
        return picture.size


async def test_answers_are_kept_for_a_minute_under_the_key_of_the_specification(url: str, market: Settings) -> None:
    await scan(url, scan_type="oversold")
    redis: Redis = connect(market.redis.cache_url, market.redis)
    keys = [key.decode() async for key in redis.scan_iter("market_scan:oversold:*")]
    assert keys
    assert keys[0].split(":")[2].isdigit()
    assert 0 < await redis.ttl(keys[0]) <= 60
    await redis.aclose()


async def opportunities(url: str, **params: Any) -> dict[str, Any]:
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:
        response = await http.post("/v1/jobs/detect_opportunities?wait=25", json=params)
        for _ in range(4):
            if response.status_code == 202:
                response = await http.get(f"/v1/jobs/{response.json()['job_id']}/result?wait=25")
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()["result"]
    return result


async def test_opportunities_of_a_universe_are_found_where_price_is_near_a_zone(url: str) -> None:
    """Four kilobytes at most, each with an alert and a backtest that their tools take."""
    wide = {"universe": {"only": SYMBOLS}, "profile": "aggressive", "min_reward_risk": 1}
    result = await opportunities(url, **wide, timeframes=["1h", "4h", "1d"])
    assert result["looked_at"] == len(SYMBOLS)
    assert 0 < result["examined"] <= len(SYMBOLS)
    assert result["source"] == "sandbox"
    assert "recorded" in result["note"] or "generated" in result["note"]
    assert result["found"] + sum(result["rejected"].values()) > 0
    assert len(httpx2.Response(200, json=result).content) < 4096
    for one in result["opportunities"]:
        parse(one["alert"]["condition"])
        BacktestParams.model_validate(one["backtest"])


async def test_opportunities_of_named_symbols_say_which_of_them_are_not_listed(url: str) -> None:
    result = await opportunities(url, symbols=["BTC", "NOSUCH"], timeframes=["1h", "4h"], detail="full")
    assert (result["looked_at"], result["examined"]) == (1, 1)
    assert result["left_out"] == [{"why": "not listed", "count": 1, "symbols": ["NOSUCHUSDT"]}]
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:
        response = await http.post("/v1/jobs/detect_opportunities?wait=25", json={"symbols": ["BTCX"]})
    assert response.json()["code"] == "unknown_symbol"
    assert "BTCUSDT" in response.json()["hint"]
