"""`historical_backtest` asked over REST: a run, a search, and what is refused."""

from __future__ import annotations

import asyncio
import csv
import math
import os
import re
import sys
from html import unescape
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2

    from tests.risk.conftest import Ask
    from tests.sandbox_server import SandboxServer


SEARCH: dict[str, Any] = {
    "symbols": "BTC",
    "strategy": "ema_cross",
    "search": {
        "parameters": [
            {"name": "fast", "low": 5, "high": 12, "step": 1},
            {"name": "slow", "low": 20, "high": 50, "step": 10},
        ],
        "ordered": [["fast", "slow"]],
    },
}


async def test_a_strategy_is_tested_on_a_year_of_hours(ask: Ask) -> None:
    """The answer names its data, its trades add up, every rule is stated, and it stays under 8 KB."""
    result = await ask("historical_backtest", symbols="BTC", strategy="ema_cross")
    assert result["data"][0]["source"] == "sandbox"
    assert result["data"][0]["symbol"] == "BTCUSDT"
    assert result["summary"]["trades"] > 30
    assert result["summary"]["final_equity"] == pytest.approx(
        10_000 * (1 + result["summary"]["return_percent"] / 100), abs=1
    )
    assert any("next open" in rule for rule in result["assumptions"])
    assert all(trade["closed_by"] for trade in result["trades"])
    assert len(str(result)) < 8_000


async def test_a_perpetual_pays_the_funding_that_was_paid(
    ask: Ask, http: httpx2.AsyncClient, sandbox: SandboxServer
) -> None:
    """The exchange is asked for it once; the tables of the report are made with the same."""
    asked = {"symbols": "ETH", "market": "perpetual", "strategy": "ema_cross"}
    paid = await ask("historical_backtest", **asked)
    assert any("as the exchange says that it was paid" in rule for rule in paid["assumptions"])
    requests = sandbox.requests("/fapi/v1/fundingRate")
    assert requests > 0
    constant = await ask("historical_backtest", **asked, costs={"funding": 0.01})
    assert any("Funding of 0.01%" in rule for rule in constant["assumptions"])
    assert paid["summary"]["funding"] != constant["summary"]["funding"] > 0
    table = await http.get(f"/v1/jobs/{paid['backtest_job_id']}/trades.csv", params={"wait": 25})
    assert table.status_code == 200
    funding = sum(float(row["funding"]) for row in csv.DictReader(StringIO(table.text)))
    assert funding == pytest.approx(paid["summary"]["funding"], abs=1)
    assert sandbox.requests("/fapi/v1/fundingRate") <= requests + 1  # the page in progress is kept for a minute


async def test_conditions_of_ones_own_are_replayed_on_truncated_data(ask: Ask) -> None:
    """A strategy written by its caller is checked for looking ahead unless told otherwise."""
    strategy = {"entry": "rsi({low}) < 35", "exit": "rsi({low}) > 60", "stop": "2 atr", "parameters": {"low": 14}}
    result = await ask("historical_backtest", symbols=["ETHUSDT", "SOLUSDT"], strategy=strategy, parameters={"low": 10})
    assert result["lookahead_replays"] > 0
    assert result["parameters"] == {"low": 10}
    assert {row["symbol"] for row in result["data"]} == {"ETHUSDT", "SOLUSDT"}


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        ({"strategy": "ema_crossing"}, "bad_strategy", "ema_cross"),
        ({"strategy": {"entry": "rsii(14) < 30"}}, "bad_condition", "rsi"),
        ({"strategy": {"entry": "close > 1", "stop": "130%"}}, "bad_strategy", "never fires"),
        ({"strategy": {"entry": "close > 1", "stop": "0%"}}, "bad_strategy", "none"),
        ({"strategy": {"entry": "close > 1", "targets": [{"at": "2R"}]}}, "invalid_request", "needs a stop"),
        ({"strategy": {"entry": "close > ema({n})"}}, "invalid_request", "no parameter"),
        ({"strategy": "ema_cross", "parameters": {"fats": 9}}, "bad_strategy", "fast"),
        ({"strategy": "ema_cross", "leverage": 500, "market": "perpetual"}, "invalid_request", "leverage"),
        ({"strategy": "ema_cross", "leverage": 5}, "invalid_request", "spot has no leverage"),
        (
            {"strategy": {"entry": "close > 1", "stop": "30%"}, "leverage": 5, "market": "perpetual"},
            "bad_strategy",
            "liquidated",
        ),
        ({"strategy": {"short_entry": "close > 1"}}, "invalid_request", "perpetual"),
        ({"symbols": ["NOSUCHUSDT"]}, "unknown_symbol", "NOSUCH"),
        ({"start": "2012-01-01T00:00Z", "end": "2012-03-01T00:00Z"}, "not_enough_data", "closed bar"),
        ({"start": "2012-03-01T00:00Z", "end": "2012-01-01T00:00Z"}, "invalid_request", "before end"),
        ({"timeframe": "1m", "start": "2020-01-01T00:00Z", "end": "2024-01-01T00:00Z"}, "invalid_request", "bars"),
    ],
)
async def test_what_cannot_be_tested_is_an_error_that_says_why(
    ask: Ask, asked: dict[str, Any], code: str, said: str
) -> None:
    """Unknown names, contradictory numbers, absurd leverage, ranges without data: a code and a way out."""
    problem = await ask("historical_backtest", **({"symbols": "BTC"} | asked))
    assert problem["code"] == code, problem
    assert said in str(problem), problem


