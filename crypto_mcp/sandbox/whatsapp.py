"""Meta's WhatsApp Cloud API, as the sandbox plays it below `/graph`: one number of one business.

Source: https://developers.facebook.com/docs/whatsapp/cloud-api, as of 2026-05: shapes, limits, errors, webhooks. Two
templates are approved: `crypto_alert` and `crypto_code`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import phonenumbers

from crypto_mcp.sandbox.phones import Carried
from crypto_mcp.sandbox.venue import TurnedAway

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crypto_mcp.sandbox.callbacks import Callbacks
    from crypto_mcp.sandbox.phones import Phones, Status
    from crypto_mcp.settings import SandboxSettings

TEMPLATES = {
    "crypto_alert": (3, "Alert: *{0}*\n\n{1}\n\n_Happened at {2}._"),
    "crypto_code": (1, "*{0}* is your code for alerts. For your security, do not share it."),
}
_PER_SECOND = 80
_PAIR_INTERVAL, _PAIR_BURST = 6000, 45
_LONGEST = 4096
_WABA = "200000000000001"

_TITLES = {
    100: "Invalid parameter",
    190: "Authentication Error",
    130429: "Rate limit hit",
    131000: "Something went wrong",
    131008: "Required parameter is missing",
    131009: "Parameter value is not valid",
    131026: "Message undeliverable",
    131047: "Re-engagement message",
    131050: "User has stopped receiving marketing messages",
    131051: "Unsupported message type",
    131056: "(Business Account, Consumer Account) pair rate limit hit",
    132000: "Number of parameters does not match the expected number of params",
    132001: "Template name does not exist in the translation",
}
_STATUSES = {190: 401, 130429: 429, 131000: 500}


def refused(code: int, details: str) -> TurnedAway:
    """An error as Graph words it."""
    title = _TITLES.get(code, "Error")
    body = {
        "message": f"(#{code}) {title}",
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": details},
        "fbtrace_id": f"A{secrets.token_hex(10)}",
    }
    return TurnedAway(_STATUSES.get(code, 400), {"error": body})


@dataclass(slots=True)
class _Pair:
    """One message in six seconds; a burst goes ahead of that and is paid back before the next message."""

    due: int = 0
    since: int = 0
    count: int = 0

    def charge(self, now: int) -> bool:
        """Whether one more is allowed."""
        if now >= self.due:
            self.since, self.count, self.due = now, 0, now
        elif now - self.since >= _PAIR_INTERVAL or self.count >= _PAIR_BURST:
            return False
        self.count += 1
        self.due += _PAIR_INTERVAL
        return True


class WhatsApp:
    """State of the number: its limits, and what goes wrong on request."""

    def __init__(
        self, settings: SandboxSettings, phones: Phones, callbacks: Callbacks, clock: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._phones = phones
        self._callbacks = callbacks
        self._clock = clock
        self._pairs: dict[str, _Pair] = {}
        self._second: deque[int] = deque()
        self._refusals: deque[tuple[int, bool]] = deque()
        self.sent = 0
        phones.connect("meta", self._report, self._heard)

    def send(self, phone_id: str, authorization: str, body: Any) -> dict[str, Any]:
        """`POST /{version}/{phone_id}/messages`."""
        self._check_caller(phone_id, authorization)
        if not isinstance(body, dict) or body.get("messaging_product") != "whatsapp":
            raise refused(100, "messaging_product must be whatsapp")
        number = _called(_digits(body.get("to")))
        text, template, button = _content(body)
        now = self._clock()
        self._check_limits(number, now)
        code, later = self._refusals.popleft() if self._refusals else (None, False)
        if code is not None and not later:
            raise refused(code, "As the sandbox was told.")
        phone = self._phones.phone(number)
        message = Carried(
            _wamid(number), number, text, now, "meta",
            template=template, opaque=body.get("biz_opaque_callback_data"), button=button,
        )  # fmt: skip
        self.sent += 1
        failing = code
        if failing is None and not phone.on_whatsapp:
            failing = 131026
        elif failing is None and template is None and not phone.window_open(now):
            failing = 131047
        self._phones.take(message, failing=failing)
        accepted = {"message_status": "accepted"} if template else {}
        return {
            "messaging_product": "whatsapp",
            "contacts": [{"input": str(body["to"]), "wa_id": number}],
            "messages": [{"id": message.id, **accepted}],
        }

    def refuse(self, code: int, times: int, *, later: bool) -> None:
        """The next messages are refused with a code, at once or by a webhook; 0 times: no more of them are."""
        self._refusals = deque([(code, later)] * times)

    def _check_caller(self, phone_id: str, authorization: str) -> None:
        token = self._settings.whatsapp_token
        right = authorization[7:] if token is None else token.get_secret_value()
        if not right or authorization != f"Bearer {right}":
            raise refused(190, "Invalid OAuth access token - Cannot parse access token")
        if phone_id != self._settings.whatsapp_phone_id:
            raise refused(100, f"Object with ID '{phone_id[:40]}' does not exist")

    def _check_limits(self, number: str, now: int) -> None:
        while self._second and now - self._second[0] >= 1000:
            self._second.popleft()
        if len(self._second) >= _PER_SECOND:
            raise refused(130429, "Cloud API message throughput has been reached.")
        if not self._pairs.setdefault(number, _Pair()).charge(now):
            raise refused(131056, "Too many messages sent from this phone number to the same phone number.")
        self._second.append(now)

    async def _report(self, message: Carried, status: Status) -> None:
        told: dict[str, Any] = {
            "id": message.id,
            "status": status,
            "timestamp": str(self._clock() // 1000),
            "recipient_id": message.number,
        }
        if message.opaque is not None:
            told["biz_opaque_callback_data"] = message.opaque
        if status == "failed" and message.error is not None:
            title = _TITLES.get(message.error, "Error")
            told["errors"] = [
                {"code": message.error, "title": title, "message": title, "error_data": {"details": f"{title}."}}
            ]
        await self._call({"statuses": [told]})

    async def _heard(self, message: Carried) -> None:
        contact = {"profile": {"name": "Sandbox"}, "wa_id": message.number}
        said = {
            "from": message.number,
            "id": f"wamid.{message.id}",
            "timestamp": str(message.at // 1000),
            "type": "text",
            "text": {"body": message.text},
        }
        await self._call({"contacts": [contact], "messages": [said]})

    async def _call(self, what: dict[str, Any]) -> None:
        value = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550000001", "phone_number_id": self._settings.whatsapp_phone_id},
        } | what
        change = {"field": "messages", "value": value}
        body = json.dumps({"object": "whatsapp_business_account", "entry": [{"id": _WABA, "changes": [change]}]})
        headers = {}
        if self._settings.whatsapp_app_secret is not None:
            secret = self._settings.whatsapp_app_secret.get_secret_value().encode()
            headers["X-Hub-Signature-256"] = f"sha256={hmac.new(secret, body.encode(), hashlib.sha256).hexdigest()}"
        await self._callbacks.post("meta", body.encode(), headers)


def _wamid(number: str) -> str:
    """As Meta's are: in base64, and with the number inside."""
    inside = (
        b"\x1d\x1c\x18\x0b" + number.encode() + b"\x15\x02\x00\x11\x18\x12" + secrets.token_hex(10).upper().encode()
    )
    return f"wamid.{base64.b64encode(inside).decode()}"


