"""What holds for every HTTP request: an id, a bounded body, a bounded time, an answer even to a surprise."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from structlog.contextvars import bound_contextvars

from crypto_mcp.errors import CryptoMcpError, InvalidRequest, TimedOut
from crypto_mcp.server.metrics import count_request
from crypto_mcp.server.problems import refusal, surprise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

LARGEST_BODY = 1_048_576
DEEPEST = 64
LONGEST_ARRAY = 10_000

EXECUTION_HEADER = "X-Workflow-Execution"
"""Names the workflow's execution that asks."""

_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
_EXECUTION = re.compile(rb"[A-Za-z0-9_.:-]{1,128}")


class BodyTooLarge(InvalidRequest):
    """The request's body is over the limit."""

    code = "body_too_large"
    http_status = 413


class UnsupportedMediaType(InvalidRequest):
    """The request's body is not declared to be JSON."""

    code = "unsupported_media_type"
    http_status = 415


class BadJson(InvalidRequest):
    """The request's body is no JSON, or JSON that two readers may understand differently."""

    code = "bad_json"
    http_status = 400


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(f"the body has more than {LARGEST_BODY} bytes", hint="Send less at once.")


class RequestBounds:
    """ASGI middleware. The request id is taken from `X-Request-ID` or made, bound to the log and sent back."""

    def __init__(self, app: ASGIApp, timeout: float) -> None:
        self._app = app
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        exchange = _Exchange(scope, receive, send, request_id)
        began = time.perf_counter()
        with bound_contextvars(request_id=request_id, **_execution(headers)):
            await self._serve(exchange, headers.get(b"content-length", b""))
            seconds = time.perf_counter() - began
            count_request(scope, exchange.status, seconds)
            if "front" in scope["state"]:
                scope["state"]["front"].performance.note(exchange.status, seconds)
            say = log.debug if scope["path"] == "/health" else log.info  # probes come every few seconds
            say(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=exchange.status,
                ms=round(seconds * 1000, 2),
            )

    async def _serve(self, exchange: _Exchange, content_length: bytes) -> None:
        try:
            if content_length.isdigit() and int(content_length) > LARGEST_BODY:
                raise _too_large()
            async with asyncio.timeout(self._timeout) as limit:
                exchange.scope["state"]["time_limit"] = limit
                await self._app(exchange.scope, exchange.receive, exchange.send)
        except TimeoutError:
            late = TimedOut(
                f"the request took longer than {self._timeout:g} s",
                hint="Submit the job without `wait` and poll it; a job that was accepted goes on.",
            )
            await exchange.refuse(late)
        except CryptoMcpError as error:
            await exchange.refuse(error)
        except Exception as error:  # noqa: BLE001 - the last line: no traceback leaves, and the log has it
            await exchange.refuse(surprise(error))


class _Exchange:
    """One request and its response on their way through the middleware."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self.scope = scope
        self.status = 0
        self._receive = receive
        self._send = send
        self._stamp = (b"x-request-id", request_id.encode())
        self._received = 0

    async def receive(self) -> Message:
        """The next part of the body, while there is room."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self._received > LARGEST_BODY:
            raise _too_large()
        return message

    async def send(self, message: Message) -> None:
        """The next part of the response, stamped with the request's id."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), self._stamp]
        await self._send(message)

    async def refuse(self, error: CryptoMcpError) -> None:
        """Answers with a problem; a response that has begun can only be cut."""
        if self.status == 0:
            await refusal(self.scope, error)(self.scope, self._receive, self.send)


def allow_seconds(scope: Scope, seconds: float) -> None:
    """Lets the request of this scope, which streams its answer, take so long from now on."""
    limit: asyncio.Timeout = scope["state"]["time_limit"]
    limit.reschedule(asyncio.get_running_loop().time() + seconds)


def _request_id(given: bytes | None) -> str:
    return given.decode() if given is not None and _ID.fullmatch(given) else secrets.token_hex(8)


def _execution(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    given = headers.get(EXECUTION_HEADER.lower().encode())
    return {"execution_id": given.decode()} if given is not None and _EXECUTION.fullmatch(given) else {}


async def read_json(request: Request) -> Any:
    """The request's body. Refused: NaN, numbers out of range, broken text, one key twice in an object."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaType(
            "the body must be JSON, and be declared so", hint="Send the header `Content-Type: application/json`."
        )
    return strict_json(await request.body())


def strict_json(text: bytes) -> Any:
    """What orjson accepts, which is RFC 8259 to the letter, with the names in every object unique, within bounds."""
    try:
        value = orjson.loads(text)
        json.loads(text, object_pairs_hook=_unique)
        _bounded(value)
    except (ValueError, RecursionError) as error:
        raise BadJson(f"the body cannot be read: {error}", hint="Send one JSON object.") from None
    return value


def _bounded(value: Any) -> None:
    """No deeper, and no array longer, than anything that is asked here."""
    inside, depth = [value], 0
    while inside:
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} deep")
        if any(isinstance(each, list) and len(each) > LONGEST_ARRAY for each in inside):
            raise ValueError(f"an array has more than {LONGEST_ARRAY} items")
        parts = (each.values() if isinstance(each, dict) else each for each in inside if isinstance(each, (dict, list)))
        inside, depth = [one for part in parts for one in part], depth + 1


def _unique(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twin[:80]!r} is there twice")
