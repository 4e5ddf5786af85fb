"""What providers tell by webhook: checked by its signature, and freed of numbers and texts before it goes any further.

Sources: Meta's webhooks as of 2026-05 (https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks), WAHA's events
(https://waha.devlike.pro/docs/how-to/events/).
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import orjson

from crypto_mcp.errors import Forbidden, InvalidRequest
from crypto_mcp.models.notifications import HeardReport, ReportParams, StatusReport
from crypto_mcp.notify.sending import reference
from crypto_mcp.notify.waha import bare_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import SecretStr

    from crypto_mcp.notify.sealing import Seal

_STATUSES = frozenset({"sent", "delivered", "read", "failed"})
_ACKS: dict[Any, Literal["sent", "delivered", "read", "failed"]] = {
    -1: "failed",
    1: "sent",
    2: "delivered",
    3: "read",
    4: "read",
}
"""0 is still on its way to WhatsApp's server."""

_MOVES = frozenset({"user_changed_number", "customer_changed_number"})
_STOP = frozenset(
    {"stop", "stopp", "stopall", "unsubscribe", "end", "quit", "cancel", "arret", "arrêt", "parar", "baja", "sair"}
)
_START = frozenset({"start", "unstop", "resume", "subscribe"})


class BadSignature(Forbidden):
    """What was sent does not come from the provider."""

    code = "bad_signature"


def check_signature(secret: SecretStr | None, body: bytes, told: str, algorithm: str) -> None:
    """That the body was signed with the secret. `BadSignature` if not, or if no secret is set."""
    if secret is None:
        raise BadSignature("webhooks of this provider are not set up", hint="docs/notifications.md says how.")
    expected = hmac.new(secret.get_secret_value().encode(), body, algorithm).hexdigest()
    if not hmac.compare_digest(expected.encode(), told.strip().lower().encode("utf-8", "replace")):
        raise BadSignature("the signature is not that of this body", hint="Check the secret on both sides.")


def check_meta(secret: SecretStr | None, body: bytes, told: str) -> None:
    """Meta's `X-Hub-Signature-256`."""
    check_signature(secret, body, told.removeprefix("sha256="), "sha256")


def check_waha(secret: SecretStr | None, body: bytes, told: str) -> None:
    """WAHA's `X-Webhook-Hmac`."""
    check_signature(secret, body, told, "sha512")


def report_id(body: bytes) -> str:
    """Of the job: a webhook that is repeated is the same job."""
    return f"report.{hashlib.blake2b(body, digest_size=16).hexdigest()}"


def read_meta(body: bytes, seal: Seal | None) -> ReportParams:
    """All that one call of Meta tells; what concerns nobody here is left out."""
    told = _object(body)
    statuses: list[StatusReport | None] = []
    heard: list[HeardReport | None] = []
    for value in _values(told):
        statuses += [_meta_status(each) for each in _dicts(value.get("statuses"))]
        if seal is not None:
            heard += [_meta_heard(each, seal) for each in _dicts(value.get("messages"))]
            heard += [_preference(each, seal) for each in _dicts(value.get("user_preferences"))]
    return ReportParams(
        statuses=[each for each in statuses if each is not None], heard=[each for each in heard if each is not None]
    )


def read_waha(body: bytes, seal: Seal | None) -> ReportParams:
    """One event of WAHA; what concerns nobody here is left out."""
    told = _object(body)
    payload = told.get("payload")
    if not isinstance(payload, dict):
        return ReportParams()
    if told.get("event") == "message.ack" and payload.get("ack") in _ACKS:
        status = StatusReport(
            provider="waha",
            provider_id=reference(bare_id(payload.get("id"))),
            status=_ACKS[payload["ack"]],
            at=_seconds(_milliseconds(told.get("timestamp"))),
        )
        return ReportParams(statuses=[status])
    sender = str(payload.get("from", ""))
    if told.get("event") == "message" and not payload.get("fromMe") and seal is not None and sender.endswith("@c.us"):
        heard = HeardReport(
            provider="waha",
            heard_id=reference(bare_id(payload.get("id"))),
            marks=seal.marks(f"+{sender.removesuffix('@c.us')}"),
            word=word_of(str(payload.get("body", ""))),
            at=_seconds(payload.get("timestamp")),
        )
        return ReportParams(heard=[heard])
    return ReportParams()


