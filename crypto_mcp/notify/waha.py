"""WhatsApp by a WAHA server of one's own (https://waha.devlike.pro/docs), which acts as a linked device.

It has no templates and no 24-hour window, takes no id of ours, and its 201 says little: whether a message went is told
by `message.ack` events. WhatsApp blocks numbers that write much to people who do not answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import orjson
from cachetools import LRUCache

from crypto_mcp.notify.sending import Meaning, Message, SendFailed, Sent, Target, reference
from crypto_mcp.trust import trust

if TYPE_CHECKING:
    from crypto_mcp.settings import NotifySettings

_REPUTATION_BLOCK = "463"
_SOON = frozenset({"STARTING"})


class Waha:
    """One session of one server."""

    name = "waha"

    def __init__(self, settings: NotifySettings) -> None:
        assert settings.waha_url is not None
        self._session = settings.waha_session
        key = settings.waha_key.get_secret_value() if settings.waha_key is not None else ""
        self._client = httpx2.AsyncClient(
            base_url=settings.waha_url.rstrip("/"),
            verify=trust(settings.waha_url),
            timeout=settings.timeout,
            headers={"X-Api-Key": key},
        )
        self._chats: LRUCache[str, str] = LRUCache(10_000)

    async def send(self, target: Target, message: Message) -> Sent:
        """See `Sender`."""
        chat = await self._chat(target.address)
        text = f"*{message.title}*\n{message.text}".rstrip()
        if message.kind == "code":
            text = f"*{message.text}* is your code for alerts. Do not share it."
        body = {"session": self._session, "chatId": chat, "text": text, "linkPreview": False}
        told = await self._ask("POST", "/api/sendText", Meaning.UNKNOWN, json=body)
        return Sent(reference(bare_id(told.get("id"))))

    async def close(self) -> None:
        """See `Sender`."""
        await self._client.aclose()

    async def _chat(self, number: str) -> str:
        """What WhatsApp calls the chat with a number; in some countries that is another number."""
        chat = self._chats.get(number)
        if chat is None:
            asked = {"phone": number.lstrip("+"), "session": self._session}
            told = await self._ask("GET", "/api/contacts/check-exists", Meaning.RETRY, params=asked)
            if not told.get("numberExists") or not isinstance(told.get("chatId"), str):
                raise SendFailed(Meaning.FINAL, "waha_no_whatsapp", "the number has no WhatsApp")
            chat = self._chats[number] = told["chatId"]
        return chat

    async def _ask(self, method: str, path: str, unanswered: Meaning, **what: Any) -> dict[str, Any]:
        try:
            response = await self._client.request(method, path, **what)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise SendFailed(Meaning.RETRY, "unreachable", f"WAHA cannot be reached ({type(error).__name__})") from None
        except httpx2.RequestError as error:
            raise SendFailed(unanswered, "no_answer", f"WAHA did not answer ({type(error).__name__})") from None
        try:
            told = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            told = {}
        told = told if isinstance(told, dict) else {}
        if not response.is_success:
            raise _refusal(response.status_code, told)
        return told


def bare_id(told: Any) -> str:
    """The part of a message's id that names no chat, which is a number: `true_12025550123@c.us_3EB0...`."""
    if isinstance(told, dict):
        told = told.get("_serialized") or told.get("id")
    parts = str(told).split("_")
    return parts[2] if len(parts) > 2 else parts[-1]


def _refusal(status: int, told: dict[str, Any]) -> SendFailed:
    if status == 422 and "status" in told:
        session = str(told["status"])[:40]
        if session in _SOON:
            return SendFailed(Meaning.RETRY, "waha_starting", "the session starts", retry_after=5)
        return SendFailed(Meaning.OPERATOR, f"waha_{session.lower()}", f"the session is {session}")
    if status in (401, 403, 404):
        return SendFailed(Meaning.OPERATOR, f"waha_{status}", "WAHA refuses the key or does not know the session")
    exception = told.get("exception")
    said = str(exception.get("message", "")) if isinstance(exception, dict) else ""
    if status >= 500 and _REPUTATION_BLOCK in said:
        return SendFailed(Meaning.OPERATOR, "waha_463", "WhatsApp has blocked the number for now")
    meaning = Meaning.RETRY if status >= 500 or status == 429 else Meaning.FINAL
    return SendFailed(meaning, f"waha_{status}", f"WAHA answered {status}")
