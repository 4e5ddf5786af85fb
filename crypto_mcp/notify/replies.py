"""What we say to somebody who wrote STOP or START: once, and only that."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

from crypto_mcp.notify.sending import Message, SendFailed

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from crypto_mcp.models.notifications import HeardReport
    from crypto_mcp.notify.channel import Channel
    from crypto_mcp.notify.channels import ChannelBook
    from crypto_mcp.notify.senders import Senders

log = structlog.get_logger(__name__)

_REMEMBERED = 7 * 86_400
"""Seconds for which Meta repeats a webhook that was not answered."""

_SAID = {
    "stop": ("You get no more alerts", "Write START to get them again."),
    "start": ("You get alerts again", "Write STOP to end them."),
}


async def confirm(senders: Senders, channels: ChannelBook, limits: Redis, channel: Channel, heard: HeardReport) -> None:
    """Confirms it. Whoever wrote has just opened the 24 hours; a confirmation that fails is not worth a second try."""
    sender = senders.whatsapp
    name = hashlib.blake2b(heard.heard_id.encode(), digest_size=12).hexdigest()
    try:
        first = await limits.set(f"notify:heard:{name}", 1, nx=True, ex=_REMEMBERED)
    except (RedisError, OSError):
        return
    if not first or sender is None:
        return
    title, text = _SAID[heard.word]
    try:
        target = channel.target(channels.seal)
        await sender.send(target, Message(f"r{name}", title, text, datetime.now(UTC)))
    except SendFailed as failed:
        log.info("confirmation not sent", sender=sender.name, code=failed.code)
