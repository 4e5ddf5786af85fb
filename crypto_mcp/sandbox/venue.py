"""What every provider the sandbox plays has: routes, an allowance, and its own words for what it refuses."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from starlette.responses import Response
from starlette.routing import Route

from crypto_mcp.sandbox.faults import spoil_body, spoil_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from crypto_mcp.sandbox.faults import Fault, Faults, Kind

JSON = "application/json;charset=UTF-8"


class TurnedAway(Exception):
    """An answer other than 200: a body that becomes JSON, or text with its own type."""

    def __init__(
        self, status: int, body: Any, headers: Mapping[str, str] | None = None, media_type: str = JSON
    ) -> None:
        super().__init__()
        self.status = status
        self.headers = dict(headers or {})
        self.content = body.encode() if isinstance(body, str) else orjson.dumps(body)
        self.media_type = media_type


def firewall() -> TurnedAway:
    """The firewall before a provider: HTML, whatever was asked for."""
    return TurnedAway(403, "<html><body>Request blocked.</body></html>", media_type="text/html")


@dataclass(slots=True)
class Call:
    """One request as a venue sees it. `now` is the venue's time in milliseconds, off by what a fault asks for."""

    path: str
    params: list[tuple[str, str]]
    headers: Mapping[str, str]
    address: str
    now: int
    faults: Mapping[Kind, Fault]
    said: dict[str, str] = field(default_factory=dict)
    """Headers of the answer, whatever it is."""


class Venue(Protocol):
    """A provider the sandbox plays."""

    def paths(self) -> Iterable[str]:
        """Its routes."""
        ...

    def answer(self, call: Call) -> Any:
        """The body of a good answer. Charged first, checked then; raises `TurnedAway`."""
        ...

    def failure(self, fault: Fault) -> TurnedAway:
        """What it, or the firewall before it, answers with the status of a fault."""
        ...


@dataclass(slots=True)
class Serving:
    """Serves venues over HTTP: every request is counted, struck by faults, and only then answered."""

    faults: Faults
    clock: Callable[[], int]
    requests: Counter[str] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)

    def routes(self, venue: Venue) -> list[Route]:
        """Routes of one venue."""
        return [Route(path, self._endpoint(venue, path)) for path in venue.paths()]

    def _endpoint(self, venue: Venue, path: str) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            self.requests[path] += 1
            hit = self.faults.strike(path)
            try:
                response = self._answered(venue, request, hit)
            except TurnedAway as away:
                if away.status in (403, 418, 429, 451) or away.status >= 500:
                    self.refused[away.status] += 1
                response = Response(away.content, away.status, away.headers, away.media_type)
            if "latency" in hit:  # on the way back: the answer is as old as the delay
                await asyncio.sleep(max(0, hit["latency"].milliseconds) / 1000)
            return response

        return serve

    def _answered(self, venue: Venue, request: Request, hit: Mapping[Kind, Fault]) -> Response:
        if "status" in hit:
            raise venue.failure(hit["status"])
        call = Call(
            path=request.url.path,
            params=request.query_params.multi_items(),
            headers=request.headers,
            address=request.client.host if request.client else "",
            now=self.clock() + (hit["clock"].milliseconds if "clock" in hit else 0),
            faults=hit,
        )
        try:
            body = venue.answer(call)
        except TurnedAway as away:
            away.headers |= call.said
            raise
        text = spoil_text(orjson.dumps(spoil_body(body, hit.keys())), hit.keys())
        return (_CutResponse if "cut" in hit else Response)(text, 200, call.said, JSON)


class _CutResponse(Response):
    """Announces a whole body and sends half of it; the server then drops the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body)[: len(self.body) // 2], "more_body": True})
