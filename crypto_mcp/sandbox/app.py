"""The sandbox as an ASGI application."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from crypto_mcp.sandbox import answers, queries, wire
from crypto_mcp.sandbox.exchange import Exchange
from crypto_mcp.sandbox.faults import Fault, Faults
from crypto_mcp.sandbox.limits import Refused, WeightLimit
from crypto_mcp.validation import explain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request


RULE = (
    "BTCUSDT, ETHUSDT and SOLUSDT replay one recorded year of hourly candles, moved forward in time by whole hours "
    "so that its last bar ended when this sandbox started; bars after that repeat the recorded movements from the "
    "year's beginning, scaled to go on from the last price. Minutes inside an hour and all SBX symbols are "
    "generated from a seed. "
    "Nothing here is a market."
)


class Sandbox:
    """State and routes. `clock` gives milliseconds since the epoch."""

    def __init__(self, clock: Callable[[], int], *, seed: int = 1, weight_limit: int = wire.WEIGHT_LIMIT) -> None:
        self._clock = clock
        self.exchange = Exchange(clock() // wire.HOUR - 1, seed)
        self._limit = WeightLimit(self._now, weight_limit)
        self._faults = Faults()
        self._requests: Counter[str] = Counter()
        self._refused: Counter[int] = Counter()

    def _now(self) -> int:
        return self._clock()

    def routes(self) -> list[Route]:
        """The exchange's routes and those that steer the sandbox."""
        weights: dict[str, tuple[Callable[[Mapping[str, str]], int], Callable[[Request, int], Any]]] = {
            "/api/v3/ping": (lambda _: 1, lambda _, __: {}),
            "/api/v3/time": (lambda _: 1, lambda _, now: {"serverTime": now}),
            "/api/v3/exchangeInfo": (lambda _: 20, self._exchange_info),
            "/api/v3/klines": (lambda _: 2, self._klines),
            "/api/v3/ticker/24hr": (lambda q: wire.ticker_weight(queries.count_of(q)), self._tickers),
            "/api/v3/ticker/price": (lambda q: 2 if queries.count_of(q) == 1 else 4, self._prices),
        }
        market = [Route(path, self._route(weigh, answer)) for path, (weigh, answer) in weights.items()]
        return [
            *market,
            Route("/sandbox/state", self._state),
            Route("/sandbox/faults", self._steer_faults, methods=["GET", "POST", "DELETE"]),
        ]

    def _route(
        self, weigh: Callable[[Mapping[str, str]], int], answer: Callable[[Request, int], Any]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            self._requests[request.url.path] += 1
            hit = self._faults.strike(request.url.path)
            if fault := hit.get("latency"):
                await asyncio.sleep(fault.milliseconds / 1000)
            if fault := hit.get("status"):
                return self._failure(fault)
            now = self._now() + (hit["clock"].milliseconds if "clock" in hit else 0)
            try:
                used = self._limit.charge(request.client.host if request.client else "", weigh(request.query_params))
            except Refused as refused:
                self._refused[refused.error.status] += 1
                return _error(refused.error, _weight(refused.used) | {"retry-after": str(refused.retry_after)})
            headers = _weight(used)
            try:
                body = answer(request, now)
            except wire.WireError as error:
                return _error(error, headers)
            headers |= self._marks(request.query_params.get("symbol"))
            return _spoiled(body, headers, hit.keys())

        return serve

    def _marks(self, name: str | None) -> dict[str, str]:
        symbol = self.exchange.symbols.get(name or "")
        if symbol is None or symbol.shift_ms is None:
            return {}
        return {"x-sandbox-shift-ms": str(symbol.shift_ms)}

    def _failure(self, fault: Fault) -> Response:
        status = fault.status
        self._refused[status] += 1
        after = {"retry-after": str(fault.retry_after)} if status in (418, 429, 503) else {}
        if status == 403:  # the firewall in front of the exchange answers, and not in JSON
            return Response("<html><body>Request blocked.</body></html>", status, _marked(after), "text/html")
        if status == 418:
            return _error(
                wire.WireError(418, -1003, wire.BANNED.format(until=self._now() + fault.retry_after * 1000)), after
            )
        messages = {
            429: (-1003, wire.TOO_MUCH_WEIGHT),
            451: (0, "Service unavailable from a restricted location according to 'b. Eligibility'."),
        }
        code, message = messages.get(
            status, (-1001, "Internal error; unable to process your request. Please try again.")
        )
        return _error(wire.WireError(status, code, message), after)

    def _exchange_info(self, request: Request, now: int) -> dict[str, Any]:
        symbols = queries.asked_symbols(self.exchange, request.query_params)
        return answers.exchange_info(self.exchange.symbols.values() if symbols is None else symbols, now)

    def _klines(self, request: Request, now: int) -> list[list[Any]]:
        asked = queries.klines_query(self.exchange, request.query_params)
        table = self.exchange.candles(
            asked.symbol, asked.interval, now, start=asked.start, end=asked.end, limit=asked.limit
        )
        return answers.klines(asked.symbol, table, wire.INTERVALS[asked.interval])

    def _tickers(self, request: Request, now: int) -> Any:
        symbols = queries.asked_symbols(self.exchange, request.query_params)
        if symbols is None:
            symbols = [s for s in self.exchange.symbols.values() if s.status == "TRADING"]
        rows = [answers.ticker(symbol, self.exchange.day(symbol, now), now) for symbol in symbols]
        return rows[0] if request.query_params.get("symbol") else rows

    def _prices(self, request: Request, now: int) -> Any:
        return _each(self._tickers(request, now), lambda t: {"symbol": t["symbol"], "price": t["lastPrice"]})

    async def _state(self, _: Request) -> Response:
        shift = self.exchange.symbols["BTCUSDT"].shift_ms
        state = {
            "rule": RULE,
            "shift_ms": shift,
            "symbols": len(self.exchange.symbols),
            "requests": dict(self._requests),
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
    clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    *,
    seed: int = 1,
    weight_limit: int = wire.WEIGHT_LIMIT,
) -> Starlette:
    """The sandbox; another clock makes minutes and bans pass as fast as a test likes."""
    return Starlette(routes=Sandbox(clock, seed=seed, weight_limit=weight_limit).routes())


def _each(body: Any, change: Callable[[dict[str, Any]], Any]) -> Any:
    return [change(row) for row in body] if isinstance(body, list) else change(body)


def _marked(headers: Mapping[str, str]) -> dict[str, str]:
    return {**headers, "x-sandbox": "1"}


def _weight(used: int) -> dict[str, str]:
    return {"x-mbx-used-weight": str(used), "x-mbx-used-weight-1m": str(used)}


def _json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, _marked(headers or {}), "application/json;charset=UTF-8")


def _error(error: wire.WireError, headers: Mapping[str, str]) -> Response:
    return _json({"code": error.code, "msg": error.message}, error.status, headers)


def _spoiled(body: Any, headers: Mapping[str, str], faults: Any) -> Response:
    """The answer, spoiled as the faults say."""
    if "impossible_candle" in faults and isinstance(body, list) and body and isinstance(body[-1], list):
        row = body[len(body) // 2]
        row[2], row[3] = row[3], row[2]
        row[3] = answers.number(float(row[2]) * 1.01)
    if "wrong_types" in faults and isinstance(body, list):
        body = [[row[0], "much", *row[2:]] if isinstance(row, list) else {"symbol": 1} for row in body]
    text = orjson.dumps(body)
    if "truncated" in faults:
        text = text[: len(text) // 2]
    if "cut" in faults:
        return _CutResponse(text, 200, _marked(headers))
    return Response(text, 200, _marked(headers), "application/json;charset=UTF-8")


class _CutResponse(Response):
    """Announces a whole body and sends half of it; the server then drops the connection."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body)[: len(self.body) // 2], "more_body": True})
