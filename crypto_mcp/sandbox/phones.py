"""The phones of the sandbox: who got which message, whether they saw it, and what they answered.

Providers (Meta, WAHA) hand messages in and are told what becomes of them; a page shows the phones to people.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Status = Literal["sent", "delivered", "read", "failed"]
Report = "Callable[[Carried, Status], Awaitable[None]]"

WINDOW = 24 * 3_600_000
_KEPT = 500


@dataclass(slots=True, eq=False)
class Carried:
    """A message on its way to a phone, or one from it. `at` is milliseconds since the epoch."""

    id: str
    number: str
    text: str
    at: int
    provider: str
    incoming: bool = False
    template: str | None = None
    opaque: str | None = None
    button: str | None = None
    status: Status | Literal["accepted"] = "accepted"
    error: int | None = None

    def shown(self) -> dict[str, object]:
        """As the page wants it."""
        return {
            "id": self.id, "text": self.text, "at": self.at, "incoming": self.incoming, "status": self.status,
            "template": self.template, "button": self.button, "error": self.error, "provider": self.provider,
        }  # fmt: skip


@dataclass(slots=True, eq=False)
class Phone:
    """One number, digits only.

    Attributes:
        on_whatsapp: whether the number has WhatsApp at all.
        online: a phone that is off gets what was sent when it is on again.
        wrote_at: when its owner last wrote to the business.
    """

    number: str
    on_whatsapp: bool = True
    online: bool = True
    wrote_at: int | None = None
    messages: list[Carried] = field(default_factory=list)

    def window_open(self, now: int) -> bool:
        """Whether the business may write what it likes."""
        return self.wrote_at is not None and now - self.wrote_at < WINDOW


class Phones:
    """All of them. A number that nobody knew is a phone as soon as it is written to."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self._phones: dict[str, Phone] = {}
        self._reports: dict[str, Callable[[Carried, Status], Awaitable[None]]] = {}
        self._heard: dict[str, Callable[[Carried], Awaitable[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def connect(
        self, provider: str, report: Callable[[Carried, Status], Awaitable[None]],
        heard: Callable[[Carried], Awaitable[None]],
    ) -> None:  # fmt: skip
        """A provider, which is told of states and of what people write."""
        self._reports[provider], self._heard[provider] = report, heard

    def phone(self, number: str) -> Phone:
        """The phone of a number."""
        return self._phones.setdefault(number, Phone(number))

    def all(self) -> list[Phone]:
        """The one with the newest message first."""
        return sorted(self._phones.values(), key=lambda each: -(each.messages[-1].at if each.messages else 0))

    def take(self, message: Carried, *, failing: int | None = None) -> None:
        """A message that a provider has accepted goes on its way; `failing`: it ends with this error instead."""
        phone = self.phone(message.number)
        phone.messages.append(message)
        del phone.messages[:-_KEPT]
        self._later(self._travel(phone, message, failing))

    def switch(self, number: str, *, online: bool | None = None, on_whatsapp: bool | None = None) -> Phone:
        """A phone goes on or off, or gets or loses WhatsApp."""
        phone = self.phone(number)
        if on_whatsapp is not None:
            phone.on_whatsapp = on_whatsapp
        if online is not None:
            phone.online = online
            for message in phone.messages if online else ():
                if message.status == "sent":
                    self._later(self._reach(message, "delivered"))
        return phone

    def seen(self, number: str) -> None:
        """Its owner looks at the phone: all that arrived is read."""
        for message in self.phone(number).messages:
            if message.status == "delivered" and not message.incoming:
                message.status = "read"
                self._later(self._reports[message.provider](message, "read"))

    def write(self, number: str, text: str) -> Carried:
        """Its owner writes to the business, by whoever carried the newest message to them."""
        phone, now = self.phone(number), self.clock()
        provider = next((each.provider for each in reversed(phone.messages)), next(iter(self._heard)))
        message = Carried(f"in{now}{len(phone.messages)}", number, text, now, provider, incoming=True, status="read")
        phone.messages.append(message)
        phone.wrote_at = now
        self._later(self._heard[provider](message))
        return message

    async def _travel(self, phone: Phone, message: Carried, failing: int | None) -> None:
        await asyncio.sleep(0.02)
        if failing is not None:
            message.error = failing
            await self._reach(message, "failed")
            return
        await self._reach(message, "sent")
        await asyncio.sleep(0.05)
        if phone.online:
            await self._reach(message, "delivered")

    async def _reach(self, message: Carried, status: Status) -> None:
        message.status = status
        await self._reports[message.provider](message, status)

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
