"""The exchange's time: which bars are closed is decided by its clock, not by ours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import structlog

from crypto_mcp.errors import SourceUnavailable
from crypto_mcp.market.candles import bad_data
from crypto_mcp.market.provider_http import Question
from crypto_mcp.market.single_flight import SingleFlight

if TYPE_CHECKING:
    from crypto_mcp.market.provider_http import ProviderHttp

log = structlog.get_logger(__name__)

_TRUSTED_FOR = 600.0
_STANDS_IN_FOR = 6 * 3600.0
"""Seconds for which a measured offset serves while the exchange is away: clocks drift by less than a second in them."""

_SAMPLES = 2
_JUMP = 0.5
"""Seconds by which this machine's two clocks may part before the exchange is asked again: it slept, or was set."""

_WORTH_A_WARNING = 1.0


class ExchangeClock:
    """Local clock plus an offset that is measured every ten minutes (`path`, weight 1)."""

    def __init__(self, http: ProviderHttp, path: str = "/api/v3/time") -> None:
        self._http = http
        self._path = path
        self._ahead = 0.0
        self._measured_at: float | None = None
        self._wall_over_monotonic = 0.0
        self._measure = SingleFlight(self._measured)

    async def now(self) -> float:
        """Seconds since the epoch, as the exchange counts them.

        Raises:
            SourceUnavailable: the exchange is away, and was not asked within six hours.
        """
        if not self._trusted(_TRUSTED_FOR):
            try:
                await self._measure()
            except SourceUnavailable:
                if not self._trusted(_STANDS_IN_FOR):
                    raise
        return time.monotonic() + self._ahead

    @property
    def skew(self) -> float | None:
        """Seconds this machine's clock is behind the exchange's; None before it was measured."""
        return None if self._measured_at is None else self._ahead - self._wall_over_monotonic

    def heed(self, heard: float) -> None:
        """The exchange said at what time (seconds since the epoch) it spoke; if that is yet to come, we are wrong."""
        if heard > time.monotonic() + self._ahead + _JUMP:
            self._measured_at = None

    def _trusted(self, seconds: float) -> bool:
        if self._measured_at is None or time.monotonic() - self._measured_at > seconds:
            return False
        return abs(time.time() - time.monotonic() - self._wall_over_monotonic) < _JUMP

    async def _measured(self) -> None:
        """The quicker of two answers counts: the first often carries the making of the connection."""
        samples = []
        for _ in range(_SAMPLES):
            reply = await self._http.ask(Question(self._path, _server_time, first=True))
            samples.append((reply.seconds, reply.body / 1000 + reply.seconds / 2 - time.monotonic()))
        self._ahead = min(samples)[1]
        self._measured_at = time.monotonic()
        self._wall_over_monotonic = time.time() - time.monotonic()
        await self._http.learn_time((time.monotonic() + self._ahead) * 1000)
        if abs(self.skew or 0.0) > _WORTH_A_WARNING:
            log.warning("this machine's clock is off", seconds=round(self.skew or 0.0, 2), of=self._http.provider.name)


def _server_time(body: Any) -> int:
    server = body.get("serverTime") if isinstance(body, dict) else None
    if type(server) is not int:
        raise bad_data("no server time")
    return server
