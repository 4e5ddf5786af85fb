"""What a model reads when it asks for nothing special: every tool, prompt and resource, on the sandbox's data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import orjson
import pytest
from mcp.client import Client
from mcp.types import TextContent, TextResourceContents

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.models.brevity import ON_REQUEST, Brief, Outline, outline
from crypto_mcp.server.brief import LONGEST, brief
from crypto_mcp.server.tokens import tokens
from crypto_mcp.settings import MarketSettings
from tests.sandbox_server import running_sandbox
from tests.server.running import front_end, worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from mcp.types import CallToolResult

    from crypto_mcp.server.brief import Told
    from crypto_mcp.settings import Settings
    from tests.sandbox_server import SandboxServer

PROMISED = 1000
"""Tokens of a default answer: of its text, which says the same as its structured content."""

MADE_UP = [f"SBX{number:03d}" for number in range(1, 18)]
HELD = ["BTC", "ETH", "SOL", *MADE_UP[:12]]
SEARCH = {
    "parameters": [
        {"name": "fast", "low": 5, "high": 12, "step": 1},
        {"name": "slow", "low": 20, "high": 50, "step": 10},
    ],
    "ordered": [["fast", "slow"]],
}
SECTIONS = ["correlation", "stress", "monte_carlo", "rebalance", "methods"]
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("analyze_crypto", {"symbol": "BTC"}),
    ("analyze_crypto", {"symbol": "SOL", "timeframe": "4h", "compare": ["1h", "1d"]}),
    *(
        ("market_scanner", {"scan_type": scan})
        for scan in ("opportunities", "momentum", "breakout", "oversold", "funding_extreme", "order_block_retest")
    ),
    ("market_scanner", {"scan_type": "trend_strength", "timeframes": ["1h", "4h"], "limit": 40}),
    ("detect_opportunities", {}),
    ("detect_opportunities", {"profile": "aggressive", "min_reward_risk": 1, "limit": 10}),
    ("historical_backtest", {"symbols": ["BTC"]}),
    ("historical_backtest", {"symbols": ["BTC"], "search": SEARCH, "walk_forward": {"windows": 5}}),
    (
        "historical_backtest",
        {"symbols": ["BTC", "ETH", *MADE_UP], "strategy": "turtle", "market": "perpetual", "leverage": 3},
    ),
    ("portfolio_monitor", {"action": "create", "portfolio_id": "many"}),
    ("portfolio_monitor", {"action": "deposit", "portfolio_id": "many", "amount": "100000"}),
    *(
        (
            "portfolio_monitor",
            {"action": "add_position", "portfolio_id": "many", "symbol": symbol, "quantity": "1.5", "price": "100"},
        )
        for symbol in HELD
    ),
    *(("portfolio_monitor", {"action": each, "portfolio_id": "many"}) for each in ("get", "list", "history", "ledger")),
    ("portfolio_monitor", {"portfolio_id": "many", "include": SECTIONS}),
    ("risk_assessment", {"symbol": "BTC", "entry": "60000", "stop": "58500", "account_size": "10000"}),
    (
        "risk_assessment",
        {
            "symbol": "BTC", "entry": "60000", "stop": "61500", "account_size": "10000", "leverage": 20,
            "win_rate": 0.45, "payoff": 2, "portfolio_id": "many",
        },
    ),
    *(("alert_manager", {"action": "create", "condition": f"BTC > {400 + number}k"}) for number in range(25)),
    ("alert_manager", {"action": "create", "condition": "close > 0", "symbol": "ETH", "timeframe": "1h"}),
    *(("alert_manager", {"action": action}) for action in ("list", "history", "channels")),
    ("alert_manager", {"action": "test", "condition": "eth rsi 1h < 30"}),
]  # fmt: skip
KEPT_OF = {
    "analyze_crypto": ("recommendation", "data.age_seconds"),
    "market_scanner": ("data.age_seconds", "data.note"),
    "detect_opportunities": ("note", "last_bar"),
    "historical_backtest": ("verdict.finding", "verdict.sentence", "warnings", "summary", "lookahead_replays"),
    "risk_assessment": ("size", "margin", "warnings", "data.age_seconds"),
}
"""What keeps somebody from losing money, which no answer may leave out for its length."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.fixture(scope="module")
async def url(stores: Settings, sandbox: SandboxServer) -> AsyncIterator[str]:
    market = stores.model_copy(update={"market": MarketSettings(binance_url=sandbox.url)})
    async with worker(market, CATALOGUE), front_end(market, CATALOGUE) as address:
        yield address


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    assert orjson.loads(content.text) == result.structured_content
    return content.text


async def asked(client: Client, tool: str, **arguments: Any) -> tuple[dict[str, Any], str]:
    """The answer of a call when its job is done, and its text."""
    result = await client.call_tool(tool, {"wait": 27, **arguments})
    while (answer := result.structured_content or {})["status"] in ("queued", "running", "retrying"):
        step = answer["next"][0]
        result = await client.call_tool(step["tool"], step["arguments"])
    return answer, text_of(result)


def inside(result: dict[str, Any], path: str) -> Any:
    for name in path.split("."):
        result = result[name]
    return result


