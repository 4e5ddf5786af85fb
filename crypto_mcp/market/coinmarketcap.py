"""CoinMarketCap: coins by market cap, the whole market, fear and greed. With a key, or through its keyless door.

Source: https://coinmarketcap.com/api/documentation.
"""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from crypto_mcp.errors import SourceUnavailable
from crypto_mcp.market.allowance.pool import Pool
from crypto_mcp.market.candles import bad_data
from crypto_mcp.market.provider_http import Provider, ProviderHttp, Question
from crypto_mcp.market.refusals import Passing, SourceForbidden, SourceRefuses, Stop, retry_after
from crypto_mcp.models.coins import Coin, FearGreed, GlobalMarket

if TYPE_CHECKING:
    import httpx2

    from crypto_mcp.market.refusals import Judgement
    from crypto_mcp.market.sharing import Sharing
    from crypto_mcp.settings import MarketSettings

NAME = "coinmarketcap"

_A_MINUTE = 30
_CREDITS_A_DAY = 15_000 // 31
"""The free plan has about 15,000 a month: spent by the day."""

_ROWS_A_CREDIT = 200
_LISTINGS, _OLD_LISTINGS = "/v3/cryptocurrency/listings/latest", "/v1/cryptocurrency/listings/latest"
_LISTINGS_KEPT, _GLOBAL_KEPT, _FEAR_KEPT = 120.0, 300.0, 900.0
_PAUSE_WITH_A_WRONG_KEY = 300.0
_PLAN_LACKS_IT = 1006
_MINUTE_LIMITS, _DAY_LIMIT, _MONTH_LIMIT = (1008, 1011), 1009, 1010


class CoinMarketCap:
    """One for a process. Every method raises `SourceUnavailable` if it does not answer or refuses for now."""

    def __init__(self, settings: MarketSettings, sharing: Sharing | None = None) -> None:
        key = settings.coinmarketcap_key.get_secret_value() if settings.coinmarketcap_key else ""
        account = hashlib.sha256(key.encode()).hexdigest()[:8] if key else "address"
        url = settings.coinmarketcap_url if key else f"{settings.coinmarketcap_url}/public-api"
        self._keyless = not key
        self._minute = Pool(f"{NAME}@{account}", _A_MINUTE, halved=True)
        self._day = Pool(f"{NAME}-day@{account}", _CREDITS_A_DAY, seconds=86_400, guard=0)
        headers = {"X-CMC_PRO_API_KEY": key} if key else {}
        self._http = ProviderHttp(Provider(NAME, url, (self._minute,), judge, headers), settings, sharing)

    async def coins(self, count: int = _ROWS_A_CREDIT) -> list[Coin]:
        """The largest `count` (at most 5,000) by market cap."""
        try:
            return await self._listings(_LISTINGS, count)
        except SourceRefuses as error:
            if error.provider_code not in (_PLAN_LACKS_IT, HTTPStatus.NOT_FOUND) or self._keyless:
                raise
            return await self._listings(_OLD_LISTINGS, count)

    async def whole_market(self) -> GlobalMarket:
        """Market cap and volume of all coins, shares of the largest."""
        question = Question("/v1/global-metrics/quotes/latest", _as_global, cost=self._cost(1), keep=_GLOBAL_KEPT)
        reply = await self._http.ask(question)
        data = reply.body
        quote = data.quote["USD"]
        return GlobalMarket(
            market_cap=quote.market_cap,
            volume_24h=quote.volume,
            bitcoin_share=data.bitcoin,
            ether_share=data.ether,
            coins=data.coins,
            source="sandbox" if reply.sandbox else NAME,
            at=data.updated,
        )

    async def fear_and_greed(self) -> FearGreed:
        """The index as it is now; it is made anew every quarter of an hour."""
        question = Question("/v3/fear-and-greed/latest", _as_fear, cost=self._cost(1), keep=_FEAR_KEPT)
        reply = await self._http.ask(question)
        found = reply.body
        return FearGreed(found.value, found.label, "sandbox" if reply.sandbox else NAME, found.updated)

    async def ping(self) -> None:
        """Returns if it answers: costs a credit without a key, none with one."""
        await (self.fear_and_greed() if self._keyless else self._http.ask(Question("/v1/key/info", _data)))

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()

    async def _listings(self, path: str, count: int) -> list[Coin]:
        cost = self._cost(math.ceil(count / _ROWS_A_CREDIT))
        question = Question(
            path, _as_listings, {"limit": min(count, 5000), "convert": "USD"}, cost=cost, keep=_LISTINGS_KEPT
        )
        reply = await self._http.ask(question)
        source = "sandbox" if reply.sandbox else NAME
        return [row.coin(source) for row in reply.body]

    def _cost(self, spent: int) -> dict[Pool, int]:
        return {self._minute: 1} if self._keyless else {self._minute: 1, self._day: spent}


