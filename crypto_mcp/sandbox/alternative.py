"""alternative.me's fear and greed index below `/alternative`, as the sandbox plays it.

Source: https://alternative.me/crypto/fear-and-greed-index/#api, as of September 2026.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crypto_mcp.sandbox.limits import Refused, WindowLimit
from crypto_mcp.sandbox.venue import TurnedAway, firewall
from crypto_mcp.sandbox.wire import DAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from crypto_mcp.sandbox.coins import Coins
    from crypto_mcp.sandbox.faults import Fault
    from crypto_mcp.sandbox.venue import Call

PATH = "/alternative/fng/"
_A_MINUTE = 60
_MOST_DAYS = 365
_CLASSES = ((25, "Extreme Fear"), (46, "Fear"), (55, "Neutral"), (76, "Greed"), (101, "Extreme Greed"))


class Alternative:
    """One route, no key."""

    def __init__(self, coins: Coins, clock: Callable[[], int]) -> None:
        self._coins = coins
        self._limit = WindowLimit(clock, _A_MINUTE, bans=False)

    def paths(self) -> Iterable[str]:
        """See `Venue`."""
        return [PATH]

    def answer(self, call: Call) -> Any:
        """See `Venue`."""
        try:
            self._limit.charge(call.address, 1)
        except Refused as refused:
            raise TurnedAway(
                429, "Too Many Requests", {"retry-after": str(refused.retry_after)}, "text/plain"
            ) from None
        text = dict(call.params).get("limit", "1")
        if not text.isdigit():
            return {"name": "Fear and Greed Index", "data": [], "metadata": {"error": "Invalid limit"}}
        days = min(int(text) or _MOST_DAYS, _MOST_DAYS)
        rows = [self._row(call.now // DAY - back) for back in range(days)]
        rows[0]["time_until_update"] = str((DAY - call.now % DAY) // 1000)
        return {"name": "Fear and Greed Index", "data": rows, "metadata": {"error": None}}

    def failure(self, fault: Fault) -> TurnedAway:
        """See `Venue`."""
        if fault.status == 403:
            return firewall()
        after = {"retry-after": str(fault.retry_after)} if fault.status == 429 else {}
        return TurnedAway(fault.status, "Error", after, "text/plain")

    def _row(self, day: int) -> dict[str, str]:
        value = self._coins.fear_and_greed(day * DAY)
        named = next(name for below, name in _CLASSES if value < below)
        return {"value": str(value), "value_classification": named, "timestamp": str(day * DAY // 1000)}
