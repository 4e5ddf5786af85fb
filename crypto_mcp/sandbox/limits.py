"""Use as a provider counts it: by window of the clock and address or key, charged before anything is checked."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crypto_mcp.sandbox.wire import MINUTE

if TYPE_CHECKING:
    from collections.abc import Callable

_GRACE = 20
"""Refused requests of one window after which an address that goes on asking is banned."""

_FIRST_BAN, _LONGEST_BAN = 2 * MINUTE, 3 * 24 * 60 * MINUTE
_LONGER_EACH_TIME = 4
_REMEMBERED = 60


class Refused(Exception):
    """Too much asked. `banned_until`: milliseconds since the epoch, None if it is only for the rest of the window."""

    def __init__(self, retry_after: float, used: int, banned_until: int | None = None) -> None:
        super().__init__()
        self.retry_after = max(1, round(retry_after))
        self.used = used
        self.banned_until = banned_until


@dataclass(slots=True)
class _Account:
    window: int = -1
    used: int = 0
    refused: int = 0
    bans: int = 0
    banned_until: int = 0


@dataclass(slots=True)
class WindowLimit:
    """One allowance. `now` is the provider's clock in milliseconds, `limit` what may be used in a window.

    Windows are `length` ms long and begin `offset` ms after multiples of it. `bans`: whether going on is punished.
    `history` has the use of the windows that had any, oldest first.
    """

    now: Callable[[], int]
    limit: int
    length: int = MINUTE
    offset: int = 0
    bans: bool = True
    history: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _accounts: dict[str, _Account] = field(default_factory=dict)

    def charge(self, account: str, weight: int) -> int:
        """Use of this window, this request included.

        Raises:
            Refused: while the window lasts, and longer once that has been ignored too often.
        """
        now = self.now()
        held = self._accounts.setdefault(account, _Account())
        if now < held.banned_until:
            raise self._ban(held, now)
        into = (now - self.offset) % self.length
        window = now - into
        if held.window != window:
            held.window, held.used, held.refused = window, 0, 0
        held.used += weight
        if held.used <= self.limit:
            self._remember(window, weight)
            return held.used
        held.refused += 1
        if self.bans and held.refused > _GRACE:
            held.banned_until = now + min(_FIRST_BAN * _LONGER_EACH_TIME**held.bans, _LONGEST_BAN)
            held.bans += 1
            raise self._ban(held, now)
        raise Refused((self.length - into) / 1000, held.used)

    def _remember(self, window: int, weight: int) -> None:
        if self.history and self.history[-1][0] == window:
            weight += self.history.pop()[1]
        self.history.append((window, weight))

    def _ban(self, held: _Account, now: int) -> Refused:
        return Refused((held.banned_until - now) / 1000, held.used, held.banned_until)
