"""What senders have in common: a message, what becomes of it, and what a refusal means."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from datetime import datetime


def reference(provider_id: str) -> str:
    """A provider's id of a message as it is kept: hashed, for WhatsApp's have the recipient's number inside."""
    return hashlib.blake2b(provider_id.encode(), digest_size=16).hexdigest()


class Meaning(StrEnum):
    """What a refusal, or no answer, means for the message, its channel and its sender."""

    RETRY = "retry"
    """The provider is away or busy: later again."""
    UNKNOWN = "unknown"
    """It may have been taken: later again, and that may be a duplicate."""
    PAIR = "pair"
    """Too many to this person: only they wait."""
    SLOW = "slow"
    """Too many from this number within a second."""
    PAUSE = "pause"
    """Too many calls of the account: all wait for minutes."""
    OPERATOR = "operator"
    """Token, permission, account or payment: nothing goes until somebody sees to it."""
    TEMPLATE = "template"
    """The 24 hours are over: only a template goes."""
    OPT_OUT = "opt_out"
    """The person does not want to hear."""
    FINAL = "final"
    """This message will never arrive on this channel."""


class SendFailed(Exception):
    """A sender could not send. `code` is the provider's; the message names no number and no text."""

    def __init__(self, meaning: Meaning, code: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"{message} [{code}]")
        self.meaning = meaning
        self.code = code
        self.message = message
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent, once written.

    Attributes:
        message_id: ours; goes with it where the provider takes such a thing, and comes back with its states.
        title: one line.
        text: the rest; may have many lines.
        at: when what it tells happened.
        kind: `code` for a code that proves who has a phone; it is the text.
        data: for machines: what a webhook gets.
    """

    message_id: str
    title: str
    text: str
    at: datetime
    kind: Literal["alert", "code"] = "alert"
    data: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message goes.

    Attributes:
        address: number in E.164, or URL.
        free_text: whether the person wrote within the last 24 hours, so that anything may be sent.
        secret: signs what a webhook gets.
    """

    address: str = field(repr=False)
    free_text: bool = False
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Sent:
    """A provider has taken a message.

    Attributes:
        provider_id: its id there, as a `reference`.
        called: what the provider calls the number, digits only, where that differs from ours.
        delivered: whether taking it is having it: a webhook, the console.
    """

    provider_id: str
    called: str = ""
    delivered: bool = False


class Sender(Protocol):
    """A provider. `name` is the one limits, logs and metrics use."""

    name: str

    async def send(self, target: Target, message: Message) -> Sent:
        """Hands a message over. Raises `SendFailed`."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...