def judge(response: httpx2.Response, host: str) -> Judgement:
    """See `Judge`."""
    status, (code, message) = response.status_code, _status(response)
    if code in _MINUTE_LIMITS or status == HTTPStatus.TOO_MANY_REQUESTS:
        return _too_much(code, response)
    if code == _PLAN_LACKS_IT:
        return SourceRefuses(f"{host}: the plan of this key has not that route", provider_code=code)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN):
        hint = "Check CRYPTO_MCP_MARKET__COINMARKETCAP_KEY, or unset it to use the keyless door."
        return Stop(
            _PAUSE_WITH_A_WRONG_KEY, f"does not take this key ({message or f'HTTP {status}'})", hint, SourceForbidden
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return Passing(f"HTTP {status}")
    return SourceRefuses(
        f"{host} refuses the request: {message[:200] or 'without a reason'} (HTTP {status})",
        hint="Check the number of coins.",
        provider_code=code or status,
    )


def _too_much(code: int, response: httpx2.Response) -> Stop:
    if code == _DAY_LIMIT:
        return Stop(_until_tomorrow(), "has given all its credits for today")
    if code == _MONTH_LIMIT:
        return Stop(_until_next_month(), "has given all its credits for this month")
    return Stop(retry_after(response), "asks to slow down")


def _status(response: httpx2.Response) -> tuple[int, str]:
    """Code (a number, or a number as text) and message; 0 and nothing if it is no JSON."""
    try:
        status = orjson.loads(response.content)["status"]
        return int(status["error_code"]), str(status.get("error_message") or "")
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return 0, ""


def _until_tomorrow() -> float:
    now = datetime.now(UTC)
    return (now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - now).total_seconds()


def _until_next_month() -> float:
    now = datetime.now(UTC)
    first = (now.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32)).replace(day=1)
    return (first - now).total_seconds()


def _data(body: Any) -> Any:
    """What the envelope holds; a good HTTP status may still carry an error."""
    try:
        code = int(body["status"]["error_code"])
        data = body["data"]
    except (KeyError, TypeError, ValueError) as error:
        raise bad_data("no data", NAME) from error
    if code:
        raise SourceUnavailable(
            f"{NAME} answers with error {code}: {body['status'].get('error_message')}",
            hint="Try again in a minute.",
            retry_after=60,
        )
    return data


Amount = Annotated[float, Field(allow_inf_nan=False)]


class _Quote(BaseModel):
    price: Annotated[Amount, Field(ge=0)] | None = None
    volume_24h: Amount | None = None
    percent_change_1h: Amount | None = None
    percent_change_24h: Amount | None = None
    percent_change_7d: Amount | None = None
    market_cap: Amount | None = None
    symbol: str = "USD"


class _Row(BaseModel):
    id: int
    name: str
    symbol: str
    rank: int | None = Field(None, validation_alias="cmc_rank")
    updated: datetime | None = Field(None, validation_alias="last_updated")
    quote: dict[str, _Quote] | list[_Quote]
    """By currency in v1, a list in v3."""

    def coin(self, source: str) -> Coin:
        quotes = self.quote if isinstance(self.quote, dict) else {quote.symbol: quote for quote in self.quote}
        dollars = quotes.get("USD", _Quote())
        return Coin(
            id=str(self.id),
            symbol=self.symbol.upper(),
            name=self.name,
            rank=self.rank,
            price=dollars.price,
            market_cap=dollars.market_cap,
            volume_24h=dollars.volume_24h,
            change_1h=dollars.percent_change_1h,
            change_24h=dollars.percent_change_24h,
            change_7d=dollars.percent_change_7d,
            source=source,
            at=self.updated,
        )


class _GlobalQuote(BaseModel):
    market_cap: Amount = Field(validation_alias="total_market_cap")
    volume: Amount = Field(validation_alias="total_volume_24h")


class _Global(BaseModel):
    coins: int = Field(validation_alias="active_cryptocurrencies")
    bitcoin: Amount = Field(validation_alias="btc_dominance")
    ether: Amount = Field(validation_alias="eth_dominance")
    quote: dict[str, _GlobalQuote]
    updated: datetime = Field(validation_alias="last_updated")


class _Fear(BaseModel):
    value: Annotated[int, Field(ge=0, le=100)]
    label: str = Field(validation_alias="value_classification")
    updated: datetime = Field(validation_alias="update_time")


_COINS = TypeAdapter(list[_Row])


def _as_listings(body: Any) -> list[_Row]:
    try:
        return _COINS.validate_python(_data(body))
    except ValidationError as error:
        raise bad_data(f"no list of coins ({error.error_count()} faults)", NAME) from error


def _as_global(body: Any) -> _Global:
    try:
        found = _Global.model_validate(_data(body))
    except ValidationError as error:
        raise bad_data(f"no figures of the whole market ({error.error_count()} faults)", NAME) from error
    if "USD" not in found.quote:
        raise bad_data("no figures in dollars", NAME)
    return found


def _as_fear(body: Any) -> _Fear:
    try:
        return _Fear.model_validate(_data(body))
    except ValidationError as error:
        raise bad_data(f"no fear and greed index ({error.error_count()} faults)", NAME) from error
