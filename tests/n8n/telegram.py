"""A stand-in for api.telegram.org on loopback: `getMe` and `sendMessage` with their shapes, checks and errors.

Source: https://core.telegram.org/bots/api (9.x) and, for the wording of errors, the Bot API server's source.
"""

from __future__ import annotations

import json
import time
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

TOKEN = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
_BOT = {"id": 110201543, "is_bot": True, "first_name": "Crypto alerts", "username": "crypto_alerts_bot"}
_ABILITIES = {"can_join_groups": True, "can_read_all_group_messages": False, "supports_inline_queries": False}
_ENTITIES = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline", "ins": "underline",
    "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough", "code": "code", "pre": "pre",
    "blockquote": "blockquote", "tg-spoiler": "spoiler",
}  # fmt: skip
_LONGEST = 4096


class Refused(Exception):
    """An error as the Bot API answers it."""

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.code, self.description, self.parameters = code, description, parameters

    def response(self) -> JSONResponse:
        body: dict[str, Any] = {"ok": False, "error_code": self.code, "description": self.description}
        if self.parameters:
            body["parameters"] = self.parameters
        return JSONResponse(body, self.code)


def bad(description: str) -> Refused:
    return Refused(400, f"Bad Request: {description}")


@dataclass
class Telegram:
    """A bot and the chats it may write to. The next calls of `sendMessage` end with `refusals`, one each.

    `turned_away` are the texts that these calls had.
    """

    chats: set[int]
    messages: list[dict[str, Any]] = field(default_factory=list)
    refusals: deque[Refused] = field(default_factory=deque)
    refused: list[str] = field(default_factory=list)
    turned_away: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Its address."""
        port = free_port()
        app = Starlette(routes=[Route("/bot{token}/{method}", self._call, methods=["GET", "POST"])])
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="off"))
        import asyncio

        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            await task

    async def _call(self, request: Request) -> JSONResponse:
        try:
            self._check(request.path_params["token"])
            method = request.path_params["method"].lower()  # names of methods are not case-sensitive
            if method == "getme":
                return JSONResponse({"ok": True, "result": _BOT | _ABILITIES})
            if method == "sendmessage":
                return JSONResponse({"ok": True, "result": self._send(await _parameters(request))})
            raise Refused(404, "Not Found")
        except Refused as refused:
            self.refused.append(refused.description)
            return refused.response()

    def _check(self, token: str) -> None:
        bot, _, secret = token.partition(":")
        if not bot.isdigit() or not secret:
            raise Refused(404, "Not Found")
        if token != TOKEN:
            raise Refused(401, "Unauthorized")

    def _send(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self.refusals:
            self.turned_away.append(_parsed(str(asked.get("text", "")), str(asked.get("parse_mode", "")))[0])
            raise self.refusals.popleft()
        chat = str(asked.get("chat_id", ""))
        if not chat:
            raise bad("chat_id is empty")
        if not chat.lstrip("-").isdigit() or int(chat) not in self.chats:
            raise bad("chat not found")
        text, entities = _parsed(str(asked.get("text", "")), str(asked.get("parse_mode", "")))
        if not text.strip():
            raise bad("message text is empty")
        if len(text) > _LONGEST:
            raise bad("message is too long")
        message = {
            "message_id": len(self.messages) + 1,
            "from": _BOT,
            "chat": {"id": int(chat), "first_name": "Ann", "type": "private"},
            "date": int(time.time()),
            "text": text.strip(),
            **({"entities": entities} if entities else {}),
        }
        self.messages.append(message)
        return message


async def _parameters(request: Request) -> dict[str, Any]:
    """From the query, a form or JSON, as the Bot API takes them."""
    found: dict[str, Any] = dict(request.query_params)
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/json"):
        try:
            found |= json.loads(await request.body() or b"{}")
        except ValueError:
            raise bad("can't parse request JSON object") from None
    elif request.method == "POST":
        found |= dict(await request.form())
    return found


def _parsed(text: str, mode: str) -> tuple[str, list[dict[str, Any]]]:
    """Plain text, and entities in UTF-16 units. Markdown is not played: nothing here writes it."""
    if mode == "":
        return text, []
    if mode.lower() != "html":
        raise bad("unsupported parse_mode")
    parser = _Html(text)
    parser.feed(text)
    parser.close()
    if parser.open:
        raise bad(f"can't parse entities: Can't find end tag corresponding to start tag \"{parser.open[-1][0]}\"")
    return parser.plain, parser.entities


class _Html(HTMLParser):
    """Telegram's HTML: few tags, closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = source
        self.plain = ""
        self.open: list[tuple[str, int]] = []
        self.entities: list[dict[str, Any]] = []

    def handle_data(self, data: str) -> None:
        self.plain += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _ENTITIES:
            raise bad(f'can\'t parse entities: Unsupported start tag "{tag}" at byte offset {self._offset()}')
        self.open.append((tag, _units(self.plain)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open:
            raise bad(f"can't parse entities: Unexpected end tag at byte offset {self._offset()}")
        expected, began = self.open.pop()
        if tag != expected:
            raise bad(
                f"can't parse entities: Unmatched end tag at byte offset {self._offset()}, "
                f'expected "</{expected}>", found "</{tag}>"'
            )
        length = _units(self.plain) - began
        if length:
            self.entities.append({"offset": began, "length": length, "type": _ENTITIES[tag]})

    def _offset(self) -> int:
        line, column = self.getpos()
        before = self.source.split("\n")[: line - 1]
        return len(("\n".join([*before, ""]) + self.source.split("\n")[line - 1][:column]).encode())


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
