"""USD-M futures as the sandbox plays them: shapes, weights, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.sandbox_server import SandboxServer, running_sandbox

F = "/fapi/v1"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.mark.parametrize(
    ("path", "params", "weight"),
    [
        ("/klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": 99}, 1),
        ("/klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": 499}, 2),
        ("/klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": 1000}, 5),
        ("/klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": 1500}, 10),
        ("/klines", {"symbol": "BTCUSDT", "interval": "1h"}, 5),
        ("/depth", {"symbol": "BTCUSDT", "limit": 100}, 5),
        ("/premiumIndex", {"symbol": "BTCUSDT"}, 1),
        ("/ticker/bookTicker", {"symbol": "BTCUSDT"}, 2),
        ("/exchangeInfo", {}, 1),
        ("/klines", {"symbol": "NOSUCH", "interval": "1h", "limit": 2}, 1),
    ],
)
def test_weights_are_charged_by_what_is_asked(
    sandbox: SandboxServer, path: str, params: dict[str, Any], weight: int
) -> None:
    before = int(sandbox.get(f"{F}/ping").headers["x-mbx-used-weight-1m"])
    used = int(sandbox.get(F + path, **params).headers["x-mbx-used-weight-1m"])
    assert used in (before + weight, weight)  # a minute may have begun in between


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("/klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": 1501}, -1130),
        ("/klines", {"symbol": "BTCUSDT", "interval": "1s"}, -1120),
        ("/klines", {"symbol": "SBX005USDT", "interval": "1h"}, -1121),
        ("/depth", {"symbol": "BTCUSDT", "limit": 7}, -4021),
        ("/openInterest", {}, -1102),
    ],
)
def test_errors_have_the_exchanges_codes(sandbox: SandboxServer, path: str, params: dict[str, Any], code: int) -> None:
    answer = sandbox.get(F + path, **params)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_the_host_takes_lower_case_and_candles_agree_with_spot(sandbox: SandboxServer) -> None:
    end = int(sandbox.get(f"{F}/time").json()["serverTime"]) // 3_600_000 * 3_600_000 - 1
    params: dict[str, Any] = {"interval": "1h", "endTime": end, "limit": 5}
    futures = sandbox.get(f"{F}/klines", symbol="btcusdt", **params).json()
    assert futures == sandbox.get("/api/v3/klines", symbol="BTCUSDT", **params).json()


def test_funding_has_an_allowance_of_its_own_and_no_header(sandbox: SandboxServer) -> None:
    answer = sandbox.get(f"{F}/fundingRate", symbol="BTCUSDT", limit=5)
    assert "x-mbx-used-weight-1m" not in answer.headers
    rows = answer.json()
    times = [row["fundingTime"] for row in rows]
    assert len(rows) == 5
    assert all(later - earlier == 8 * 3_600_000 for earlier, later in pairwise(times))
    assert rows == sandbox.get(f"{F}/fundingRate", symbol="BTCUSDT", limit=5).json()


def test_only_contracts_with_another_interval_have_funding_info(sandbox: SandboxServer) -> None:
    info = {row["symbol"]: row["fundingIntervalHours"] for row in sandbox.get(f"{F}/fundingInfo").json()}
    assert info["SBX007USDT"] == 4
    assert "BTCUSDT" not in info


def test_open_interest_agrees_with_its_history(sandbox: SandboxServer) -> None:
    rows = sandbox.get("/futures/data/openInterestHist", symbol="ETHUSDT", period="1h", limit=25).json()
    now = sandbox.get(f"{F}/openInterest", symbol="ETHUSDT").json()
    assert len(rows) == 25
    assert float(rows[-1]["sumOpenInterest"]) == pytest.approx(float(now["openInterest"]), rel=0.1)
    assert sandbox.get("/futures/data/openInterestHist", symbol="NOSUCH", period="1h").json() == []


def test_a_delisted_symbol_is_still_listed_and_no_longer_answered_for(sandbox: SandboxServer) -> None:
    sandbox.fault("delisted", symbol="SBX001USDT", path="/")
    try:
        for root in ("/api/v3", F):
            assert sandbox.get(f"{root}/klines", symbol="SBX001USDT", interval="1h").json()["code"] == -1121
            assert sandbox.get(f"{root}/klines", symbol="SBX002USDT", interval="1h").status_code == 200
            assert any(s["symbol"] == "SBX001USDT" for s in sandbox.get(f"{root}/exchangeInfo").json()["symbols"])
    finally:
        sandbox.mend()
