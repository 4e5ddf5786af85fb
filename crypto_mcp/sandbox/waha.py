"""A WAHA server, as the sandbox plays it below `/waha`: one session, `default`.

Source: https://waha.devlike.pro/docs (shapes as of 2026-07): statuses of sessions, ids with the chat in them, webhooks
signed with HMAC-SHA512.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from typing import TYPE_CHECKING, Any

from crypto_mcp.sandbox.phones import Carried
from crypto_mcp.sandbox.venue import TurnedAway

if TYPE_CHECKING:
    from collections.abc import Callable

    from crypto_mcp.sandbox.callbacks import Callbacks
    from crypto_mcp.sandbox.phones import Phones, Status
    from crypto_mcp.settings import SandboxSettings

_ACKS = {"failed": (-1, "ERROR"), "sent": (1, "SERVER"), "delivered": (2, "DEVICE"), "read": (3, "READ")}
_USER = "@c.us"


class Waha:
    """State of the server. `status` is the session's: WORKING, STARTING, SCAN_QR_CODE, FAILED, STOPPED."""

    def __init__(
        self, settings: SandboxSettings, phones: Phones, callbacks: Callbacks, clock: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._phones = phones
        self._callbacks = callbacks
        self._clock = clock
        self.status = "WORKING"
        self.sent = 0
        phones.connect("waha", self._report, self._heard)

    def send_text(self, key: str, body: Any) -> dict[str, Any]:
        """`POST /api/sendText`; 201."""
        self._check(key, str(body.get("session", "default")))
        chat, text = str(body.get("chatId", "")), body.get("text")
        if not chat.endswith(_USER) or not isinstance(text, str) or not text:
            message = ["chatId must be a chat", "text must be a string"]
            raise TurnedAway(400, {"message": message, "error": "Bad Request", "statusCode": 400})
        number, now = chat.removesuffix(_USER), self._clock()
        hexed = f"3EB0{secrets.token_hex(9).upper()}"
        carried = Carried(f"true_{chat}_{hexed}", number, text, now, "waha")
        self.sent += 1
        self._phones.take(carried, failing=None if self._phones.phone(number).on_whatsapp else -1)
        return {
            "id": carried.id, "timestamp": now // 1000, "from": f"15550000002{_USER}", "fromMe": True, "to": chat,
            "body": text, "hasMedia": False, "ack": 0, "ackName": "PENDING",
        }  # fmt: skip

    def check_exists(self, key: str, session: str, phone: str) -> dict[str, Any]:
        """`GET /api/contacts/check-exists`."""
        self._check(key, session)
        number = phone.lstrip("+")
        exists = self._phones.phone(number).on_whatsapp
        return {"numberExists": exists, **({"chatId": f"{number}{_USER}"} if exists else {})}

    def session(self, key: str, session: str) -> dict[str, Any]:
        """`GET /api/sessions/{name}`."""
        self._check_key(key)
        self._check_session(session)
        return {"name": session, "status": self.status, "config": {}, "me": {"id": f"15550000002{_USER}"}}

    def _check(self, key: str, session: str) -> None:
        self._check_key(key)
        self._check_session(session)
        if self.status != "WORKING":
            said = "Session status is not as expected. Try again later or restart the session"
            body = {"error": said, "session": session, "status": self.status, "expected": ["WORKING"]}
            raise TurnedAway(422, body)

    def _check_key(self, key: str) -> None:
        token = self._settings.whatsapp_token
        if token is not None and key != token.get_secret_value():
            raise TurnedAway(401, {"message": "Unauthorized", "statusCode": 401})

    @staticmethod
    def _check_session(session: str) -> None:
        if session != "default":
            raise TurnedAway(404, {"message": "Session not found", "error": "Not Found", "statusCode": 404})

    async def _report(self, message: Carried, status: Status) -> None:
        ack, name = _ACKS[status]
        to = f"{message.number}{_USER}"
        told = {"id": message.id, "from": to, "participant": None, "fromMe": True, "ack": ack, "ackName": name}
        await self._call("message.ack", told)

    async def _heard(self, message: Carried) -> None:
        sender = f"{message.number}{_USER}"
        told = {
            "id": f"false_{sender}_{secrets.token_hex(10).upper()}", "timestamp": message.at // 1000, "from": sender,
            "fromMe": False, "body": message.text, "hasMedia": False,
        }  # fmt: skip
        await self._call("message", told)

    async def _call(self, event: str, payload: dict[str, Any]) -> None:
        body = json.dumps({
            "id": f"evt_{secrets.token_hex(13)}", "timestamp": self._clock(), "event": event, "session": "default",
            "me": {"id": f"15550000002{_USER}", "pushName": "Sandbox"}, "payload": payload, "engine": "NOWEB",
            "environment": {"version": "2026.7.1", "engine": "NOWEB", "tier": "CORE"},
        }).encode()  # fmt: skip
        headers = {"X-Webhook-Request-Id": secrets.token_hex(13), "X-Webhook-Timestamp": str(self._clock())}
        secret = self._settings.whatsapp_app_secret
        if secret is not None:
            digest = hmac.new(secret.get_secret_value().encode(), body, hashlib.sha512).hexdigest()
            headers |= {"X-Webhook-Hmac": digest, "X-Webhook-Hmac-Algorithm": "sha512"}
        await self._callbacks.post("waha", body, headers)