def word_of(text: str) -> Literal["stop", "start", "other"]:
    """`stop`, `start` or `other`: what somebody who writes to us means."""
    word = text.strip().strip(".!").casefold()
    return "stop" if word in _STOP else "start" if word in _START else "other"


def _object(body: bytes) -> dict[str, Any]:
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the body is no JSON: {error}") from None
    if not isinstance(told, dict):
        raise InvalidRequest("the body is no JSON object")
    return told


def _values(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for entry in _dicts(told.get("entry")):
        for change in _dicts(entry.get("changes")):
            value = change.get("value")
            if isinstance(value, dict):
                yield value


def _meta_status(told: dict[str, Any]) -> StatusReport | None:
    if told.get("status") not in _STATUSES or not isinstance(told.get("id"), str):
        return None
    opaque = told.get("biz_opaque_callback_data")
    errors = _dicts(told.get("errors"))
    code = errors[0].get("code") if errors else None
    return StatusReport(
        provider="meta",
        provider_id=reference(told["id"]),
        message_id=opaque if isinstance(opaque, str) and len(opaque) <= 60 else None,
        status=told["status"],
        at=_seconds(told.get("timestamp")),
        code=code if isinstance(code, int) else None,
    )


def _meta_heard(told: dict[str, Any], seal: Seal) -> HeardReport | None:
    number, heard_id = told.get("from"), told.get("id")
    if not isinstance(number, str) or not isinstance(heard_id, str):
        return None
    kind = told.get("type")
    inside: Any = told.get(str(kind))
    moved = _moved_to(inside) if kind == "system" else None
    if moved is not None:
        return HeardReport(
            provider="meta",
            heard_id=reference(heard_id),
            marks=seal.marks(f"+{number.lstrip('+')}"),
            word="moved",
            at=_seconds(told.get("timestamp")),
            sealed=seal.close(moved),
            mark=seal.mark(moved),
        )
    text = ""
    if isinstance(inside, dict):
        reply = inside.get("button_reply")
        text = str(inside.get("body") or inside.get("text") or (isinstance(reply, dict) and reply.get("title")) or "")
    return HeardReport(
        provider="meta",
        heard_id=reference(heard_id),
        marks=seal.marks(f"+{number.lstrip('+')}"),
        word=word_of(text),
        at=_seconds(told.get("timestamp")),
    )


def _moved_to(system: Any) -> str | None:
    """The new number of somebody who has changed theirs, as E.164."""
    if not isinstance(system, dict) or system.get("type") not in _MOVES:
        return None
    new = system.get("wa_id") or system.get("new_wa_id")
    return f"+{new.lstrip('+')}" if isinstance(new, str) and new.lstrip("+").isdigit() else None


def _preference(told: dict[str, Any], seal: Seal) -> HeardReport | None:
    """Meta's own switch for marketing messages."""
    number, value = told.get("wa_id"), told.get("value")
    if not isinstance(number, str) or value not in ("stop", "resume"):
        return None
    return HeardReport(
        provider="meta",
        heard_id=f"preference {told.get('timestamp')}",
        marks=seal.marks(f"+{number.lstrip('+')}"),
        word="stop" if value == "stop" else "start",
        at=_seconds(told.get("timestamp")),
    )


def _seconds(told: Any) -> datetime:
    """A Unix time; now where it is none."""
    try:
        return datetime.fromtimestamp(int(told), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.now(UTC)


def _milliseconds(told: Any) -> Any:
    return told // 1000 if isinstance(told, int) else None


def _dicts(told: Any) -> list[dict[str, Any]]:
    return [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
