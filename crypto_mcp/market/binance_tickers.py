"""The last 24 hours of every pair, in one request for the whole market."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AliasChoices, BaseModel, Field, TypeAdapter, ValidationError

from crypto_mcp.market.candles import bad_data
from crypto_mcp.market.provider_http import Question
from crypto_mcp.market.single_flight import SingleFlight
from crypto_mcp.models.markets import Ticker24h

if TYPE_CHECKING:
    from crypto_mcp.market.binance_market import Routes
    from crypto_mcp.market.provider_http import ProviderHttp

GOOD_FOR = 10.0
"""Seconds a reading of the market may be old: half of them in Redis, half in the process that read it there."""

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Tickers:
    """24 hours of all pairs, kept for ten seconds; callers of all processes share one request."""

    def __init__(self, http: ProviderHttp, path: str, routes: Routes) -> None:
        self._http = http
        self._path = path
        self._routes = routes
        self._tickers: list[Ticker24h] = []
        self._until = 0.0
        self._fetch = SingleFlight(self._fetched)

    async def all(self) -> list[Ticker24h]:
        """Every pair that has traded, in the exchange's order; pairs that do not trade at present are among them.

        Raises:
            SourceUnavailable: the exchange does not answer, or refuses for now.
        """
        if time.monotonic() >= self._until:
            await self._fetch()
        return self._tickers

    async def _fetched(self) -> None:
        question = Question(
            self._path, _as_rows, self._routes.ticker_params, weight=self._routes.tickers, keep=GOOD_FOR / 2
        )
        reply = await self._http.ask(question)
        self._tickers = _as_tickers(reply.body, source="sandbox" if reply.sandbox else self._routes.source)
        self._until = time.monotonic() + GOOD_FOR / 2


class _Row(BaseModel):
    """FULL and MINI rows alike; what they have in common is all that is read."""

    symbol: str
    last: Decimal = Field(ge=0, validation_alias="lastPrice")
    open: Amount = Field(validation_alias="openPrice")
    high: Amount = Field(validation_alias="highPrice")
    low: Amount = Field(validation_alias="lowPrice")
    volume: Amount
    quote_volume: Amount = Field(validation_alias=AliasChoices("quoteVolume", "quote_volume"))
    trades: int = Field(validation_alias="count")
    closed: int = Field(validation_alias="closeTime")


_ROWS = TypeAdapter(list[_Row])


def _as_rows(body: Any) -> list[_Row]:
    try:
        rows = _ROWS.validate_python(body)
    except ValidationError as error:
        raise bad_data(f"no list of tickers ({error.error_count()} faults)") from error
    if any(row.high < row.low for row in rows):
        raise bad_data("a ticker with its high below its low")
    return rows


def _as_tickers(rows: list[_Row], *, source: str) -> list[Ticker24h]:
    """Rows of an answer without those that never traded."""
    return [
        Ticker24h(
            symbol=row.symbol,
            last=row.last,
            open=row.open,
            high=row.high,
            low=row.low,
            volume=row.volume,
            quote_volume=row.quote_volume,
            trades=row.trades,
            at=datetime.fromtimestamp(row.closed / 1000, UTC),
            source=source,
        )
        for row in rows
        if row.last > 0
    ]
