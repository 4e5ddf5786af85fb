"""Binance USD-M futures: candles, tickers, offers, and what only derivatives have. Public market data, no key.

Source: https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError

from crypto_mcp.market.binance_http import funding_pool, futures_http, statistics_pool
from crypto_mcp.market.binance_market import BinanceMarket, Routes
from crypto_mcp.market.candles import bad_data
from crypto_mcp.market.provider_http import Question
from crypto_mcp.models.markets import FundingRate, MarkPrice, OpenInterest

if TYPE_CHECKING:
    from crypto_mcp.market.provider_http import Params
    from crypto_mcp.market.sharing import Sharing
    from crypto_mcp.settings import MarketSettings

USUAL_FUNDING_HOURS = 8

_MARK_KEPT, _INTEREST_KEPT, _INTERVALS_KEPT, _PAST_KEPT = 10.0, 60.0, 3600.0, 7 * 86_400.0
_DAY = 86_400_000
_FUNDING_PAGE, _MOST_FUNDINGS = 300 * _DAY, 1000
"""A page of time, which at three fundings a day is one answer; rows of an answer at most."""


def _klines_weight(limit: int) -> int:
    return next(weight for most, weight in ((99, 1), (499, 2), (1000, 5), (1500, 10)) if limit <= most)


def _depth_weight(limit: int) -> int:
    return {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}[limit]


_FUTURES = Routes(
    source="binance-futures",
    prefix="/fapi/v1",
    prices="/fapi/v2/ticker/price",
    rows_at_once=499,  # 2 weight; 1000 rows would cost 5
    klines_weight=_klines_weight,
    listing=1,
    tickers=40,
    prices_weight=2,
    book=5,
    depth_weight=_depth_weight,
    depth_limits=(5, 10, 20, 50, 100, 500, 1000),
    venue_suffix="-futures",
)


class BinanceFutures(BinanceMarket):
    """USD-M futures. Beside what is written there, every method raises `SourceUnavailable` if it does not answer."""

    def __init__(self, settings: MarketSettings, sharing: Sharing | None = None) -> None:
        super().__init__(futures_http(settings, sharing), _FUTURES)
        self._funding = funding_pool(settings)
        self._statistics = statistics_pool(settings)

    async def mark_price(self, symbol: str) -> MarkPrice:
        """Mark and index price, funding. Raises `UnknownSymbol` if there is no such contract."""
        path = "/fapi/v1/premiumIndex"
        return (await self._of_symbol(symbol, Question(path, _as_mark, {"symbol": symbol}, keep=_MARK_KEPT))).body

    async def mark_prices(self) -> dict[str, MarkPrice]:
        """The same of every contract, in one request."""
        reply = await self._http.ask(Question("/fapi/v1/premiumIndex", _as_marks, weight=10, keep=_MARK_KEPT))
        return reply.body

    async def funding_rates(self, symbol: str, count: int = 100) -> list[FundingRate]:
        """The newest `count` (at most 1,000) that were paid, oldest first. Raises `UnknownSymbol`."""
        params: Params = {"symbol": symbol, "limit": min(count, 1000)}
        question = Question("/fapi/v1/fundingRate", _as_funding, params, cost={self._funding: 1}, keep=_INTEREST_KEPT)
        return (await self._of_symbol(symbol, question)).body

    async def funding_between(self, symbol: str, start: int, end: int) -> list[FundingRate]:
        """What was paid from `start` on and before `end` (milliseconds), oldest first. Raises `UnknownSymbol`.

        Pages are the same whoever asks, and those of the past serve everybody for a week.
        """
        begins = range(start // _FUNDING_PAGE * _FUNDING_PAGE, end, _FUNDING_PAGE)
        pages = await asyncio.gather(*(self._paid_in(symbol, begin) for begin in begins))
        return [paid for page in pages for paid in page if start <= paid.at.timestamp() * 1000 < end]

    async def _paid_in(self, symbol: str, begin: int) -> list[FundingRate]:
        end, found = begin + _FUNDING_PAGE, list[FundingRate]()
        keep = _PAST_KEPT if end + _DAY < time.time() * 1000 else _INTEREST_KEPT
        while True:
            params: Params = {"symbol": symbol, "startTime": begin, "endTime": end - 1, "limit": _MOST_FUNDINGS}
            question = Question("/fapi/v1/fundingRate", _as_funding, params, cost={self._funding: 1}, keep=keep)
            page = (await self._of_symbol(symbol, question)).body
            found += page
            if len(page) < _MOST_FUNDINGS:
                return found
            begin = int(page[-1].at.timestamp() * 1000) + 1

    async def funding_hours(self) -> dict[str, int]:
        """Hours between two fundings, of contracts where that is not the usual eight."""
        question = Question("/fapi/v1/fundingInfo", _as_hours, cost={self._funding: 1}, keep=_INTERVALS_KEPT)
        return (await self._http.ask(question)).body

    async def open_interest(self, symbol: str) -> OpenInterest:
        """Contracts held at present. Raises `UnknownSymbol`."""
        question = Question("/fapi/v1/openInterest", _as_interest, {"symbol": symbol}, keep=_MARK_KEPT)
        return (await self._of_symbol(symbol, question)).body

    async def open_interest_history(self, symbol: str, period: str = "1h", count: int = 25) -> list[OpenInterest]:
        """Contracts held at the end of each `period` (5m to 1d, of the last month), oldest first.

        Empty if there is no such contract: this route says no more of it.
        """
        params: Params = {"symbol": symbol, "period": period, "limit": min(count, 500)}
        question = Question(
            "/futures/data/openInterestHist", _as_history, params, cost={self._statistics: 1}, keep=_INTEREST_KEPT
        )
        return (await self._of_symbol(symbol, question)).body


def _rate(value: Any) -> Any:
    return None if value == "" else value


def _moment(value: Any) -> Any:
    """Milliseconds; zero where a contract has ended."""
    return datetime.fromtimestamp(value / 1000, UTC) if type(value) is int and value > 0 else None


Rate = Annotated[float, Field(gt=-1, lt=1, allow_inf_nan=False)]
Moment = Annotated[datetime, BeforeValidator(_moment)]


class _Mark(BaseModel):
    symbol: str
    mark: Annotated[Decimal, Field(ge=0)] = Field(validation_alias="markPrice")
    index: Annotated[Decimal, Field(ge=0)] = Field(validation_alias="indexPrice")
    rate: Annotated[Rate | None, BeforeValidator(_rate)] = Field(None, validation_alias="lastFundingRate")
    next: Annotated[datetime | None, BeforeValidator(_moment)] = Field(None, validation_alias="nextFundingTime")
    time: Moment

    def known(self) -> MarkPrice:
        rate = self.rate if self.next is not None else None  # only perpetuals pay funding
        return MarkPrice(self.symbol, self.mark, self.index, rate, self.next, self.time)


class _Funding(BaseModel):
    symbol: str
    rate: Rate = Field(validation_alias="fundingRate")
    time: Moment = Field(validation_alias="fundingTime")


class _Hours(BaseModel):
    symbol: str
    hours: Annotated[int, Field(ge=1, le=24)] = Field(USUAL_FUNDING_HOURS, validation_alias="fundingIntervalHours")


class _Interest(BaseModel):
    symbol: str
    quantity: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(validation_alias="openInterest")
    time: Moment


class _Statistic(BaseModel):
    symbol: str
    quantity: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(validation_alias="sumOpenInterest")
    timestamp: Moment


_MARKS, _FUNDINGS = TypeAdapter(list[_Mark]), TypeAdapter(list[_Funding])
_HOURS, _HISTORY = TypeAdapter(list[_Hours]), TypeAdapter(list[_Statistic])


def _as_mark(body: Any) -> MarkPrice:
    return _as_marks([body])[body["symbol"]] if isinstance(body, dict) and "symbol" in body else _no("mark price")


def _as_marks(body: Any) -> dict[str, MarkPrice]:
    try:
        return {mark.symbol: mark.known() for mark in _MARKS.validate_python(body)}
    except ValidationError as error:
        raise bad_data(f"no mark prices ({error.error_count()} faults)") from error


def _as_funding(body: Any) -> list[FundingRate]:
    try:
        rows = _FUNDINGS.validate_python(body)
    except ValidationError as error:
        raise bad_data(f"no funding rates ({error.error_count()} faults)") from error
    return [FundingRate(row.symbol, row.rate, row.time) for row in rows]


def _as_hours(body: Any) -> dict[str, int]:
    try:
        return {row.symbol: row.hours for row in _HOURS.validate_python(body)}
    except ValidationError as error:
        raise bad_data(f"no funding intervals ({error.error_count()} faults)") from error


def _as_interest(body: Any) -> OpenInterest:
    try:
        row = _Interest.model_validate(body)
    except ValidationError as error:
        raise bad_data(f"no open interest ({error.error_count()} faults)") from error
    return OpenInterest(row.symbol, row.quantity, row.time)


def _as_history(body: Any) -> list[OpenInterest]:
    try:
        rows = _HISTORY.validate_python(body)
    except ValidationError as error:
        raise bad_data(f"no history of open interest ({error.error_count()} faults)") from error
    return [OpenInterest(row.symbol, row.quantity, row.timestamp) for row in rows]


def _no(what: str) -> Any:
    raise bad_data(f"no {what}")
