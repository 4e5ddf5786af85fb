"""What is told to people: the message, the channels it goes by, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, ConfigDict, Field, HttpUrl

from crypto_mcp.models.answers import Contract
from crypto_mcp.models.privacy import PRIVATE

Priority = Literal["normal", "high", "critical"]
ChannelKind = Literal["whatsapp", "webhook", "console"]
ChannelState = Literal["unverified", "active", "stopped"]

ChannelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
"""A name its owner gives."""

Short = Annotated[str, Field(max_length=200)]


class Notification(Contract):
    """One thing to tell one person. The same `notification_id` again is the same notification: it is sent once."""

    model_config = ConfigDict(frozen=True)

    notification_id: str = Field(
        pattern=r"^[A-Za-z0-9_.-]{1,50}$", description="Made from what it tells, such as an alert's id and firing."
    )
    owner: str = Field(min_length=1, max_length=100, description="The client whose channels it goes by.")
    channel: ChannelName | None = Field(None, description="Default: the owner's default channel.")
    priority: Priority = Field("normal", description="`critical` waits for nothing and is never digested.")
    title: Annotated[str, PRIVATE] = Field(min_length=1, max_length=200, description="One line.")
    text: Annotated[str, PRIVATE] = Field(
        "", max_length=3000, description="What happened, for people; says so itself where it is late."
    )
    symbol: str | None = Field(None, max_length=50, description="Which symbol it is about.")
    at: AwareDatetime = Field(description="When it happened.")
    late_by_s: float | None = Field(None, ge=0, description="Seconds between then and its being noticed, if late.")
    about: str = Field(
        "", max_length=100, description="What raised it, such as `alert alert_001`; only names of things, for logs."
    )
    fields: Annotated[dict[Short, Short], PRIVATE] = Field(
        {}, max_length=20, description="Figures by name, for machines: webhooks get them."
    )
    chart: HttpUrl | None = Field(None, description="A picture of it.")

    @property
    def job_id(self) -> str:
        """Of the job that sends it: submitted twice it is one job."""
        return f"notify.{self.notification_id}"


DeliveryState = Literal["queued", "sending", "sent", "delivered", "read", "failed", "suppressed"]
"""`suppressed`: the owner has stopped the channel."""


class Delivery(Contract):
    """What became of a notification."""

    notification_id: str
    state: DeliveryState
    channel: str | None = Field(None, description="By which it went.")
    message_id: str | None = Field(None, description="Of the message that carries it.")
    at: datetime = Field(description="When it came into this state.")
    reason: str | None = Field(None, description="Code of what kept it from arriving.")


Provider = Literal["meta", "waha"]


class StatusReport(Contract):
    """A provider tells how far a message came."""

    provider: Provider
    provider_id: str = Field(max_length=300)
    message_id: str | None = Field(None, max_length=60, description="Ours, where the provider gives it back.")
    status: Literal["sent", "delivered", "read", "failed"]
    at: AwareDatetime
    code: int | None = Field(None, description="Of what kept it from arriving.")


class HeardReport(Contract):
    """Somebody wrote to us. Who, is told by marks of the number; what, only as far as it concerns us."""

    provider: Provider
    heard_id: str = Field(max_length=300)
    marks: list[str] = Field(max_length=20)
    word: Literal["stop", "start", "moved", "other"]
    at: AwareDatetime
    sealed: str | None = Field(None, description="The number somebody has `moved` to, encrypted.")
    mark: str | None = Field(None, description="The mark of that number.")


class ReportParams(Contract):
    """What a provider's webhook told."""

    statuses: list[StatusReport] = Field([], description="How far messages came.")
    heard: list[HeardReport] = Field([], description="What people wrote.")


class ReportResult(Contract):
    """What it changed."""

    applied: int = Field(description="States that were news, and people who were heard.")
    unknown: int = Field(description="States of messages that are not ours.")


class ChannelView(Contract):
    """A way to reach an owner, as the owner sees it."""

    name: str
    kind: ChannelKind
    state: ChannelState = Field(description="`stopped` by a STOP from the phone, until a START.")
    default: bool = Field(description="Whether it is used where none is named.")
    address: str = Field(description="Masked number, or host of the URL.")
    provider: str | None = Field(None, description="Of WhatsApp: meta or waha; `sandbox` reaches nobody.")
    fallback: str | None = Field(None, description="Channel that is used when this one fails for good.")
    window_until: datetime | None = Field(
        None, description="Free text is allowed until then, 24 h after the newest message from the phone."
    )
    created_at: datetime
    secret: Annotated[str | None, PRIVATE] = Field(
        None, description="Signs what the webhook gets; told once, when it is made."
    )
    next_step: str | None = Field(None, description="What is to be done before it is used.")
