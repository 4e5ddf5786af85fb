"""One leader among schedulers: a lock in Redis with a fencing token.

The token rises with every change of leader. What a leader writes can carry it, so that a leader that was only paused,
and does not know yet that it was replaced, can be refused.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from crypto_mcp.jobs import keys

if TYPE_CHECKING:
    from crypto_mcp.jobs.scripting import Scripts


class Leadership:
    """One scheduler's claim to lead. `ttl` seconds after a leader fell silent another takes over."""

    def __init__(self, scripts: Scripts, *, ttl: float = 6.0, name: str = "scheduler") -> None:
        self.token: int | None = None
        self._scripts = scripts
        self._ttl = ttl
        self.key = keys.leader(name)
        self._me = secrets.token_hex(8)
        self._until = 0.0

    @property
    def leading(self) -> bool:
        """Whether this scheduler leads, by its own clock: False as soon as the lock may have run out."""
        return self.token is not None and time.monotonic() < self._until

    @property
    def proof(self) -> str:
        """What the lock holds while this scheduler leads: a script that finds anything else there must not write."""
        return f"{self._me} {self.token or 0}"

    async def claim(self) -> bool:
        """Takes or renews the lock; whether this scheduler leads. Raises `StoreUnavailable`."""
        asked = time.monotonic()
        token = await self._scripts.run("lead", (self.key, f"{self.key}:token"), (self._me, int(self._ttl * 1000)))
        self.token = int(token) or None
        self._until = asked + self._ttl
        return self.leading

    async def resign(self) -> None:
        """Frees the lock at once, if it is ours."""
        if self.token is not None:
            self.token = None
            await self._scripts.run("resign", (self.key,), (self._me,))
