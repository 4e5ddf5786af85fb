"""The exchange's WebSocket endpoint: `/ws/<stream>`, `/stream?streams=a/b`, subscriptions, limits, and bad days.

Source: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams, as of July 2026. The close codes
on a breach of limits are not published for spot; ours are those measured on futures.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from crypto_mcp.sandbox.streams import SHUTDOWN, Subscription, closes_bar

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.websockets import WebSocket

    from crypto_mcp.sandbox.exchange import Exchange
    from crypto_mcp.sandbox.faults import Faults

MOST_STREAMS, MESSAGES_A_SECOND = 1024, 5
MOST_CONNECTS, CONNECTS_WITHIN = 300, 300.0
PING_EVERY, PONG_WITHIN = 20.0, 60.0
"""Seconds; given to the web server, which sends the frames."""

_TICK = 0.05
_AT_ONCE = 50
"""Streams looked at before others get their turn: four hundred take some tens of milliseconds."""

_ID = re.compile(r"[0-9A-Za-z]{1,36}")
_POLICY, _MESSAGE_TOO_MUCH = 1008, "Too many requests"


class Sockets:
    """All connections of the sandbox. `clock` gives milliseconds since the epoch, `life` is in seconds of it."""

    def __init__(self, exchange: Exchange, faults: Faults, clock: Callable[[], int], life: float) -> None:
        self.exchange = exchange
        self.faults = faults
        self.clock = clock
        self.life = life
        self.open = 0
        self.counts: Counter[str] = Counter()
        self._connects: defaultdict[str, deque[float]] = defaultdict(deque)

    def routes(self) -> list[WebSocketRoute]:
        """`/ws`, `/ws/<stream>` (more of them apart by slashes) and `/stream`."""
        return [
            WebSocketRoute("/ws", self._serve),
            WebSocketRoute("/ws/{names:path}", self._serve),
            WebSocketRoute("/stream", self._serve),
        ]

    def state(self) -> dict[str, int]:
        """Connections that are open, and how many were opened and how they ended."""
        return {"open": self.open, **self.counts}

    async def _serve(self, socket: WebSocket) -> None:
        if not self._may_connect(socket.client.host if socket.client else ""):
            self.counts["refused"] += 1
            await socket.send_denial_response(Response("Too many connections.", 429))
            return
        await socket.accept(headers=[(b"x-sandbox", b"1")])
        self.open += 1
        self.counts["opened"] += 1
        try:
            await _Connection(self, socket).run()
        except WebSocketDisconnect:
            self.counts["left"] += 1
        finally:
            self.open -= 1

    def _may_connect(self, address: str) -> bool:
        now, recent = time.monotonic(), self._connects[address]
        while recent and recent[0] < now - CONNECTS_WITHIN:
            recent.popleft()
        recent.append(now)
        return len(recent) <= MOST_CONNECTS


class _Cut(Exception):
    """The connection ends without a word: the client sees 1006."""


class _Connection:
    """One client."""

    def __init__(self, sockets: Sockets, socket: WebSocket) -> None:
        self._all = sockets
        self._socket = socket
        self._path = socket.url.path
        self._combined = self._path == "/stream"
        self._until = sockets.clock() + sockets.life * 1000
        self._streams: dict[str, Subscription] = {}
        self._messages: deque[float] = deque()
        self._held: list[tuple[str, Any]] = []

    async def run(self) -> None:
        """Until one of both ends it. Raises `WebSocketDisconnect` when the client did."""
        names = self._socket.query_params.get("streams") or self._socket.path_params.get("names") or ""
        self._subscribe([name for name in names.split("/") if name])
        tasks = [asyncio.ensure_future(self._listen()), asyncio.ensure_future(self._tell())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except _Cut:
            self._all.counts["cut"] += 1  # returning without a close frame drops the connection
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _subscribe(self, names: list[str]) -> bool:
        """Whether there was room for them."""
        for name in names:
            if name not in self._streams:
                self._streams[name] = Subscription.to(name, self._all.exchange)
        return len(self._streams) <= MOST_STREAMS

    async def _tell(self) -> None:
        """Sends what the streams have to say until the connection has lived its life."""
        while self._all.clock() < self._until:
            await self._turn()
            await asyncio.sleep(_TICK)
        self._all.counts["expired"] += 1
        await self._socket.close(1008, "Connection has lived for 24 hours")

    async def _turn(self) -> None:
        faults = self._all.faults
        hit = faults.strike(self._path, among=("cut", "silent", "shutdown", "out_of_order"))
        if "cut" in hit:
            raise _Cut
        if "shutdown" in hit:
            await self._send(SHUTDOWN, {"e": "serverShutdown", "E": self._all.clock()})
        now, held, self._held = self._all.clock(), self._held, []
        for i, stream in enumerate(list(self._streams.values())):
            for event in stream.events(self._all.exchange, now):
                if "silent" in hit:
                    continue
                if "out_of_order" in hit:
                    self._held.append((stream.name, event))
                else:
                    await self._say(stream.name, event)
            if i % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
        for name, event in reversed(held):
            await self._send(name, event)

    async def _say(self, name: str, event: Any) -> None:
        """An event, unless it is the last of a bar and a fault loses that; or twice, if one repeats it."""
        hit = (
            self._all.faults.strike(self._path, among=("missing_close", "repeated_close")) if closes_bar(event) else {}
        )
        if "missing_close" not in hit:
            await self._send(name, event)
        if "repeated_close" in hit:
            await self._send(name, event)

    async def _send(self, name: str, event: Any) -> None:
        body = {"stream": name, "data": event} if self._combined else event
        await self._socket.send_text(orjson.dumps(body).decode())

    async def _listen(self) -> None:
        while True:
            text = await self._socket.receive_text()
            if not self._in_time():
                self._all.counts["too_many_messages"] += 1
                await self._socket.close(_POLICY, _MESSAGE_TOO_MUCH)
                return
            answer = self._answer(text)
            await self._socket.send_text(orjson.dumps(answer).decode())
            if len(self._streams) > MOST_STREAMS:
                self._all.counts["too_many_streams"] += 1
                await self._socket.close(_POLICY, "Invalid request")
                return

    def _in_time(self) -> bool:
        now = time.monotonic()
        while self._messages and self._messages[0] <= now - 1:
            self._messages.popleft()
        self._messages.append(now)
        return len(self._messages) <= MESSAGES_A_SECOND

    def _answer(self, text: str) -> dict[str, Any]:
        try:
            asked = orjson.loads(text)
        except orjson.JSONDecodeError:
            return {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}
        if not isinstance(asked, dict) or not _valid_id(asked.get("id")):
            return {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"}
        answer = self._control(asked.get("method"), asked.get("params"))
        return answer | {"id": asked.get("id")}

    def _control(self, method: Any, params: Any) -> dict[str, Any]:
        names = params if isinstance(params, list) and all(isinstance(name, str) for name in params) else None
        if method == "SUBSCRIBE" and names is not None:
            if not self._subscribe(names):
                return {"error": {"code": 4, "msg": "Too many subscriptions"}}
            return {"result": None}
        if method == "UNSUBSCRIBE" and names is not None:
            for name in names:
                self._streams.pop(name, None)
            return {"result": None}
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": list(self._streams)}
        if method in ("GET_PROPERTY", "SET_PROPERTY"):
            return self._property(method, params)
        return {"code": 2, "msg": "Invalid request: unknown variant or missing field"}

    def _property(self, method: str, params: Any) -> dict[str, Any]:
        if not isinstance(params, list) or not params or params[0] != "combined":
            return {"code": 0, "msg": "Unknown property"}
        if method == "GET_PROPERTY":
            return {"result": self._combined}
        if len(params) < 2 or not isinstance(params[1], bool):
            return {"code": 1, "msg": "Invalid value type: expected Boolean"}
        self._combined = params[1]
        return {"result": None}


def _valid_id(sent: Any) -> bool:
    return sent is None or (type(sent) is int) or (isinstance(sent, str) and _ID.fullmatch(sent) is not None)
