"""Which bars there are at a time: where they begin, and which have closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crypto_mcp.market.binance_klines import SETTLES_IN
from crypto_mcp.market.coverage import Span
from crypto_mcp.models.timeframes import Timeframe

if TYPE_CHECKING:
    from crypto_mcp.models.candles import Candles, Ints

_MONDAY = 4 * 86_400_000
"""The first Monday since the epoch, in milliseconds: weeks begin there."""


def newest_close(timeframe: Timeframe, now: float) -> int:
    """When the last bar that has closed and settled at `now` (seconds) closed, milliseconds."""
    step, origin = timeframe.milliseconds, _origin(timeframe)
    return int((now - SETTLES_IN) * 1000 - origin) // step * step + origin


def closed_bars(span: Span, timeframe: Timeframe, now: float) -> Span:
    """From where the first bar begins that begins in the span, to where the last closes that has closed at `now`."""
    step, origin = timeframe.milliseconds, _origin(timeframe)
    start, end = (-((origin - time) // step) * step + origin for time in span)
    return Span(start, max(start, min(end, newest_close(timeframe, now))))


def opens(times: Ints, timeframe: Timeframe) -> Ints:
    """When the bars begin that these times (milliseconds) lie in."""
    step, origin = timeframe.milliseconds, _origin(timeframe)
    began: Ints = (times - origin) // step * step + origin
    return began


def up_to_date(candles: Candles, timeframe: Timeframe, now: float) -> bool:
    """Whether no bar has closed since."""
    return len(candles) > 0 and int(candles.close_time[-1]) >= newest_close(timeframe, now)


def _origin(timeframe: Timeframe) -> int:
    return _MONDAY if timeframe is Timeframe.W1 else 0
