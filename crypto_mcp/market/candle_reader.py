"""Closed bars from the nearest place that has them: what jobs ask, wherever candles are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crypto_mcp.errors import InvalidRequest, NotEnoughData

if TYPE_CHECKING:
    from datetime import datetime

    from crypto_mcp.market.candles import CandleSource, MarketCandles
    from crypto_mcp.models.timeframes import Timeframe


class CandleReader:
    """Candles by number or by time. One for a process."""

    def __init__(self, source: CandleSource) -> None:
        self._source = source

    async def newest(self, symbol: str, timeframe: Timeframe, bars: int, *, least: int = 1) -> MarketCandles:
        """The newest `bars` closed bars, or all there are.

        Raises:
            UnknownSymbol: the exchange lists no such symbol, or does not trade it.
            NotEnoughData: there are fewer than `least`.
            SourceUnavailable: the exchange is away, or says what cannot be. Never a made-up bar.
        """
        return await self._source.candles(symbol, timeframe, bars, least=least)

    async def between(self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime) -> MarketCandles:
        """The closed bars that begin from `start` on and before `end` (both with their zone), oldest first.

        Bars the exchange does not have are missing; `note` says how many and where.

        Raises:
            InvalidRequest: `end` is not later than `start`, or one of them has no zone.
            UnknownSymbol, SourceUnavailable: as for `newest`.
            NotEnoughData: there is no closed bar in that time.
        """
        if start.tzinfo is None or end.tzinfo is None:
            raise InvalidRequest("a time without its zone", hint="Give times with their zone, such as ...T00:00Z.")
        if end <= start:
            raise InvalidRequest("the end is not later than the start", hint="Swap them, or widen the range.")
        first, last = (int(time.timestamp() * 1000) for time in (start, end))
        market = await self._source.between(symbol, timeframe, first, last)
        if not len(market.candles):
            raise NotEnoughData(
                f"{symbol} has no closed bar of {timeframe} between {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M}",
                hint="Choose a time in which the symbol traded.",
            )
        return market
