"""Who asks, for as long as a request lasts."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from crypto_mcp.access.roles import SCOPES, Role, allows
from crypto_mcp.errors import Forbidden
from crypto_mcp.models.answers import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime


class InsufficientScope(Forbidden):
    """Known, and not allowed to do this.

    Attributes:
        scope: which one is needed; empty: any at all.
        by: how the client was recognised.
    """

    def __init__(self, scope: str, by: str) -> None:
        super().__init__(
            f"this {by} may not do what needs the scope {scope}" if scope else f"this {by} has no scope known here",
            hint=f"Ask whoever keeps the {by}s for one with that scope.",
        )
        self.scope = scope
        self.by = by


@dataclass(frozen=True, slots=True)
class Identity:
    """A client that was recognised.

    Attributes:
        client: name under which its jobs, portfolios and alerts are kept.
        scopes: what it may do.
        by: how: by an API key, by an access token, by a link that was sent to it, or as the user of this machine, who
            needs none.
        key_id: of the API key.
        signing_key: public key (Ed25519) that the key's holder signs with; None: the secret that goes with the key.
        expires_at: when key or token ends; None: never.
    """

    client: str
    scopes: frozenset[str]
    by: Literal["key", "token", "link", "machine"]
    key_id: str | None = None
    expires_at: datetime | None = None
    signing_key: bytes | None = None

    @property
    def local(self) -> bool:
        """Whether it is the user of this machine."""
        return self.by == "machine"

    def may(self, scope: str) -> bool:
        """Whether it may do what needs this scope."""
        return allows(self.scopes, scope)

    def require(self, scope: str) -> None:
        """`Forbidden` unless it may do what needs this scope."""
        if not self.may(scope):
            raise InsufficientScope(scope, self.by)

    def sees(self, client: str | None) -> bool:
        """Whether it may know of what belongs to a client."""
        return (client or LOCAL) == self.client or self.may("jobs:all")


STRANGER = Identity("", frozenset(), "link")
"""Who has yet to show a link, and may do nothing."""

LOCAL_USER = Identity(LOCAL, SCOPES[Role.ADMIN], "machine")

_current: ContextVar[Identity] = ContextVar("identity", default=LOCAL_USER)


def current() -> Identity:
    """Who asks. Where no gate stands before (standard input, the command line) that is the local user."""
    return _current.get()


@contextmanager
def acting_as(identity: Identity) -> Iterator[None]:
    """Everything inside is asked by this client."""
    token = _current.set(identity)
    try:
        yield
    finally:
        _current.reset(token)