async def test_no_default_answer_is_longer_than_a_thousand_tokens(url: str) -> None:
    """Whatever a tool is asked; and what matters to money is in it, with the names of what is not."""
    lengths: dict[str, int] = {}
    async with Client(f"{url}/mcp", mode="auto") as client:
        for tool, arguments in CALLS:
            answer, text = await asked(client, tool, **arguments)
            assert answer["status"] == "done", answer
            lengths[f"{tool} {arguments}"] = tokens(text)
            for path in KEPT_OF.get(tool, ()):
                assert inside(answer["result"], path) is not None
            for said in answer.get("more", ()):
                assert said.split()[0] in CATALOGUE[tool].result.model_fields
        job = (await client.call_tool("analyze_crypto", {"symbol": "ETH", "wait": 0})).structured_content or {}
        for tool in ("job_status", "job_result", "job_cancel"):
            lengths[tool] = tokens(text_of(await client.call_tool(tool, {"job_id": job["job_id"]})))
        for prompt in (await client.list_prompts()).prompts:
            needed = {each.name: "BTCUSDT" for each in prompt.arguments or () if each.required}
            lengths[prompt.name] = tokens((await client.get_prompt(prompt.name, needed)).messages[0].model_dump_json())
        listed = [str(each.uri) for each in (await client.list_resources()).resources]
        for uri in (
            *listed,
            "crypto://analyses/BTCUSDT/1h",
            "crypto://portfolios/many",
            "crypto://jobs/" + job["job_id"],
        ):
            (content,) = (await client.read_resource(uri)).contents
            assert isinstance(content, TextResourceContents)
            lengths[uri] = tokens(content.text)
    assert {name: length for name, length in lengths.items() if length > PROMISED} == {}


async def test_what_was_left_out_is_had_by_the_call_that_the_answer_names(url: str) -> None:
    """By field, by page, whole by `detail` or `*`; also of an answer that came from a cache."""
    async with Client(f"{url}/mcp", mode="auto") as client:
        short, _ = await asked(client, "historical_backtest", symbols=["ETH"], strategy="ema_cross", detail="summary")
        assert "trades" not in short["result"]
        assert any(said.startswith("trades (0 of ") for said in short["more"])
        step = short["next"][-1]
        more = (await client.call_tool(step["tool"], step["arguments"])).structured_content or {}
        assert list(more["result"]) == [step["arguments"]["fields"]]

        whole, _ = await asked(client, "historical_backtest", symbols=["ETH"], strategy="ema_cross", fields="*")
        assert set(short["result"]) < set(whole["result"])
        assert whole["cached"] is True
        again, _ = await asked(client, "again", fields=["assumptions", "verdict"])
        assert again["result"] == {name: whole["result"][name] for name in ("assumptions", "verdict")}

        full, _ = await asked(client, "historical_backtest", symbols=["ETH"], strategy="ema_cross", detail="full")
        assert "more" not in full
        count = len(full["result"]["trades"])
        assert count > 40
        wanted = {"job_id": full["job_id"], "fields": "trades"}
        pages = []
        while wanted:
            page = (await client.call_tool("job_result", wanted)).structured_content or {}
            pages.append(page["result"]["trades"])
            further = [step["arguments"] for step in page.get("next", ()) if step.get("tool") == "job_result"]
            wanted = further[0] if further else {}
        assert [trade for page in pages for trade in page] == full["result"]["trades"]
        assert max(map(len, pages)) == 20

        await asked(client, "analyze_crypto", symbol="SBX001")
        cached, _ = await asked(client, "analyze_crypto", symbol="SBX001")
        assert cached["cached"] is True
        step = cached["next"][-1]
        assert (step["tool"], step["arguments"]["symbol"]) == ("analyze_crypto", "SBX001")
        assert (await client.call_tool(step["tool"], step["arguments"])).structured_content is not None

        for wrong, said in (({"fields": "nothing"}, "nothing"), ({"fields": 1}, "fields"), ({"page": 0}, "page")):
            refused = await client.call_tool("analyze_crypto", {"symbol": "SBX001", **wrong})
            assert refused.is_error
            assert said in (refused.structured_content or {})["error"]["message"]


async def test_a_preferred_detail_is_told_in_full(url: str) -> None:
    """Also when the job had to be waited for."""
    async with httpx2.AsyncClient(base_url=url) as http:
        (await http.patch("/v1/session", json={"detail": "full"})).raise_for_status()
        try:
            async with Client(f"{url}/mcp", mode="auto") as client:
                first = (
                    await client.call_tool("analyze_crypto", {"symbol": "SBX002", "wait": 0})
                ).structured_content or {}
                answer, _ = await asked(client, **first["next"][0]["arguments"], tool="job_result")
                assert "details" in answer["result"]
        finally:
            await http.patch("/v1/session", json={"detail": None})


async def test_rest_has_whole_results(url: str) -> None:
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:
        answered = await http.post("/v1/jobs/historical_backtest?wait=25", json={"symbols": ["BTC"]})
        assert set(answered.json()["result"]) == set(CATALOGUE["historical_backtest"].result.model_fields)
        assert "more" not in answered.json()


def test_an_answer_that_is_too_long_loses_rows_and_fields_but_nothing_that_is_kept() -> None:
    """Even where there is far too much of everything."""
    kind = CATALOGUE["alert_manager"]
    many = {f"alert {number}": "x" * 40 for number in range(40)}
    result = {"action": "list", "alerts": [{"alert_id": "a" * 40, **many}] * 30, "warnings": ["mind " * 50] * 3}

    def envelope(told: Told) -> bytes:
        return orjson.dumps({"result": told.result, "more": told.more})

    told = brief(kind, orjson.dumps(result), envelope)
    assert told.result["warnings"] == result["warnings"]
    assert told.more[0].startswith("alerts")
    assert tokens(envelope(told).decode()) <= LONGEST


def test_every_mark_names_fields_that_there_are() -> None:
    def marks(part: Outline) -> Iterator[Brief]:
        yield part.mark
        for each in part.fields.values():
            yield from marks(each)

    found = [mark for kind in CATALOGUE for mark in marks(outline(kind.result))]
    assert ON_REQUEST in found
