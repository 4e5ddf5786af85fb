"""The sandbox as an ASGI application."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from crypto_mcp.sandbox import wire
from crypto_mcp.sandbox.alternative import Alternative
from crypto_mcp.sandbox.coingecko import CoinGecko
from crypto_mcp.sandbox.coinmarketcap import CoinMarketCap
from crypto_mcp.sandbox.coins import Coins
from crypto_mcp.sandbox.exchange import Exchange
from crypto_mcp.sandbox.faults import Fault, Faults
from crypto_mcp.sandbox.futures import Futures
from crypto_mcp.sandbox.messaging import Messaging
from crypto_mcp.sandbox.sockets import Sockets
from crypto_mcp.sandbox.spot import Spot
from crypto_mcp.sandbox.venue import JSON, Serving
from crypto_mcp.settings import SandboxSettings
from crypto_mcp.validation import explain

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


RULE = (
    "BTCUSDT, ETHUSDT and SOLUSDT replay one recorded year of hourly candles, moved forward in time by `shift_ms` so "
    "that its last bar ended at `opened`; bars after that repeat the recorded movements from the year's beginning, "
    "scaled to go on from the last price. Minutes inside an hour and all SBX symbols are generated from `seed`. "
    "Nothing here is a market."
)


class Sandbox:
    """State and routes. `clock` gives milliseconds since the epoch."""

    def __init__(self, settings: SandboxSettings, clock: Callable[[], int]) -> None:
        self._settings = settings
        opened = clock() if settings.opened is None else int(settings.opened.timestamp() * 1000)
        self._opened = opened // wire.HOUR
        self._exchange = Exchange(self._opened - 1, settings.seed)
        self._faults = Faults(clock, settings.seed)
        self._serving = Serving(self._faults, clock)
        self._spot = Spot(self._exchange, clock, settings.weight_limit)
        self._futures = Futures(self._exchange, clock, settings.futures_weight_limit)
        coins = Coins(self._exchange)
        self._venues = (
            self._spot,
            self._futures,
            CoinGecko(coins, clock),
            CoinMarketCap(coins, clock),
            Alternative(coins, clock),
        )
        self._messaging = Messaging(settings, self._serving, clock)
        self._sockets = Sockets(self._exchange, self._faults, clock, settings.stream_life)

    def routes(self) -> list[BaseRoute]:
        """The providers' routes and those that steer the sandbox."""
        return [
            *(route for venue in self._venues for route in self._serving.routes(venue)),
            *self._sockets.routes(),
            *self._messaging.routes(),
            Route("/sandbox/state", self._state),
            Route("/sandbox/faults", self._steer_faults, methods=["GET", "POST", "DELETE"]),
        ]

    @property
    def replay(self) -> str:
        """Two sandboxes that say the same here have the same closed bars."""
        return f"{self._settings.seed}-{self._opened}"

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
            "requests": dict(self._serving.requests),
            "streams": self._sockets.state(),
            "messages": self._messaging.state(),
            "refused": {str(status): count for status, count in self._serving.refused.items()},
            "used": {"spot": list(self._spot.limit.history), "futures": list(self._futures.limit.history)},
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


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type=JSON)
