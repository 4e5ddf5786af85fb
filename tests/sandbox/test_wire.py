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
    for path in ("/api/v3/ping", "/api/v3/time", "/api/v3/klines", "/sandbox/state", "/no/such/route"):
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
    for interval in INTERVALS:
        last = klines(sandbox, interval=interval, limit=1)[0]
        assert last[0] <= sandbox.clock() <= last[6]


def test_faults_end_after_so_many_requests_or_so_long() -> None:
    with running_sandbox() as sandbox:
        sandbox.clock.stop()
        sandbox.fault("status", status=503, times=2, path="/api/v3/ping")
        assert [sandbox.get("/api/v3/ping").status_code for _ in range(3)] == [503, 503, 200]
        sandbox.fault("status", status=500, seconds=30)
        assert sandbox.get("/api/v3/time").status_code == 500
        sandbox.clock.ahead += 31_000
        assert sandbox.get("/api/v3/time").status_code == 200
        assert sandbox.get("/sandbox/faults").json() == []


def test_a_fault_strikes_as_often_as_its_probability_says() -> None:
    with running_sandbox() as sandbox:
        sandbox.fault("status", status=502, probability=0.3)
        statuses = [sandbox.get("/api/v3/ping").status_code for _ in range(200)]
        assert 30 <= statuses.count(502) <= 90
        sandbox.mend()
        assert sandbox.get("/api/v3/ping").status_code == 200
        assert sandbox.requests("/api/v3/ping") == 201


@pytest.mark.parametrize(("status", "code"), [(451, 0), (429, -1003), (418, -1003), (500, -1001), (403, None)])
def test_a_fault_speaks_as_the_exchange_does(sandbox: SandboxServer, status: int, code: int | None) -> None:
    sandbox.fault("status", status=status, retry_after=7, times=1)
    response = sandbox.get("/api/v3/ping")
    assert response.status_code == status
    assert response.headers.get("retry-after") == ("7" if status in (418, 429) else None)
    if code is None:
        assert response.headers["content-type"].startswith("text/html")
    else:
        assert response.json()["code"] == code


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
        ({"symbol": "BTCUSDT", "interval": "1h", "endTime": ""}, -1105, "'endTime' was empty"),
        ({"symbol": "BTCUSDT", "interval": "1h", "start_time": "5"}, -1104, "read '2' parameter(s) but was sent '3'"),
        ({"symbol": ["BTCUSDT", "ETHUSDT"], "interval": "1h"}, -1101, "Duplicate"),
        ({"symbol": "BTCUSDT", "interval": "1h", "timeZone": "3:00"}, -1130, "'timeZone'"),
    ],
)
def test_errors_are_worded_as_the_exchange_words_them(
    sandbox: SandboxServer, params: dict[str, Any], code: int, words: str
) -> None:
    response = sandbox.get("/api/v3/klines", **params)
    assert response.status_code == 400
    assert response.json()["code"] == code
    assert words in response.json()["msg"]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"symbol": "BTCUSDT", "symbols": '["ETHUSDT"]'}, -1128),
        ({"symbols": "BTCUSDT,ETHUSDT"}, -1100),
        ({"symbols": '["BTCUSDT","btcusdt"]'}, -1100),
        ({"symbols": '["BTCUSDT","NOSUCH"]'}, -1121),
        ({"symbols": '["BTCUSDT","BTCUSDT"]'}, -1151),
        ({"symbolStatus": "SLEEPING"}, -1122),
        ({"symbol": "BTCUSDT", "limit": "5"}, -1104),
    ],
)
@pytest.mark.parametrize("path", ["exchangeInfo", "ticker/24hr", "ticker/price", "ticker/bookTicker"])
def test_a_choice_of_symbols_that_makes_no_sense_is_refused(
    sandbox: SandboxServer, path: str, params: dict[str, str], code: int
) -> None:
    assert sandbox.get(f"/api/v3/{path}", **params).json()["code"] == code


def test_a_status_that_the_symbol_does_not_have_is_refused_and_in_a_list_left_out(sandbox: SandboxServer) -> None:
    one = sandbox.get("/api/v3/ticker/price", symbol="SBX200USDT", symbolStatus="TRADING")
    assert one.json()["code"] == -1220
    both = sandbox.get("/api/v3/ticker/price", symbols='["SBX200USDT","BTCUSDT"]', symbolStatus="TRADING")
    assert [row["symbol"] for row in both.json()] == ["BTCUSDT"]


def test_a_limit_above_the_maximum_is_cut(sandbox: SandboxServer) -> None:
    assert len(klines(sandbox, limit=5000)) == 1000


