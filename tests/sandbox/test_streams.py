"""The sandbox's WebSockets: formats, control messages, limits, bars that agree with REST, and bad days."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.sandbox_server import SandboxServer, running_sandbox

MINUTE = 60_000
WITHIN = 10


@pytest.fixture(scope="module")
def served() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


@pytest.fixture
def sandbox(served: SandboxServer) -> SandboxServer:
    """Without faults, its clock at the real time."""
    served.mend()
    served.clock.ahead, served.clock.stopped_at = 0, None
    return served


@contextmanager
def opened(sandbox: SandboxServer, path: str) -> Iterator[ClientConnection]:
    with connect(sandbox.streams + path, ping_interval=None) as socket:
        yield socket


def heard(socket: ClientConnection, wanted: Callable[[Any], bool], count: int = 1) -> list[Any]:
    """The next `count` messages that are wanted."""
    found: list[Any] = []
    deadline = time.monotonic() + WITHIN
    while len(found) < count:
        message = json.loads(socket.recv(timeout=max(0.01, deadline - time.monotonic())))
        if wanted(message):
            found.append(message)
    return found


def asked(socket: ClientConnection, **message: Any) -> Any:
    """The answer to a control message."""
    socket.send(json.dumps(message))
    return heard(socket, lambda m: isinstance(m, dict) and ("result" in m or "code" in m or "error" in m))[0]


def is_close(message: Any) -> bool:
    return isinstance(message, dict) and message.get("e") == "kline" and message["k"]["x"]


def end_of(socket: ClientConnection) -> int | None:
    """The code with which the other side closed."""
    try:
        while True:
            socket.recv(timeout=WITHIN)
    except ConnectionClosed as end:
        return end.rcvd.code if end.rcvd else None


def test_a_bar_in_progress_has_the_exchanges_fields_and_is_what_rest_says(sandbox: SandboxServer) -> None:
    """With the clock stopped both tell of the same moment."""
    sandbox.clock.stop()
    with opened(sandbox, "/ws/btcusdt@kline_1h") as socket:
        event = json.loads(socket.recv(timeout=WITHIN))
        assert socket.response is not None
        assert socket.response.headers["x-sandbox"] == "1"
    row = sandbox.get("/api/v3/klines", symbol="BTCUSDT", interval="1h", limit=1).json()[0]
    bar = event["k"]
    assert [bar[key] for key in "tohlcvTqnVQB"] == row
    assert (event["e"], event["s"], bar["s"], bar["i"], bar["x"]) == ("kline", "BTCUSDT", "BTCUSDT", "1h", False)
    assert bar["L"] - bar["f"] == bar["n"] - 1
    assert event["E"] == sandbox.clock()


def test_every_bar_that_closes_is_said_once_and_is_what_rest_says_later(sandbox: SandboxServer) -> None:
    """Also when the clock jumps over several of them."""
    sandbox.clock.stop()
    with opened(sandbox, "/stream?streams=ethusdt@kline_1m/sbx007usdt@kline_1m") as socket:
        first = heard(socket, lambda m: m["data"]["s"] == "ETHUSDT")[0]["data"]["k"]["t"]
        sandbox.clock.stopped_at = first + 2 * MINUTE + 30_000
        early = heard(socket, lambda m: is_close(m["data"]) and m["stream"] == "ethusdt@kline_1m", 2)
        sandbox.clock.stopped_at = first + 6 * MINUTE
        late = heard(socket, lambda m: is_close(m["data"]) and m["stream"] == "ethusdt@kline_1m", 4)
    rows = sandbox.get("/api/v3/klines", symbol="ETHUSDT", interval="1m", startTime=first, limit=6).json()
    assert [[m["data"]["k"][key] for key in "tohlcvTqnVQB"] for m in early + late] == rows


def test_mini_tickers_book_tickers_and_trades_have_the_exchanges_fields(sandbox: SandboxServer) -> None:
    """The list of all tells only of symbols that changed."""
    with opened(sandbox, "/stream?streams=btcusdt@miniTicker/btcusdt@bookTicker/btcusdt@aggTrade") as socket:
        mini = heard(socket, lambda m: m["stream"] == "btcusdt@miniTicker")[0]["data"]
        book = heard(socket, lambda m: m["stream"] == "btcusdt@bookTicker")[0]["data"]
        trade = heard(socket, lambda m: m["stream"] == "btcusdt@aggTrade")[0]["data"]
    assert mini.keys() == set("eEsohlcvq")
    assert book.keys() == set("usbBaA")
    assert trade.keys() == set("eEsapqflTmM")
    assert float(book["b"]) < float(book["a"])
    with opened(sandbox, "/ws/!miniTicker@arr") as socket:
        sandbox.clock.stop()
        events = json.loads(socket.recv(timeout=WITHIN))
        assert {"BTCUSDT", "SBX001USDT"} <= {event["s"] for event in events}
        assert "SBX200USDT" not in {event["s"] for event in events}, "halted"


def test_subscriptions_change_while_connected(sandbox: SandboxServer) -> None:
    """What does not exist is acknowledged all the same, and stays silent."""
    with opened(sandbox, "/ws") as socket:
        names = ["btcusdt@miniTicker", "BTCUSDT@miniTicker", "nosuch@kline_1m", "btcusdt@kline_7m"]
        assert asked(socket, method="SUBSCRIBE", params=names, id=1) == {"result": None, "id": 1}
        assert asked(socket, method="LIST_SUBSCRIPTIONS", id="a1") == {"result": names, "id": "a1"}
        assert heard(socket, lambda m: "e" in m)[0]["s"] == "BTCUSDT"
        asked(socket, method="UNSUBSCRIBE", params=names[1:], id=None)
        assert asked(socket, method="LIST_SUBSCRIPTIONS", id=2)["result"] == names[:1]


def test_properties_and_wrong_messages_are_answered_as_the_exchange_does(sandbox: SandboxServer) -> None:
    """Each with its code."""
    with opened(sandbox, "/ws") as socket:
        assert asked(socket, method="GET_PROPERTY", params=["combined"], id=1)["result"] is False
        assert asked(socket, method="SET_PROPERTY", params=["combined", True], id=2)["result"] is None
        assert asked(socket, method="SET_PROPERTY", params=["combined", 1], id=3)["code"] == 1
        assert asked(socket, method="GET_PROPERTY", params=["no"], id=4)["code"] == 0
    with opened(sandbox, "/ws") as socket:
        assert asked(socket, method="DANCE", id=5)["code"] == 2
        socket.send("{")
        assert json.loads(socket.recv(timeout=WITHIN))["code"] == 3


def test_too_many_messages_end_the_connection(sandbox: SandboxServer) -> None:
    """The sixth within a second."""
    with opened(sandbox, "/ws") as socket:
        for number in range(6):
            socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        assert end_of(socket) == 1008
    assert sandbox.get("/sandbox/state").json()["streams"]["too_many_messages"] == 1


def test_too_many_streams_end_the_connection(sandbox: SandboxServer) -> None:
    """1024 are allowed."""
    with opened(sandbox, "/ws") as socket:
        names = [f"x{number}@miniTicker" for number in range(1025)]
        assert asked(socket, method="SUBSCRIBE", params=names[:1024], id=1) == {"result": None, "id": 1}
        assert asked(socket, method="SUBSCRIBE", params=names[1024:], id=2)["error"]["code"] == 4
        assert end_of(socket) == 1008


def test_too_many_connections_are_refused() -> None:
    """The 301st within five minutes."""
    with running_sandbox() as sandbox:
        for _ in range(300):
            connect(sandbox.streams + "/ws", ping_interval=None).socket.close()
        with pytest.raises(InvalidStatus) as caught:
            connect(sandbox.streams + "/ws")
        assert caught.value.response.status_code == 429


def test_a_connection_lives_for_24_hours(sandbox: SandboxServer) -> None:
    """By the sandbox's clock."""
    with opened(sandbox, "/ws") as socket:
        sandbox.clock.ahead += 24 * 60 * MINUTE
        assert end_of(socket) is not None
    assert sandbox.get("/sandbox/state").json()["streams"]["expired"] == 1


