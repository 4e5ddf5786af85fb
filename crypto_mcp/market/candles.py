"""Candles with where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from crypto_mcp.errors import SourceUnavailable

if TYPE_CHECKING:
    from datetime import datetime

    from crypto_mcp.models.candles import Candles
    from crypto_mcp.models.timeframes import Timeframe


@dataclass(frozen=True, slots=True)
class MarketCandles:
    """Closed bars of one symbol.

    Attributes:
        symbol: in the exchange's spelling.
        candles: oldest first, closed ones only.
        source: who said so; `sandbox` whenever a sandbox did, whatever the settings call it.
        observed_at: the exchange's time when they were asked for, UTC.
        note: what a reader must know of them: missing bars, a shift in time. None if nothing.
        origin: the part of the note that says where they come from.
    """

    symbol: str
    candles: Candles
    source: str
    observed_at: datetime
    note: str | None = None
    origin: str | None = None


class CandleSource(Protocol):
    """An outside system that has candles."""

    async def candles(self, symbol: str, timeframe: Timeframe, bars: int, *, least: int = 1) -> MarketCandles:
        """The newest `bars` closed bars, or all there are.

        Raises:
            UnknownSymbol: it lists no such symbol (the hint has the nearest names), or does not trade it.
            NotEnoughData: it has fewer than `least`.
            SourceUnavailable: it does not answer, refuses for now, or says what cannot be. Never a made-up bar.
        """
        ...

    async def between(self, symbol: str, timeframe: Timeframe, start: int, end: int) -> MarketCandles:
        """The closed bars that begin in `[start, end)`, milliseconds since the epoch; there may be none.

        Raises:
            UnknownSymbol, SourceUnavailable: as for `candles`; a symbol that no longer trades is no error.
        """
        ...

    async def venue(self) -> str:
        """Whose market it is: bars of different venues are never mixed."""
        ...

    async def now(self) -> float:
        """Its time, seconds since the epoch; by it bars close."""
        ...

    async def symbols(self) -> list[str]:
        """Names of the symbols that trade.

        Raises:
            SourceUnavailable: as for candles.
        """
        ...

    async def close(self) -> None:
        """Closes the connections."""
        ...


def source_of(venue: str) -> str:
    """What results call a venue: every replay of a sandbox is `sandbox`."""
    return "sandbox" if venue.startswith("sandbox-") else venue


class BadSourceData(SourceUnavailable):
    """The source answered with something that cannot be; it is asked again later, never corrected."""

    code = "source_bad_data"


def bad_data(what: str, who: str = "the exchange") -> BadSourceData:
    """The error for an answer of `who` that holds `what`."""
    return BadSourceData(
        f"{who} answered with data that cannot be: {what}",
        hint="Nothing was made of it. Try again in a minute.",
        retry_after=5,
    )
