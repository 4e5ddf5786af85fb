"""The sandbox's providers of messages over HTTP, and the page that shows its phones."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from crypto_mcp.sandbox.callbacks import Callbacks
from crypto_mcp.sandbox.phones import Phones
from crypto_mcp.sandbox.venue import JSON, TurnedAway
from crypto_mcp.sandbox.waha import Waha
from crypto_mcp.sandbox.whatsapp import WhatsApp
from crypto_mcp.validation import explain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from crypto_mcp.sandbox.venue import Serving
    from crypto_mcp.settings import SandboxSettings

_PAGE = files("crypto_mcp.sandbox").joinpath("phone.html")


class _Steering(BaseModel):
    """What a test or the page changes."""

    model_config = ConfigDict(extra="forbid")

    number: str = Field(pattern=r"^\+?\d{5,20}$")
    text: str | None = Field(None, min_length=1, max_length=4096)
    online: bool | None = None
    on_whatsapp: bool | None = None


class _Refusals(BaseModel):
    """The next messages end with an error: at once, or `later` by webhook."""

    model_config = ConfigDict(extra="forbid")

    code: int
    times: int = Field(1, ge=0, le=10_000)
    later: bool = False


class Messaging:
    """Meta's and WAHA's doors, and the phones behind them."""

    def __init__(self, settings: SandboxSettings, serving: Serving, clock: Callable[[], int]) -> None:
        self._serving = serving
        self.phones = Phones(clock)
        self.callbacks = Callbacks({"meta": settings.whatsapp_webhook, "waha": settings.waha_webhook})
        self.whatsapp = WhatsApp(settings, self.phones, self.callbacks, clock)
        self.waha = Waha(settings, self.phones, self.callbacks, clock)

    def routes(self) -> list[BaseRoute]:
        """All of it."""
        return [
            Route("/graph/{version}/{phone_id}/messages", self._meta, methods=["POST"]),
            Route("/waha/api/sendText", self._send_text, methods=["POST"]),
            Route("/waha/api/contacts/check-exists", self._check_exists),
            Route("/waha/api/sessions/{session}", self._session),
            Route("/sandbox/phone", self._page),
            Route("/sandbox/phone/state", self._state),
            Route("/sandbox/phone/steer", self._steer, methods=["POST"]),
            Route("/sandbox/whatsapp/refuse", self._refuse, methods=["POST"]),
            Route("/sandbox/waha/session", self._steer_session, methods=["POST"]),
            Route("/sandbox/whatsapp/webhooks", self._webhooks, methods=["GET", "POST"]),
        ]

    def state(self) -> dict[str, Any]:
        """For `/sandbox/state`."""
        return {
            "sent": self.whatsapp.sent + self.waha.sent,
            "phones": len(self.phones.all()),
            "callbacks": dict(self.callbacks.told),
        }

    async def _meta(self, request: Request) -> Response:
        async def answer() -> Any:
            try:
                body = orjson.loads(await request.body())
            except orjson.JSONDecodeError:
                body = None
            path = request.path_params
            return self.whatsapp.send(path["phone_id"], request.headers.get("authorization", ""), body)

        return await self._served("/graph/messages", answer)

    async def _send_text(self, request: Request) -> Response:
        async def answer() -> Any:
            return self.waha.send_text(_key(request), orjson.loads(await request.body()))

        return await self._served("/waha/api/sendText", answer, status=201)

    async def _check_exists(self, request: Request) -> Response:
        async def answer() -> Any:
            asked = request.query_params
            return self.waha.check_exists(_key(request), asked.get("session", "default"), asked.get("phone", ""))

        return await self._served("/waha/api/contacts/check-exists", answer)

    async def _session(self, request: Request) -> Response:
        async def answer() -> Any:
            return self.waha.session(_key(request), request.path_params["session"])

        return await self._served("/waha/api/sessions", answer)

    async def _steer_session(self, request: Request) -> Response:
        self.waha.status = orjson.loads(await request.body())["status"]
        return _json({"status": self.waha.status})

    async def _served(self, path: str, answer: Callable[[], Awaitable[Any]], status: int = 200) -> Response:
        """Counted, and struck by the faults that are switched on: `latency` and `cut` after the message was taken."""
        self._serving.requests[path] += 1
        hit = self._serving.faults.strike(path)
        try:
            if "status" in hit:
                raise TurnedAway(hit["status"].status, {"error": {"message": "An unknown error occurred", "code": 1}})
            response = Response(orjson.dumps(await answer()), status, media_type=JSON)
        except TurnedAway as away:
            if away.status in (403, 429) or away.status >= 500:
                self._serving.refused[away.status] += 1
            response = Response(away.content, away.status, away.headers, away.media_type)
        if "latency" in hit:
            await asyncio.sleep(max(0, hit["latency"].milliseconds) / 1000)
        if "cut" in hit:
            response.headers["content-length"] = str(len(response.body) + 100)
        return response

    async def _page(self, _: Request) -> Response:
        return HTMLResponse(_PAGE.read_text())

    async def _state(self, request: Request) -> Response:
        """The phones, and the messages of one; with `seen` its owner is looking at it."""
        wanted = request.query_params.get("number", "").lstrip("+")
        phones = self.phones.all()
        now = self.phones.clock()
        chosen = next((each for each in phones if each.number == wanted), phones[0] if phones else None)
        if chosen is not None and "seen" in request.query_params:
            self.phones.seen(chosen.number)
        shown = None
        if chosen is not None:
            shown = {
                "number": chosen.number,
                "online": chosen.online,
                "on_whatsapp": chosen.on_whatsapp,
                "window_open": chosen.window_open(now),
                "messages": [each.shown() for each in chosen.messages],
            }
        listed = [
            {
                "number": each.number,
                "count": len(each.messages),
                "newest": each.messages[-1].shown() if each.messages else None,
                "unread": sum(m.status == "delivered" and not m.incoming for m in each.messages),
            }
            for each in phones[:200]
        ]
        return _json({"now": now, "phones": listed, "phone": shown})

    async def _steer(self, request: Request) -> Response:
        try:
            asked = _Steering.model_validate_json(await request.body())
        except ValidationError as error:
            return _json({"error": explain(error)}, 422)
        number = asked.number.lstrip("+")
        if asked.online is not None or asked.on_whatsapp is not None:
            self.phones.switch(number, online=asked.online, on_whatsapp=asked.on_whatsapp)
        if asked.text is not None:
            self.phones.write(number, asked.text)
        return _json({"number": number})

    async def _refuse(self, request: Request) -> Response:
        try:
            asked = _Refusals.model_validate_json(await request.body())
        except ValidationError as error:
            return _json({"error": explain(error)}, 422)
        self.whatsapp.refuse(asked.code, asked.times, later=asked.later)
        return _json({"ok": True})

    async def _webhooks(self, request: Request) -> Response:
        if request.method == "POST":
            given = orjson.loads(await request.body())
            self.callbacks.urls |= {name: given[name] for name in given if name in ("meta", "waha")}
        return _json(self.callbacks.urls)


def _key(request: Request) -> str:
    return str(request.headers.get("x-api-key", request.query_params.get("x-api-key", "")))


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type=JSON)