def _digits(to: Any) -> str:
    if to is None:
        raise refused(131008, "Parameter 'to' is missing")
    try:
        number = phonenumbers.parse(f"+{str(to).lstrip('+')}", None)
    except phonenumbers.NumberParseException:
        raise refused(131009, "Parameter 'to' is not a phone number") from None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]


def _called(number: str) -> str:
    """What WhatsApp calls a number: mobiles of most of Brazil are known there without the 9 that came later."""
    late_nine = len(number) == 13 and number.startswith("55") and number[4] == "9" and number[2:4] > "30"
    return number[:4] + number[5:] if late_nine else number


def _content(body: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    """Text, name of the template, and text of its button."""
    kind = body.get("type", "text")
    if kind == "text":
        text = (body.get("text") or {}).get("body")
        if not isinstance(text, str) or not text:
            raise refused(131008, "Parameter 'text.body' is missing")
        if len(text) > _LONGEST:
            raise refused(100, f"Param text['body'] must be at most {_LONGEST} characters long.")
        return text, None, None
    if kind == "template":
        return _rendered(body.get("template") or {})
    raise refused(131051, f"Message type {str(kind)[:40]} is not supported here")


def _rendered(template: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    name, language = str(template.get("name")), (template.get("language") or {}).get("code")
    if name not in TEMPLATES or language != "en_US":
        raise refused(132001, f"template name ({name[:60]}) does not exist in {language}")
    expected, words = TEMPLATES[name]
    components = template.get("components") or []
    given = [_parameters(each) for each in components if each.get("type") == "body"]
    parameters = given[0] if given else []
    if len(parameters) != expected:
        raise refused(132000, f"body: number of localizable_params ({len(parameters)}) does not match ({expected})")
    button = None
    if name == "crypto_code":
        buttons = [_parameters(each) for each in components if each.get("type") == "button"]
        if not buttons or buttons[0] != parameters:
            raise refused(131008, "Button at index 0 of type Url requires a parameter")
        button = "Copy code"
    text = words.format(*parameters)
    if len(text) > 1024:
        raise refused(132005, "Translated text too long")
    return text, name, button


def _parameters(component: Mapping[str, Any]) -> list[str]:
    texts = [str(each.get("text", "")) for each in component.get("parameters") or []]
    for text in texts:
        if not text:
            raise refused(131008, "Parameter 'text' is missing")
        if "\n" in text or "\t" in text or "     " in text:
            raise refused(100, "Param text cannot have new-line/tab characters or more than 4 consecutive spaces")
    return texts
