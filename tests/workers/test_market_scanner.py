"""`market_scanner` as a client meets it: over REST and MCP, by a worker, against the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, get_args

import httpx2
import pytest
from mcp.client import Client

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.conditions import parse
from crypto_mcp.models.backtest import BacktestParams
from crypto_mcp.models.scans import ScanType
from crypto_mcp.settings import MarketSettings
from tests.sandbox_server import SandboxServer, running_sandbox
from tests.server.running import front_end, worker

if TYPE_CHECKING:
    from pymongo.asynchronous.database import AsyncDatabase

    from crypto_mcp.jobs.connection import Redis
    from crypto_mcp.settings import Settings

SYMBOLS = ["BTC", "ETH", "SOL", *(f"SBX{number:03d}" for number in range(1, 21))]
KLINES = "/api/v3/klines"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.fixture
async def url(
    settings: Settings, mongo_database: AsyncDatabase[dict[str, Any]], sandbox: SandboxServer
) -> AsyncIterator[str]:
    ours = settings.model_copy(
        update={"market": MarketSettings(binance_url=sandbox.url, binance_futures_url=sandbox.url)}
    )
    async with worker(ours, CATALOGUE), front_end(ours, CATALOGUE) as address:
        yield address


async def scan(url: str, **params: Any) -> dict[str, Any]:
    params = {"universe": {"only": SYMBOLS}} | params
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:
        response = await http.post("/v1/jobs/market_scanner?wait=25", json=params)
        for _ in range(4):  # the first job of a machine waits for kernels to be compiled
            if response.status_code == 202:
                response = await http.get(f"/v1/jobs/{response.json()['job_id']}/result?wait=25")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer["status"] == "done"
    return answer


async def test_a_scan_says_what_it_looked_at_what_matched_and_why(
    url: str, sandbox: SandboxServer, settings: Settings, mongo_database: AsyncDatabase[dict[str, Any]]
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
    assert await mongo_database["market_scans"].count_documents({"scan_type": "momentum"}) >= 1


async def test_every_scan_type_answers_in_a_few_kilobytes(url: str, sandbox: SandboxServer) -> None:
    kinds = set(get_args(ScanType))
    if sandbox.get("/fapi/v1/premiumIndex").status_code == 404:
        kinds.remove("funding_extreme")
    for name in sorted(kinds):
        answer = await scan(url, scan_type=name, condition="rsi(14) > 0" if name == "custom" else None)
        assert answer["result"]["scan_type"] == name
        assert answer["result"]["looked_at"] == len(SYMBOLS)
        assert len(httpx2.Response(200, json=answer["result"]).content) < 4096


async def test_the_scanner_is_a_tool_whose_mistakes_are_explained(url: str) -> None:
    async with Client(f"{url}/mcp", mode="auto") as client:
        found = await client.call_tool(
            "market_scanner", {"scan_type": "trend_strength", "timeframes": ["1h", "4h"], "universe": {"only": SYMBOLS}}
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


async def test_answers_are_kept_for_a_minute_under_the_key_of_the_specification(url: str, settings: Settings) -> None:
    from crypto_mcp.jobs.connection import connect

    await scan(url, scan_type="oversold")
    redis: Redis = connect(settings.redis.cache_url, settings.redis)
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
