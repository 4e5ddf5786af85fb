"""The sandbox speaks as the exchange does: formats, weights, limits, errors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.sandbox_server import SandboxServer, running_sandbox

HOUR = 3_600_000
INTERVALS = {"1m": 60_000, "15m": 900_000, "1h": HOUR, "4h": 4 * HOUR, "1d": 24 * HOUR, "1w": 168 * HOUR}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


def klines(sandbox: SandboxServer, **params: Any) -> list[list[Any]]:
    return sandbox.get("/api/v3/klines", **({"symbol": "BTCUSDT", "interval": "1h"} | params)).json()


def test_everything_it_says_is_marked(sandbox: SandboxServer) -> None:
    for path in ("/api/v3/ping", "/api/v3/time", "/api/v3/klines", "/sandbox/state"):
        assert sandbox.get(path).headers["x-sandbox"] == "1"
    shift = int(sandbox.get("/api/v3/klines", symbol="BTCUSDT", interval="1h").headers["x-sandbox-shift-ms"])
    assert shift > 0
    assert shift % HOUR == 0
    assert sandbox.get("/sandbox/state").json()["shift_ms"] == shift
    assert "x-sandbox-shift-ms" not in sandbox.get("/api/v3/klines", symbol="SBX001USDT", interval="1h").headers


@pytest.mark.parametrize("symbol", ["BTCUSDT", "SBX007USDT"])
@pytest.mark.parametrize(("interval", "step"), INTERVALS.items())
def test_candles_have_the_exchanges_twelve_fields(
    sandbox: SandboxServer, symbol: str, interval: str, step: int
) -> None:
    rows = klines(sandbox, symbol=symbol, interval=interval, limit=20)
    assert len(rows) == 20
    monday = 4 * 24 * HOUR if interval == "1w" else 0
    for row in rows:
        assert [type(value) for value in row] == [int, str, str, str, str, str, int, str, int, str, str, str]
        assert row[6] == row[0] + step - 1
        assert (row[0] - monday) % step == 0
        open_, high, low, close = (Decimal(value) for value in row[1:5])
        assert low <= min(open_, close) <= max(open_, close) <= high
        assert len(row[1].split(".")[1]) == 8
    assert [b[0] - a[0] for a, b in itertools.pairwise(rows)] == [step] * 19


def test_the_last_candle_is_in_progress(sandbox: SandboxServer) -> None:
    last = klines(sandbox, limit=1)[0]
    assert last[0] <= sandbox.clock() <= last[6]


@pytest.mark.parametrize("symbol", ["ETHUSDT", "SBX050USDT"])
def test_shorter_bars_add_up_to_the_longer_one(sandbox: SandboxServer, symbol: str) -> None:
    day = klines(sandbox, symbol=symbol, interval="1d", limit=2)[0]
    for interval in ("4h", "1h", "15m", "3m"):
        parts = klines(sandbox, symbol=symbol, interval=interval, startTime=day[0], endTime=day[6], limit=1000)
        assert parts[0][1] == day[1]
        assert max(Decimal(p[2]) for p in parts) == Decimal(day[2])
        assert min(Decimal(p[3]) for p in parts) == Decimal(day[3])
        assert parts[-1][4] == day[4]
        assert sum(Decimal(p[5]) for p in parts) == Decimal(day[5])


def test_start_gives_the_oldest_and_end_the_newest(sandbox: SandboxServer) -> None:
    rows = klines(sandbox, limit=50)
    start, end = rows[10][0], rows[30][0]
    assert klines(sandbox, startTime=start, limit=5) == rows[10:15]
    assert klines(sandbox, endTime=end, limit=5) == rows[26:31]
    assert klines(sandbox, startTime=start, endTime=end, limit=1000) == rows[10:31]
    assert klines(sandbox, startTime=end, endTime=start) == []
    assert klines(sandbox, endTime=1000) == []


def test_closed_bars_do_not_change_while_time_goes_on() -> None:
    with running_sandbox() as sandbox:
        before = klines(sandbox, limit=100)
        sandbox.clock.ahead = 30 * HOUR
        after = klines(sandbox, limit=130)
        assert after[: len(before) - 1] == before[:-1]
        # what comes after the recorded year goes on from its last price
        assert abs(float(after[99][1]) / float(after[98][4]) - 1) < 0.01


def test_generated_bars_are_the_same_in_another_process_with_the_same_seed(sandbox: SandboxServer) -> None:
    asked: dict[str, Any] = {"symbol": "SBX123USDT", "interval": "1h", "endTime": sandbox.clock() - 3 * HOUR}
    with running_sandbox() as twin, running_sandbox(seed=2) as stranger:
        assert klines(twin, **asked) == klines(sandbox, **asked)
        assert klines(stranger, **asked) != klines(sandbox, **asked)


@pytest.mark.parametrize(
    ("params", "code", "words"),
    [
        ({"interval": "1h"}, -1102, "'symbol'"),
        ({"symbol": "", "interval": "1h"}, -1102, "'symbol'"),
        ({"symbol": "BTCUSDT"}, -1102, "'interval'"),
        ({"symbol": "btcusdt", "interval": "1h"}, -1100, "legal range"),
        ({"symbol": "BTC/USDT", "interval": "1h"}, -1100, "legal range"),
        ({"symbol": "NOSUCH", "interval": "1h"}, -1121, "Invalid symbol."),
        ({"symbol": "BTCUSDT", "interval": "1H"}, -1120, "Invalid interval."),
        ({"symbol": "BTCUSDT", "interval": "1h", "limit": "ten"}, -1100, "'limit'"),
        ({"symbol": "BTCUSDT", "interval": "1h", "limit": "0"}, -1130, "'limit'"),
        ({"symbol": "BTCUSDT", "interval": "1h", "startTime": "-5"}, -1100, "'startTime'"),
    ],
)
def test_errors_are_worded_as_the_exchange_words_them(
    sandbox: SandboxServer, params: dict[str, str], code: int, words: str
) -> None:
    response = sandbox.get("/api/v3/klines", **params)
    assert response.status_code == 400
    assert response.json()["code"] == code
    assert words in response.json()["msg"]


def test_a_limit_above_the_maximum_is_cut(sandbox: SandboxServer) -> None:
    assert len(klines(sandbox, limit=5000)) == 1000


def test_weight_is_charged_by_route_and_before_checks() -> None:
    with running_sandbox() as sandbox:
        sandbox.clock.ahead = 60_000 - sandbox.clock() % 60_000  # the start of a minute
        used = 0
        for path, params, weight in (
            ("/api/v3/ping", {}, 1),
            ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": 1000}, 2),
            ("/api/v3/klines", {"symbol": "NOSUCH", "interval": "1h"}, 2),
            ("/api/v3/exchangeInfo", {}, 20),
            ("/api/v3/ticker/24hr", {"symbol": "BTCUSDT"}, 2),
            ("/api/v3/ticker/24hr", {}, 80),
        ):
            used += weight
            response = sandbox.get(path, **params)
            assert response.headers["x-mbx-used-weight-1m"] == str(used)


def test_too_much_weight_is_refused_then_banned_then_forgiven() -> None:
    """429 until the minute ends; whoever asks on is banned, and for longer the second time."""
    with running_sandbox(weight_limit=5) as sandbox:
        sandbox.clock.ahead = 60_000 - sandbox.clock() % 60_000
        assert [sandbox.get("/api/v3/ping").status_code for _ in range(5)] == [200] * 5
        refused = sandbox.get("/api/v3/ping")
        assert refused.status_code == 429
        assert refused.json()["code"] == -1003
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        statuses = [sandbox.get("/api/v3/ping").status_code for _ in range(25)]
        assert statuses.index(418) == 19
        banned = sandbox.get("/api/v3/ping")
        until = int(banned.json()["msg"].split("until ")[1].split(".")[0])
        assert 0 < until - sandbox.clock() <= 120_000
        assert abs(int(banned.headers["retry-after"]) * 1000 - (until - sandbox.clock())) < 2000
        sandbox.clock.ahead += 121_000
        assert sandbox.get("/api/v3/ping").status_code == 200


def test_tickers_cover_every_symbol_that_trades(sandbox: SandboxServer) -> None:
    rows = sandbox.get("/api/v3/ticker/24hr").json()
    listed = sandbox.get("/api/v3/exchangeInfo").json()["symbols"]
    assert {row["symbol"] for row in rows} == {s["symbol"] for s in listed if s["status"] == "TRADING"}
    assert len(rows) >= 400
    for row in rows:
        assert Decimal(row["lowPrice"]) <= Decimal(row["lastPrice"]) <= Decimal(row["highPrice"])
    one = sandbox.get("/api/v3/ticker/24hr", symbol="BTCUSDT").json()
    assert Decimal(one["lastPrice"]) == Decimal(klines(sandbox, limit=1)[0][4])


def test_the_listing_has_steps_as_strings(sandbox: SandboxServer) -> None:
    info = sandbox.get("/api/v3/exchangeInfo", symbol="BTCUSDT").json()
    filters = {f["filterType"]: f for f in info["symbols"][0]["filters"]}
    assert Decimal(filters["PRICE_FILTER"]["tickSize"]) == Decimal("0.1")
    assert Decimal(filters["LOT_SIZE"]["stepSize"]) == Decimal("0.001")
    assert info["rateLimits"][0] == {
        "rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000,
    }  # fmt: skip


def test_a_halted_symbol_has_old_bars_only(sandbox: SandboxServer) -> None:
    assert klines(sandbox, symbol="SBX200USDT", limit=1)[0][6] < sandbox.clock() - 6 * 24 * HOUR


def test_a_fault_that_makes_no_sense_is_refused(sandbox: SandboxServer) -> None:
    import httpx2

    response = httpx2.post(f"{sandbox.url}/sandbox/faults", json={"kind": "earthquake"})
    assert response.status_code == 422
    assert sandbox.get("/sandbox/faults").json() == []
