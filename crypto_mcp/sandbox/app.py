"""The sandbox as an ASGI application."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from crypto_mcp.sandbox import answers, queries, wire
from crypto_mcp.sandbox.exchange import Exchange
from crypto_mcp.sandbox.faults import Fault, Faults, Kind, spoil_body, spoil_text
from crypto_mcp.sandbox.limits import Refused, WeightLimit
from crypto_mcp.sandbox.queries import Query
from crypto_mcp.sandbox.sockets import Sockets
from crypto_mcp.settings import SandboxSettings
from crypto_mcp.validation import explain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    Answer = Callable[[Query, int], Any]


RULE = (
    "BTCUSDT, ETHUSDT and SOLUSDT replay one recorded year of hourly candles, moved forward in time by `shift_ms` so "
    "that its last bar ended at `opened`; bars after that repeat the recorded movements from the year's beginning, "
    "scaled to go on from the last price. Minutes inside an hour and all SBX symbols are generated from `seed`. "
    "Nothing here is a market."
)


class Sandbox:
    """State and routes. `clock` gives milliseconds since the epoch."""

    def __init__(self, settings: SandboxSettings, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._settings = settings
        opened = clock() if settings.opened is None else int(settings.opened.timestamp() * 1000)
        self._opened = opened // wire.HOUR
        self._exchange = Exchange(self._opened - 1, settings.seed)
        self._limit = WeightLimit(clock, settings.weight_limit)
        self._faults = Faults(clock, settings.seed)
        self._sockets = Sockets(self._exchange, self._faults, clock, settings.stream_life)
        self._requests: Counter[str] = Counter()
        self._refused: Counter[int] = Counter()

    def routes(self) -> list[BaseRoute]:
        """The exchange's routes and those that steer the sandbox."""
        market: dict[str, Answer] = {
            "/api/v3/ping": self._ping,
            "/api/v3/time": self._time,
            "/api/v3/exchangeInfo": self._exchange_info,
            "/api/v3/klines": self._klines,
            "/api/v3/ticker/24hr": self._tickers,
            "/api/v3/ticker/price": self._prices,
            "/api/v3/ticker/bookTicker": self._offers,
        }
        return [
            *(Route(path, self._serving(path, answer)) for path, answer in market.items()),
            *self._sockets.routes(),
            Route("/sandbox/state", self._state),
            Route("/sandbox/faults", self._steer_faults, methods=["GET", "POST", "DELETE"]),
        ]

    @property
    def replay(self) -> str:
        """Two sandboxes that say the same here have the same closed bars."""
        return f"{self._settings.seed}-{self._opened}"

    def _serving(self, path: str, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        """One route of the exchange: counted, struck by faults, charged, and only then looked at."""

        async def serve(request: Request) -> Response:
            self._requests[path] += 1
            hit = self._faults.strike(path)
            response = self._failure(hit["status"]) if "status" in hit else self._charged(request, answer, hit)
            if "latency" in hit:  # on the way back: the answer is as old as the delay
                await asyncio.sleep(max(0, hit["latency"].milliseconds) / 1000)
            return response

        return serve

    def _charged(self, request: Request, answer: Answer, hit: Mapping[Kind, Fault]) -> Response:
        query = Query(request.query_params.multi_items())
        weight = wire.WEIGHTS[request.url.path](query.weighs_as)
        try:
            used = self._limit.charge(request.client.host if request.client else "", weight)
        except Refused as refused:
            self._refused[refused.error.status] += 1
            return _error(refused.error, _weight(refused.used) | {"retry-after": str(refused.retry_after)})
        now = self._clock() + (hit["clock"].milliseconds if "clock" in hit else 0)
        try:
            body = answer(query, now)
        except wire.WireError as error:
            return _error(error, _weight(used))
        text = spoil_text(orjson.dumps(spoil_body(body, hit.keys())), hit.keys())
        headers = _weight(used) | self._shift(request.query_params.get("symbol"))
        return (_CutResponse if "cut" in hit else Response)(text, 200, headers, _JSON)

    def _shift(self, name: str | None) -> dict[str, str]:
        symbol = self._exchange.symbols.get(name or "")
        if symbol is None or symbol.shift_ms is None:
            return {}
        return {"x-sandbox-shift-ms": str(symbol.shift_ms)}

    def _failure(self, fault: Fault) -> Response:
        """What the exchange, or the firewall before it, answers with that status."""
        status = fault.status
        self._refused[status] += 1
        after = {"retry-after": str(fault.retry_after)} if status in (418, 429, 503) else {}
        if status == 403:
            return Response("<html><body>Request blocked.</body></html>", status, after, "text/html")
        bodies = {
            418: (-1003, wire.BANNED.format(until=self._clock() + fault.retry_after * 1000)),
            429: (-1003, wire.TOO_MUCH_WEIGHT.format(limit=self._settings.weight_limit)),
            451: (0, wire.FORBIDDEN_HERE),
        }
        return _error(wire.WireError(status, *bodies.get(status, (-1001, wire.INTERNAL))), after)

    def _ping(self, query: Query, _: int) -> dict[str, Any]:
        query.done()
        return {}

    def _time(self, query: Query, now: int) -> dict[str, Any]:
        query.done()
        return {"serverTime": now}

    def _exchange_info(self, query: Query, now: int) -> dict[str, Any]:
        symbols = queries.listing_query(self._exchange, query)
        return answers.exchange_info(symbols, now, self._settings.weight_limit)

    def _klines(self, query: Query, now: int) -> list[list[Any]]:
        asked = queries.klines_query(self._exchange, query)
        table = self._exchange.candles(
            asked.symbol, asked.interval, now, start=asked.start, end=asked.end, limit=asked.limit
        )
        return answers.klines(asked.symbol, table, wire.INTERVALS[asked.interval])

    def _tickers(self, query: Query, now: int) -> Any:
        asked = queries.ticker_query(self._exchange, query, types=True)
        rows = [answers.ticker(s, self._exchange.day(s, now), now, mini=asked.mini) for s in asked.symbols]
        return rows[0] if asked.single else rows

    def _prices(self, query: Query, now: int) -> Any:
        asked = queries.ticker_query(self._exchange, query)
        rows = [answers.last_price(s, self._exchange.last(s, now)) for s in asked.symbols]
        return rows[0] if asked.single else rows

    def _offers(self, query: Query, now: int) -> Any:
        asked = queries.ticker_query(self._exchange, query)
        rows = [answers.book_ticker(s, self._exchange.last(s, now)) for s in asked.symbols]
        return rows[0] if asked.single else rows

    async def _state(self, _: Request) -> Response:
        recorded = {s.name: s.shift_ms for s in self._exchange.symbols.values() if s.shift_ms is not None}
        state = {
            "rule": RULE,
            "opened": datetime.fromtimestamp(self._opened * wire.HOUR / 1000, UTC),
            "shift_ms": recorded["BTCUSDT"],
            "seed": self._settings.seed,
            "weight_limit": self._settings.weight_limit,
            "recorded": sorted(recorded),
            "symbols": len(self._exchange.symbols),
            "requests": dict(self._requests),
            "streams": self._sockets.state(),
            "refused": {str(status): count for status, count in self._refused.items()},
        }
        return _json(state)

    async def _steer_faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._faults.clear()
        elif request.method == "POST":
            try:
                self._faults.add(Fault.model_validate_json(await request.body()))
            except ValidationError as error:
                return _json({"error": explain(error)}, 422)
        return _json([fault.model_dump() for fault in self._faults.list()])


def create_app(
    settings: SandboxSettings | None = None, *, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
) -> ASGIApp:
    """The sandbox; another clock (milliseconds since the epoch) makes minutes and bans pass as fast as a test likes."""
    sandbox = Sandbox(settings or SandboxSettings(), clock)
    return _Marked(Starlette(routes=sandbox.routes()), sandbox.replay)


class _Marked:
    """Every answer says that it is a sandbox's and of which replay, those to wrong paths and of crashes too."""

    def __init__(self, app: ASGIApp, replay: str) -> None:
        self.app = app
        self.replay = replay

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-sandbox"], headers["x-sandbox-replay"] = "1", self.replay
            await send(message)

        await self.app(scope, receive, marked)


_JSON = "application/json;charset=UTF-8"


def _weight(used: int) -> dict[str, str]:
    return {"x-mbx-used-weight": str(used), "x-mbx-used-weight-1m": str(used)}


def _json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, _JSON)


def _error(error: wire.WireError, headers: Mapping[str, str]) -> Response:
    return _json({"code": error.code, "msg": error.message}, error.status, headers)


class _CutResponse(Response):
    """Announces a whole body and sends half of it; the server then drops the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body)[: len(self.body) // 2], "more_body": True})
