"""The ways to reach an alert's owner: the channel book, seen from alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crypto_mcp.errors import InvalidRequest
from crypto_mcp.notify.channels import UnknownChannel

if TYPE_CHECKING:
    from crypto_mcp.models.alerts import ChannelChange
    from crypto_mcp.models.notifications import ChannelView
    from workers.job import Job


async def act(job: Job, change: ChannelChange | None) -> tuple[list[ChannelView], str | None]:
    """Does what is asked; the channel it was done to, or all of them, and what is to be done next."""
    book, owner = job.services.channels, job.client
    if change is None or change.do == "list":
        return await book.list(owner), None
    if change.do == "add":
        kind = change.kind or ("webhook" if "://" in (change.address or "") else "whatsapp")
        number, url = (change.address, None) if kind == "whatsapp" else (None, change.address)
        added = await book.add(owner, kind, name=change.name, number=number, url=url, fallback=change.fallback)
        if change.default:
            await book.make_default(owner, added.name)
        return [added], "Give the six digits that were sent to `verify`." if added.state == "unverified" else None
    if change.name is None:
        raise InvalidRequest(f"channels: {change.do} needs a name", hint="`{do: list}` has the names.")
    if change.do == "remove":
        await book.remove(owner, change.name)
        return await book.list(owner), None
    if change.do == "default":
        return [await book.make_default(owner, change.name)], None
    return [await book.verify(owner, change.name, change.code)], None


async def require(job: Job, name: str) -> None:
    """Raises if the owner has no channel of that name."""
    if await job.services.channels.find(job.client, name) is None:
        raise UnknownChannel(
            f"you have no channel {name!r}", hint="Action `channels` lists yours; `{do: add, ...}` makes one."
        )


async def warnings(job: Job, name: str | None) -> list[str]:
    """What keeps messages from arriving."""
    found = await job.services.channels.find(job.client, name)
    if found is None:
        return ["You have no channel: nothing reaches you before action `channels` has added one."]
    if found.state != "active":
        return [f"Your channel {found.name} is {found.state}: nothing reaches you by it."]
    return []


async def masked_number(job: Job, name: str | None) -> str | None:
    """The WhatsApp number that alerts on this channel go to, masked."""
    listed = await job.services.channels.list(job.client)
    chosen = [each for each in listed if (each.name == name if name else each.default)]
    return next((each.address for each in chosen if each.kind == "whatsapp"), None)
