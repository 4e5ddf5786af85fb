"""Handlers of `notifications:queue`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from crypto_mcp.models.notifications import Delivery
from crypto_mcp.notify.console import Console
from crypto_mcp.notify.sending import Message, Target

if TYPE_CHECKING:
    from crypto_mcp.models.notifications import Notification
    from workers.job import Job


async def send_notification(_: Job, params: Notification) -> Delivery:
    """Sends it by the owner's channel."""
    told = Message(params.notification_id, params.title, params.text, params.at)
    await Console().send(Target(""), told)
    return Delivery(notification_id=params.notification_id, state="delivered", channel="console", at=datetime.now(UTC))