async def test_a_search_reports_the_best_and_judges_it_by_all_tries(ask: Ask) -> None:
    """The result is that of the best parameters; the verdict charges every try; the walk-forward trades unseen bars."""
    result = await ask("historical_backtest", **SEARCH, walk_forward={"windows": 4})
    verdict = result["verdict"]
    assert result["search"]["tried"] == verdict["trials"] - verdict["earlier_trials"] == 32
    best = result["search"]["best"]
    assert result["parameters"] == best["parameters"] | {"stop": 3}
    assert result["statistics"]["total_return"] == pytest.approx(best["total_return"])
    assert len(result["walk_forward"]["windows"]) == 4
    assert result["monte_carlo"]["scenarios"]
    assert len(str(result)) < 16_000


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"parameters": [{"name": "fats", "low": 1, "high": 2}]}, "fast"),
        ({"parameters": [{"name": "slow", "low": 5, "high": 100_000}]}, "length"),
        ({"parameters": [{"name": "stop", "low": 50, "high": 150}]}, "never fires"),
        (
            {"parameters": [{"name": n, "low": 1, "high": 1000, "step": 1} for n in ("fast", "slow", "stop")]},
            "trials of one",
        ),
    ],
)
async def test_a_search_that_cannot_be_is_refused_before_anything_is_queued(
    ask: Ask, search: dict[str, Any], said: str
) -> None:
    """Unknown parameters, values that no condition takes, stops that never fire, a grid of 10^9."""
    problem = await ask("historical_backtest", **(SEARCH | {"search": search}))
    assert problem["code"] in ("bad_strategy", "bad_condition", "invalid_request"), problem
    assert said in str(problem), problem


async def test_who_looks_again_is_charged_for_it(ask: Ask) -> None:
    """Tries of earlier jobs count against the next verdict on the same bars, and the answer says so; the same question
    on the same bars is no new try."""
    bars = {"symbols": "SOLUSDT", "timeframe": "4h"}
    first, again, other = [
        (await ask("historical_backtest", **asked))["verdict"]
        for asked in (SEARCH | bars, SEARCH | bars | {"detail": "full"}, bars | {"strategy": "turtle"})
    ]
    assert [verdict["earlier_trials"] for verdict in (first, again, other)] == [0, 0, 32]
    assert other["trials"] == 33
    assert "32 earlier tries" in str(other["reasons"])
    assert other["deflated_sharpe_ratio"] < other["probabilistic_sharpe_ratio"]


async def test_a_result_has_its_picture_its_page_and_its_tables(ask: Ask, http: httpx2.AsyncClient) -> None:
    """All of the very run: the last of the equity is the result's, trades add up to it, the page loads nothing."""
    strategy = {"name": "<b>mine</b>", "entry": "rsi(14) < 30", "exit": "rsi(14) > 60", "stop": "3%"}
    result = await ask("historical_backtest", symbols=["BTC", "ETH"], strategy=strategy, timeframe="4h", detail="full")
    under = f"/v1/jobs/{result['backtest_job_id']}"
    picture, page, trades, equity = [
        await http.get(f"{under}/{file}", params={"wait": 25})
        for file in ("chart.png", "report.html", "trades.csv", "equity.csv")
    ]
    assert picture.content.startswith(b"\x89PNG")
    assert "<b>mine</b>" not in page.text
    assert result["verdict"]["sentence"] in unescape(page.text)
    assert not re.search(r"(?:src|href)=|<script|url\(", page.text)
    rows = list(csv.DictReader(StringIO(trades.text)))
    assert len(rows) == result["summary"]["trades"] == len(result["trades"])
    gained = sum(float(row["pnl"]) for row in rows)
    bars = list(csv.DictReader(StringIO(equity.text)))
    assert float(bars[-1]["equity"]) == pytest.approx(10_000 + gained, abs=1) == result["summary"]["final_equity"]
    assert len(bars) == 365 * 6
    grown = math.prod(1 + year["total"] for year in result["months"])
    assert grown == pytest.approx(result["summary"]["final_equity"] / 10_000, rel=1e-5)


async def test_other_jobs_have_no_report(ask: Ask, http: httpx2.AsyncClient) -> None:
    answered = (await http.post("/v1/jobs/analyze_crypto", json={"symbol": "BTC"}, params={"wait": 25})).json()
    problem = await http.get(f"/v1/jobs/{answered['job_id']}/report.html")
    assert (problem.status_code, problem.json()["code"]) == (404, "no_report")


async def test_the_command_prints_a_report_and_writes_its_files(address: str, tmp_path: Path) -> None:
    """Conditions, a search and a stop from the command line; picture, page and tables on the disk."""
    asked = (
        "BTCUSDT",
        "4h",
        "--entry",
        "crosses_above(ema({fast}), ema(21))",
        "--exit",
        "rsi(14) > 70",
        "--stop",
        "3%",
    )
    more = ("--set", "fast=9", "--search", "fast=8:10:1", "--walk-forward", "2", "--output", str(tmp_path))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "crypto_mcp.cli", "backtest", *asked, *more),
        env=os.environ | {"CRYPTO_MCP_SERVER__PORT": address.rpartition(":")[2], "COLUMNS": "80"},
        stdout=asyncio.subprocess.PIPE,
    )
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0
    for word in ("by chance", "best of 3 tries", "walk-forward", "profit factor", "next open"):
        assert word in said
    assert "…" not in said
    written = {path.name.removeprefix("BTCUSDT-4h-custom") for path in tmp_path.iterdir()}
    assert written == {".html", ".png", "-trades.csv", "-equity.csv"}
