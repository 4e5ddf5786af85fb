"""Request weight as the exchange counts it: by clock minute and address, charged before anything is checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crypto_mcp.sandbox.wire import BANNED, MINUTE, TOO_MUCH_WEIGHT, WireError

if TYPE_CHECKING:
    from collections.abc import Callable

_GRACE = 20
"""Refused requests of one minute after which an address that goes on asking is banned."""

_FIRST_BAN, _LONGEST_BAN = 2 * MINUTE, 3 * 24 * 60 * MINUTE
_LONGER_EACH_TIME = 4


@dataclass(slots=True)
class _Account:
    minute: int = -1
    used: int = 0
    refused: int = 0
    bans: int = 0
    banned_until: int = 0


@dataclass(slots=True)
class WeightLimit:
    """The limit of one exchange. `now` is its clock in milliseconds, `limit` the weight of a minute."""

    now: Callable[[], int]
    limit: int
    _accounts: dict[str, _Account] = field(default_factory=dict)

    def charge(self, address: str, weight: int) -> int:
        """Weight used in this minute, this request included.

        Raises:
            Refused: 429 while the minute lasts, 418 once the address has ignored that too often.
        """
        now = self.now()
        account = self._accounts.setdefault(address, _Account())
        if now < account.banned_until:
            raise self._ban(account, now)
        if account.minute != now // MINUTE:
            account.minute, account.used, account.refused = now // MINUTE, 0, 0
        account.used += weight
        if account.used <= self.limit:
            return account.used
        account.refused += 1
        if account.refused > _GRACE:
            account.banned_until = now + min(_FIRST_BAN * _LONGER_EACH_TIME**account.bans, _LONGEST_BAN)
            account.bans += 1
            raise self._ban(account, now)
        raise Refused(429, TOO_MUCH_WEIGHT.format(limit=self.limit), (MINUTE - now % MINUTE) / 1000, account.used)

    def _ban(self, account: _Account, now: int) -> Refused:
        until = account.banned_until
        return Refused(418, BANNED.format(until=until), (until - now) / 1000, account.used)


class Refused(Exception):
    """Too much asked: the status, the message, seconds to keep away, the weight used."""

    def __init__(self, status: int, message: str, retry_after: float, used: int) -> None:
        super().__init__(message)
        self.error = WireError(status, -1003, message)
        self.retry_after = max(1, round(retry_after))
        self.used = used