TWENTY_ONE = str([f"SBX{i:03d}USDT" for i in range(1, 22)]).replace("'", '"')


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
            ("/api/v3/ticker/24hr", {"symbols": TWENTY_ONE}, 40),
            ("/api/v3/ticker/24hr", {}, 80),
            ("/api/v3/ticker/price", {"symbol": "BTCUSDT"}, 2),
            ("/api/v3/ticker/price", {}, 4),
            ("/api/v3/ticker/bookTicker", {}, 4),
        ):
            used += weight
            response = sandbox.get(path, **params)
            assert response.headers["x-mbx-used-weight-1m"] == response.headers["x-mbx-used-weight"] == str(used)
        sandbox.clock.ahead += 60_000
        assert sandbox.get("/api/v3/ping").headers["x-mbx-used-weight-1m"] == "1"


def test_too_much_weight_is_refused_then_banned_then_forgiven() -> None:
    """429 until the minute ends; whoever asks on is banned, and for longer the second time."""
    with running_sandbox(weight_limit=5) as sandbox:
        sandbox.clock.ahead = 60_000 - sandbox.clock() % 60_000
        assert [sandbox.get("/api/v3/ping").status_code for _ in range(5)] == [200] * 5
        refused = sandbox.get("/api/v3/ping")
        assert refused.status_code == 429
        assert refused.json() == {
            "code": -1003,
            "msg": "Too much request weight used; current limit is 5 request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API.",
        }
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert until_banned(sandbox) == 19
        assert 110_000 < ban_left(sandbox) <= 120_000
        sandbox.clock.ahead += 125_000
        assert sandbox.get("/api/v3/ping").status_code == 200
        assert until_banned(sandbox) > 0
        assert 470_000 < ban_left(sandbox) <= 480_000
        assert set(sandbox.get("/sandbox/state").json()["refused"]) == {"429", "418"}


def until_banned(sandbox: SandboxServer) -> int:
    """Requests until 418."""
    return next(n for n in range(100) if sandbox.get("/api/v3/ping").status_code == 418)


def ban_left(sandbox: SandboxServer) -> int:
    """Milliseconds; the header and the message agree on it."""
    banned = sandbox.get("/api/v3/ping")
    left = int(banned.json()["msg"].split("banned until ")[1].split(".")[0]) - sandbox.clock()
    assert abs(int(banned.headers["retry-after"]) * 1000 - left) < 2000
    return left


def test_tickers_cover_every_symbol(sandbox: SandboxServer) -> None:
    rows = {row["symbol"]: row for row in sandbox.get("/api/v3/ticker/24hr").json()}
    assert set(rows) == {s["symbol"] for s in sandbox.get("/api/v3/exchangeInfo").json()["symbols"]}
    assert len(rows) == 403
    for row in rows.values():
        assert Decimal(row["lowPrice"]) <= Decimal(row["lastPrice"]) <= Decimal(row["highPrice"])
        assert row["closeTime"] - row["openTime"] == 24 * HOUR
    halted = rows["SBX200USDT"]
    assert (float(halted["volume"]), halted["count"], halted["firstId"]) == (0, 0, -1)
    trading = sandbox.get("/api/v3/ticker/24hr", symbolStatus="TRADING").json()
    assert len(trading) == 401


def test_a_ticker_is_what_the_last_day_of_minutes_says() -> None:
    with running_sandbox() as sandbox:
        sandbox.clock.stop()
        ticker = sandbox.get("/api/v3/ticker/24hr", symbol="ETHUSDT").json()
        start = sandbox.clock() - 24 * HOUR
        rows = klines(sandbox, symbol="ETHUSDT", interval="1m", startTime=start, limit=1000)
        rows += klines(sandbox, symbol="ETHUSDT", interval="1m", startTime=rows[-1][6], limit=1000)
        assert ticker["openPrice"] == rows[0][1]
        assert ticker["lastPrice"] == rows[-1][4]
        assert Decimal(ticker["highPrice"]) == max(Decimal(row[2]) for row in rows)
        assert Decimal(ticker["lowPrice"]) == min(Decimal(row[3]) for row in rows)
        assert Decimal(ticker["volume"]) == sum(Decimal(row[5]) for row in rows)
        price = sandbox.get("/api/v3/ticker/price", symbol="ETHUSDT").json()
        assert price == {"symbol": "ETHUSDT", "price": ticker["lastPrice"]}
        offers = sandbox.get("/api/v3/ticker/bookTicker", symbol="ETHUSDT").json()
        assert Decimal(offers["bidPrice"]) < Decimal(price["price"]) < Decimal(offers["askPrice"])
        mini = sandbox.get("/api/v3/ticker/24hr", symbol="ETHUSDT", type="MINI").json()
        assert mini == {name: ticker[name] for name in mini}
        assert "bidPrice" not in mini


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
