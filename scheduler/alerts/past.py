"""Bars that closed before somebody looked."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from crypto_mcp.errors import CryptoMcpError, NotEnoughData
from crypto_mcp.market.live import ClosedBar
from scheduler.alerts.jobs import moment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crypto_mcp.market.candle_reader import CandleReader
    from crypto_mcp.models.timeframes import Timeframe

_FARTHEST = timedelta(days=30)


class PastBars:
    """From the archive, else from the exchange, whose clock is `clock` (seconds)."""

    def __init__(self, candles: CandleReader, clock: Callable[[], Awaitable[float]]) -> None:
        self._candles = candles
        self._clock = clock

    async def now(self) -> int:
        """Now, in ms; by our own clock where the exchange is away."""
        try:
            return int(await self._clock() * 1000)
        except CryptoMcpError:
            return int(time.time() * 1000)

    async def bars(self, symbol: str, timeframe: Timeframe, first: int, last: int) -> list[ClosedBar]:
        """Closed bars by their open times (ms), both included; a bar that there never was is missing.

        Raises what the sources raise.
        """
        begin, end = moment(first), moment(last + timeframe.milliseconds)
        begin = max(begin, end - _FARTHEST)
        try:
            found = await self._candles.between(symbol, timeframe, begin, end)
        except NotEnoughData:
            return []
        return ClosedBar.each_of(symbol, timeframe, found.candles, found.source)
