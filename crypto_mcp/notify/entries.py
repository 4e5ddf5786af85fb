"""Notifications and messages as the ledger has them, and as their owners see them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from crypto_mcp.models.notifications import Delivery, Notification

if TYPE_CHECKING:
    from crypto_mcp.notify.channel import Channel
    from crypto_mcp.notify.sending import Sender

_RANK = {"critical": 0, "high": 1, "normal": 2}


def key_of(owner: str, notification_id: str) -> str:
    """Of a notification in the ledger."""
    return f"{owner}/{notification_id}"


def notification_of(document: dict[str, Any]) -> Notification:
    """From how it is stored."""
    return Notification.model_validate_json(document["told"])


def delivery_of(entry: dict[str, Any]) -> Delivery:
    """What became of a notification, as its owner sees it."""
    return Delivery(
        notification_id=entry["notification_id"],
        state=entry["state"],
        channel=entry.get("channel"),
        message_id=entry.get("message_id"),
        at=entry["state_at"],
        reason=entry.get("reason") if entry["state"] in ("failed", "suppressed", "queued") else None,
    )


def document_of(notification: Notification, channel: Channel | None) -> dict[str, Any]:
    """A notification that has just come, on the channel it begins with."""
    now = present_moment()
    place = {} if channel is None else {"channel_id": channel.id, "channel": channel.name}
    return place | {
        "user_id": notification.owner,
        "notification_id": notification.notification_id,
        "told": notification.model_dump_json(),
        "asked": notification.channel,
        "priority": notification.priority,
        "rank": _RANK[notification.priority],
        "at": notification.at,
        "state": "queued",
        "open": True,
        "tried": [],
        "attempts": 0,
        "turn": 0,
        "accepted_at": now,
        "state_at": now,
    }


def message_document(
    message_id: str, channel: Channel, sender: Sender, claimed: list[dict[str, Any]]
) -> dict[str, Any]:
    """A message that is about to go."""
    now = present_moment()
    return {
        "_id": message_id,
        "user_id": channel.owner,
        "channel_id": channel.id,
        "notifications": [each["_id"] for each in claimed],
        "sender": sender.name,
        "state": "sending",
        "sends": 1,
        "possible_duplicates": 0,
        "free_text": channel.free_text,
        "events": [],
        "created_at": now,
        "state_at": now,
    }


def present_moment() -> datetime:
    """Now, as MongoDB keeps it."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
