"""The ways to reach an alert's owner: the channel book, seen from alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crypto_mcp.errors import InvalidRequest
from crypto_mcp.models.alerts import ChannelChange, ChannelView

if TYPE_CHECKING:
    from workers.job import Job


async def act(job: Job, change: ChannelChange | None) -> tuple[list[ChannelView], str | None]:
    """Does what is asked, and lists the channels as they then are."""
    raise InvalidRequest("channels cannot be changed yet", hint="Messages go to the console.")


async def require(job: Job, name: str) -> None:
    """Raises if the owner has no channel of that name."""


async def warnings(job: Job, name: str | None) -> list[str]:
    """What keeps messages from arriving."""
    return []


async def masked_number(job: Job, name: str | None) -> str | None:
    """The WhatsApp number that alerts on this channel go to, masked."""
    return None