def test_bad_days_can_be_switched_on(sandbox: SandboxServer) -> None:
    """A cut without a word, silence, a shutdown foretold, a last event lost or repeated, events out of order."""
    sandbox.clock.stop()
    with opened(sandbox, "/ws/btcusdt@kline_1m") as socket:
        first = json.loads(socket.recv(timeout=WITHIN))["k"]["t"]
        sandbox.fault("repeated_close", times=1)
        sandbox.clock.stopped_at = first + MINUTE
        assert [m["k"]["t"] for m in heard(socket, is_close, 2)] == [first, first]
        sandbox.fault("missing_close", times=1)
        sandbox.clock.stopped_at = first + 2 * MINUTE
        assert heard(socket, lambda m: m["k"]["t"] == first + 2 * MINUTE)
        sandbox.fault("silent")
        sandbox.clock.stopped_at = first + 3 * MINUTE
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.3)
        sandbox.mend()
        sandbox.fault("shutdown", times=1)
        assert heard(socket, lambda m: m.get("e") == "serverShutdown")
        sandbox.fault("out_of_order", times=1)
        sandbox.clock.stopped_at = first + 4 * MINUTE
        times = [m["k"]["t"] for m in heard(socket, lambda m: m.get("e") == "kline", 2)]
        assert times == sorted(times, reverse=True)
        sandbox.fault("cut", path="/ws")
        assert end_of(socket) is None
