"""Bars that the streams did not bring are asked for: after a reconnect, a lost last event, a takeover."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from crypto_mcp.errors import CryptoMcpError, NotEnoughData, UnknownSymbol
from crypto_mcp.market.allowance.asking import Priority, asking_as
from crypto_mcp.market.binance_klines import SETTLES_IN
from crypto_mcp.market.live import ClosedBar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from crypto_mcp.market.binance import BinanceSpot
    from crypto_mcp.market.candles import MarketCandles
    from crypto_mcp.models.candles import Candles
    from scheduler.feed.series import Series

log = structlog.get_logger(__name__)

_AT_ONCE = 6
_ROWS_AT_ONCE = 999
_LONGEST_GAP = 10_000
"""Bars; older ones are left to whoever reads the archive, which asks for what it has not."""

_UNKNOWN_PAUSE = 3600.0
_MARGIN = 2
"""Bars asked for beyond those that miss: more may have closed by the time the exchange answers."""

_PATIENCE = 90.0
"""Seconds a request may wait for its share of the exchange's limit."""


class Filler:
    """Asks for what series miss, a few at a time. `hand_on` gets bars in order, `now` is the exchange's time in ms."""

    def __init__(
        self, market: BinanceSpot, hand_on: Callable[[Series, list[ClosedBar]], None], now: Callable[[], int]
    ) -> None:
        self._market = market
        self._hand_on = hand_on
        self._now = now
        self._wanted: asyncio.Queue[Series] = asyncio.Queue()

    def want(self, series: Iterable[Series]) -> None:
        """These miss something. One that is being asked for, or was in vain a moment ago, is not asked for again."""
        clock = time.monotonic()
        for each in series:
            if not each.filling and clock >= each.ask_after:
                each.filling = True
                self._wanted.put_nowait(each)

    async def run(self) -> None:
        """Until cancelled. People who wait come first, the filling of the archive last."""
        with asking_as(Priority.SCAN, patience=_PATIENCE):
            await self._run()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            series = await self._wanted.get()
            before = series.last
            pause = 0.0
            try:
                bars, known_until = await self._ask(series)
            except UnknownSymbol as error:
                log.warning("a watched symbol does not trade", symbol=series.symbol, error=error.message)
                bars, known_until, pause = [], 0, _UNKNOWN_PAUSE
            except CryptoMcpError as error:
                log.warning("missing bars could not be read", series=series.name, error=error.message)
                series.filling, series.ask_after = False, time.monotonic() + (error.retry_after or 5.0)
                continue
            if series.last != before:  # Redis said meanwhile that it has others: asked again by what it has
                series.filling = False
                continue
            self._hand_on(series, series.filled(bars, known_until))
            series.told(time.monotonic() + pause, news=bool(bars))

    async def _ask(self, series: Series) -> tuple[list[ClosedBar], int]:
        """The bars after the last one that have closed (of a series that has none yet the newest one), and until when
        (ms) no others had.
        """
        now = self._now()
        self._market.heed(now / 1000)
        missing = series.missing(now)
        if series.last is not None and not missing:
            return [], 0
        if missing > _LONGEST_GAP:
            log.warning("a gap is too long for the feed: the archive is filled when it is read", series=series.name)
        margin = 0 if series.last is None else _MARGIN
        market = await self._newest(series, min(missing + margin, _ROWS_AT_ONCE))
        if market is None:
            return [], 0
        known_until = int((market.observed_at.timestamp() - SETTLES_IN) * 1000)
        if missing <= _LONGEST_GAP and series.last is not None and _leaves_out(market.candles, series.last):
            start = series.last + series.timeframe.milliseconds
            market = await self._market.between(series.symbol, series.timeframe, start, known_until)
        return ClosedBar.each_of(series.symbol, series.timeframe, market.candles, market.source), known_until

    async def _newest(self, series: Series, count: int) -> MarketCandles | None:
        """The newest bars, in one cheap request; None if the symbol has none yet."""
        try:
            return await self._market.candles(series.symbol, series.timeframe, count)
        except NotEnoughData:
            return None


def _leaves_out(candles: Candles, last: int) -> bool:
    """Whether bars after `last` may lie before those of the answer: more had closed by then than was asked for."""
    return int(candles.open_time[0]) > last + candles.step
