"""A channel as senders use it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from crypto_mcp.models.notifications import ChannelView
from crypto_mcp.notify.numbers import masked
from crypto_mcp.notify.sending import Target

if TYPE_CHECKING:
    from crypto_mcp.models.notifications import ChannelKind, ChannelState
    from crypto_mcp.notify.sealing import Seal


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to reach one owner.

    Attributes:
        sealed, secret: number or URL, and what signs; encrypted.
        person: who is told there, as limits know them: a mark, which names nobody.
    """

    id: str
    owner: str
    name: str
    kind: ChannelKind
    state: ChannelState
    default: bool
    person: str
    created_at: datetime
    sealed: str = ""
    secret: str = ""
    fallback: str | None = None
    window_until: datetime | None = None

    @classmethod
    def of(cls, document: dict[str, Any]) -> Channel:
        """From how it is stored."""
        return cls(
            id=document["_id"],
            owner=document["user_id"],
            name=document["name"],
            kind=document["kind"],
            state=document["state"],
            default=document["default"],
            person=next(iter(document.get("marks", ())), document["_id"]),
            created_at=document["created_at"],
            sealed=document.get("sealed", ""),
            secret=document.get("secret", ""),
            fallback=document.get("fallback"),
            window_until=document.get("window_until"),
        )

    @property
    def free_text(self) -> bool:
        """Whether the person wrote within the last 24 hours."""
        return self.window_until is not None and self.window_until > datetime.now(UTC)

    def target(self, seal: Seal | None) -> Target:
        """Where messages go, decrypted; to be forgotten once used."""
        if seal is None or not self.sealed:
            return Target("")
        return Target(seal.open(self.sealed), self.free_text, seal.open(self.secret) if self.secret else "")

    def view(self, seal: Seal | None, provider: str | None, secret: str | None = None) -> ChannelView:
        """As its owner sees it."""
        return ChannelView(
            name=self.name,
            kind=self.kind,
            state=self.state,
            default=self.default,
            address=self._shown(seal),
            provider=provider,
            fallback=self.fallback,
            window_until=self.window_until if self.free_text else None,
            created_at=self.created_at,
            secret=secret,
            next_step=_NEXT_STEPS.get(self.state),
        )

    def _shown(self, seal: Seal | None) -> str:
        address = self.target(seal).address
        if self.kind == "whatsapp":
            return masked(address)
        return urlsplit(address).hostname or "" if self.kind == "webhook" else "output of the worker"


_NEXT_STEPS = {
    "unverified": "Verify it with the six digits that were sent to the phone.",
    "stopped": "Write START from the phone.",
}
