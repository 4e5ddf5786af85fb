"""The exchange's time: which bars are closed is decided by its clock, not by ours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from crypto_mcp.market.candles import bad_data
from crypto_mcp.market.single_flight import SingleFlight

if TYPE_CHECKING:
    from crypto_mcp.market.binance_http import BinanceHttp

_TRUSTED_FOR = 600.0
_SAMPLES = 2
_JUMP = 0.5
"""Seconds by which this machine's two clocks may part before the exchange is asked again: it slept, or was set."""


class ExchangeClock:
    """Local clock plus an offset that is measured every ten minutes (`/api/v3/time`, weight 1)."""

    def __init__(self, http: BinanceHttp) -> None:
        self._http = http
        self._ahead = 0.0
        self._measured_at: float | None = None
        self._wall_over_monotonic = 0.0
        self._measure = SingleFlight(self._measured)

    async def now(self) -> float:
        """Seconds since the epoch, as the exchange counts them."""
        if not self._trusted():
            await self._measure()
        return time.monotonic() + self._ahead

    def _trusted(self) -> bool:
        if self._measured_at is None or time.monotonic() - self._measured_at > _TRUSTED_FOR:
            return False
        return abs(time.time() - time.monotonic() - self._wall_over_monotonic) < _JUMP

    async def _measured(self) -> None:
        """The quicker of two answers counts: the first often carries the making of the connection."""
        samples = []
        for _ in range(_SAMPLES):
            reply = await self._http.get("/api/v3/time")
            server = reply.body.get("serverTime") if isinstance(reply.body, dict) else None
            if type(server) is not int:
                raise bad_data("no server time")
            samples.append((reply.seconds, server / 1000 + reply.seconds / 2 - time.monotonic()))
        self._ahead = min(samples)[1]
        self._measured_at = time.monotonic()
        self._wall_over_monotonic = time.time() - time.monotonic()
