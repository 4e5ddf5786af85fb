"""WhatsApp by Meta's Cloud API.

Source: https://developers.facebook.com/docs/whatsapp/cloud-api, messages and error codes as of 2026-05. Refusals are
told apart by `error.code`; the HTTP status of one code differs between accounts. A 200 means accepted: whether it
arrives is told by webhook.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import httpx2
import orjson

from crypto_mcp.notify.sending import Meaning, Message, SendFailed, Sent, Target, reference
from crypto_mcp.retry_after import asked_pause
from crypto_mcp.trust import trust

if TYPE_CHECKING:
    from crypto_mcp.settings import NotifySettings

_MEANINGS: dict[Meaning, frozenset[int]] = {
    Meaning.RETRY: frozenset({1, 2, 131000, 131016, 131057}),
    Meaning.PAIR: frozenset({131056}),
    Meaning.SLOW: frozenset({130429}),
    Meaning.PAUSE: frozenset({4, 80007, 131048, 131064}),
    Meaning.TEMPLATE: frozenset({131047}),
    Meaning.OPT_OUT: frozenset({131050}),
    Meaning.OPERATOR: frozenset(
        {0, 3, 10, 190, 368, 131005, 131031, 131037, 131042, 131045, 130497, 131063, *range(200, 300)}
        | {132001, 132007, 132015, 132016}
    ),
}
_MEANING_OF = {code: meaning for meaning, codes in _MEANINGS.items() for code in codes}
_PAUSES = {131048: 6 * 3600.0, 131064: 3600.0, 4: 300.0, 80007: 300.0}

LONGEST_TEXT = 4096
_LONGEST_PARAMETER = 1000
_TOGETHER = 1000
"""Characters of all parameters: a template's body with them filled in has at most 1,024."""


def meaning_of(code: int) -> Meaning:
    """What an error code means; one that is not listed is a message that will never go."""
    return _MEANING_OF.get(code, Meaning.FINAL)


def failure(error: dict[str, Any], retry_after: float | None = None) -> SendFailed:
    """A refusal, from the `error` of an answer or of a `failed` status. Its details may hold numbers: left out."""
    code = error.get("code")
    number = code if isinstance(code, int) else -1
    title = str(error.get("title") or _without_digits(str(error.get("message", "no reason given"))))
    return SendFailed(meaning_of(number), f"meta_{number}", title[:200], retry_after=_PAUSES.get(number, retry_after))


class Meta:
    """One number of one business."""

    name = "meta"

    def __init__(self, settings: NotifySettings) -> None:
        assert settings.meta_phone_id is not None
        assert settings.meta_token is not None
        self._settings = settings
        self._path = f"{settings.meta_url.rstrip('/')}/{settings.meta_version}/{settings.meta_phone_id}/messages"
        self._client = httpx2.AsyncClient(
            verify=trust(settings.meta_url),
            timeout=settings.timeout,
            headers={"Authorization": f"Bearer {settings.meta_token.get_secret_value()}"},
            limits=httpx2.Limits(max_connections=50, max_keepalive_connections=20, keepalive_expiry=60),
        )

    async def send(self, target: Target, message: Message) -> Sent:
        """See `Sender`. Text inside the 24 hours, a template outside."""
        try:
            response = await self._client.post(self._path, json=self.body(target, message))
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise SendFailed(Meaning.RETRY, "unreachable", f"Meta cannot be reached ({type(error).__name__})") from None
        except httpx2.RequestError as error:
            raise SendFailed(Meaning.UNKNOWN, "no_answer", f"Meta did not answer ({type(error).__name__})") from None
        return _read(response, target)

    async def close(self) -> None:
        """See `Sender`."""
        await self._client.aclose()

    def body(self, target: Target, message: Message) -> dict[str, Any]:
        """The request, as Meta wants it."""
        head = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": target.address,
            "biz_opaque_callback_data": message.message_id,
        }
        if target.free_text and message.kind == "alert":
            text = f"*{message.title}*\n{message.text}".rstrip()
            return head | {"type": "text", "text": {"preview_url": False, "body": shortened(text, LONGEST_TEXT)}}
        return head | {"type": "template", "template": self._template(message)}

    def _template(self, message: Message) -> dict[str, Any]:
        settings = self._settings
        if message.kind == "code":
            name, parameters = settings.meta_code_template, [message.text]
        else:
            told = [message.title, message.text or "-", f"{message.at:%Y-%m-%d %H:%M} UTC"]
            name, parameters = settings.meta_template, _within(told)
        given = [{"type": "text", "text": each} for each in parameters]
        components: list[dict[str, Any]] = [{"type": "body", "parameters": given}]
        if message.kind == "code":  # a template of the category AUTHENTICATION has a button that copies the code
            components.append({"type": "button", "sub_type": "url", "index": "0", "parameters": given})
        return {"name": name, "language": {"code": settings.meta_language}, "components": components}


def parameter(text: str, longest: int = _LONGEST_PARAMETER) -> str:
    """A text as a parameter may be: one line, no tabs, no four spaces in a row, never empty. Lines are kept whole."""
    lines = [line for line in (" ".join(each.split()) for each in text.splitlines()) if line]
    for kept in range(len(lines), 0, -1):
        left = len(lines) - kept
        joined = _joined(lines[:kept]) + (f" … and {left} more" if left else "")
        if len(joined) <= longest:
            return joined
    return shortened(lines[0], longest) if lines else "-"


def _joined(lines: list[str]) -> str:
    joined = ""
    for line in lines:
        apart = " " if joined.endswith((".", "!", "?", ":")) else " · "
        joined += (apart if joined else "") + line
    return joined


def shortened(text: str, longest: int) -> str:
    """The text, cut where it is too long, and saying so."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def _within(texts: list[str]) -> list[str]:
    title, when = parameter(texts[0], 300), parameter(texts[2])
    return [title, parameter(texts[1], _TOGETHER - len(title) - len(when)), when]


def _read(response: httpx2.Response, target: Target) -> Sent:
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        taken = Meaning.UNKNOWN if response.is_success else Meaning.RETRY
        raise SendFailed(taken, f"http_{response.status_code}", "the answer is no JSON")
    if isinstance(body.get("error"), dict):
        raise failure(body["error"], asked_pause(response.headers.get("retry-after")))
    try:
        called = str(body.get("contacts", [{}])[0].get("wa_id", ""))
        known = called == target.address.lstrip("+")
        return Sent(reference(str(body["messages"][0]["id"])), called="" if known else called)
    except (KeyError, IndexError, TypeError):
        meaning = Meaning.UNKNOWN if response.is_success else Meaning.RETRY
        raise SendFailed(meaning, f"http_{response.status_code}", "the answer names no message") from None


def _without_digits(text: str) -> str:
    """Error texts may repeat the number that was asked for."""
    return re.sub(r"\+?\d{7,}", "[number]", text)
