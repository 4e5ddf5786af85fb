"""CoinGecko: coins by market cap, the whole market, what people look for. Keyless, with a demo key or a paid one.

Source: https://docs.coingecko.com. Data by CoinGecko; who shows it has to say so.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from crypto_mcp.market.allowance.pool import Pool
from crypto_mcp.market.candles import bad_data
from crypto_mcp.market.provider_http import Provider, ProviderHttp, Question
from crypto_mcp.market.refusals import Passing, SourceForbidden, SourceRefuses, Stop, retry_after
from crypto_mcp.models.coins import Coin, GlobalMarket, TrendingCoin

if TYPE_CHECKING:
    import httpx2

    from crypto_mcp.market.provider_http import Params
    from crypto_mcp.market.refusals import Judgement
    from crypto_mcp.market.sharing import Sharing
    from crypto_mcp.settings import MarketSettings

NAME = "coingecko"

_A_MINUTE = {"keyless": 10, "demo": 100, "pro": 250}
_DEMO_CREDITS_A_DAY = 10_000 // 31
"""A demo key has 10,000 a month: spent by the day, so that the last days of a month have theirs."""

_ROWS = 250
_MARKETS_KEPT, _GLOBAL_KEPT, _TRENDING_KEPT = 60.0, 300.0, 600.0
_LEAST_PAUSE, _PAUSE_WITH_A_WRONG_KEY = 5.0, 300.0
_KEY_TROUBLE = frozenset({10002, 10005, 10010, 10011})


class CoinGecko:
    """One for a process. Every method raises `SourceUnavailable` if it does not answer or refuses for now."""

    def __init__(self, settings: MarketSettings, sharing: Sharing | None = None) -> None:
        key = settings.coingecko_key.get_secret_value() if settings.coingecko_key else ""
        plan = settings.coingecko_plan if key else "keyless"
        header = {"demo": "x-cg-demo-api-key", "pro": "x-cg-pro-api-key"}
        account = hashlib.sha256(key.encode()).hexdigest()[:8] if key else "address"
        pools = [Pool(f"{NAME}@{account}", _A_MINUTE[plan], halved=True)]
        if plan == "demo":
            pools.append(Pool(f"{NAME}-day@{account}", _DEMO_CREDITS_A_DAY, seconds=86_400, guard=0))
        headers = {header[plan]: key} if key else {}
        provider = Provider(NAME, settings.coingecko_url, tuple(pools), judge, headers)
        self._http = ProviderHttp(provider, settings, sharing)

    async def coins(self, count: int = _ROWS, *, category: str | None = None) -> list[Coin]:
        """The largest `count` by market cap, of a `category` of CoinGecko's or of all; fewer if there are fewer."""
        pages = await asyncio.gather(*(self._page(page, category) for page in range(1, math.ceil(count / _ROWS) + 1)))
        return [coin for page in pages for coin in page][:count]

    async def whole_market(self) -> GlobalMarket:
        """Market cap and volume of all coins, shares of the largest."""
        reply = await self._http.ask(Question("/global", _as_global, keep=_GLOBAL_KEPT))
        data = reply.body.data
        return GlobalMarket(
            market_cap=data.market_cap["usd"],
            volume_24h=data.volume["usd"],
            bitcoin_share=data.shares.get("btc", 0.0),
            ether_share=data.shares.get("eth", 0.0),
            coins=data.coins,
            source="sandbox" if reply.sandbox else NAME,
            at=data.updated,
        )

    async def trending(self) -> list[TrendingCoin]:
        """What people looked for most in the last hours."""
        reply = await self._http.ask(Question("/search/trending", _as_trending, keep=_TRENDING_KEPT))
        source = "sandbox" if reply.sandbox else NAME
        items = (entry.item for entry in reply.body.coins)
        return [
            TrendingCoin(item.id, item.symbol.upper(), item.name, item.rank, place, source)
            for place, item in enumerate(items, 1)
        ]

    async def ping(self) -> None:
        """Returns if it answers."""
        await self._http.ask(Question("/ping", lambda body: body))

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()

    async def _page(self, page: int, category: str | None) -> list[Coin]:
        params: Params = {"vs_currency": "usd", "order": "market_cap_desc", "per_page": _ROWS, "page": page}
        params |= {"price_change_percentage": "1h,24h,7d"} | ({"category": category} if category else {})
        reply = await self._http.ask(Question("/coins/markets", _as_rows, params, keep=_MARKETS_KEPT))
        source = "sandbox" if reply.sandbox else NAME
        return [row.coin(source) for row in reply.body]


def judge(response: httpx2.Response, host: str) -> Judgement:
    """See `Judge`. Bodies of refusals have many shapes, so the status decides."""
    status, code = response.status_code, _error_code(response)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Stop(retry_after(response, least=_LEAST_PAUSE), "asks to slow down")
    if status == HTTPStatus.UNAUTHORIZED or code in _KEY_TROUBLE:
        hint = "Set CRYPTO_MCP_MARKET__COINGECKO_KEY, and COINGECKO_PLAN and COINGECKO_URL as they go with the key."
        return Stop(_PAUSE_WITH_A_WRONG_KEY, f"does not take this key (code {code})", hint, SourceForbidden)
    if status == HTTPStatus.FORBIDDEN:  # without a key that is how it says to slow down
        hint = "A free demo key of CoinGecko has an allowance of its own: CRYPTO_MCP_MARKET__COINGECKO_KEY."
        return Stop(retry_after(response, least=_LEAST_PAUSE), "forbids requests from this address for now", hint)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return Passing(f"HTTP {status}")
    return SourceRefuses(f"{host} refuses the request (HTTP {status})", hint="Check the category.", provider_code=code)


def _error_code(response: httpx2.Response) -> int:
    """Wherever it may stand; 0 if nowhere."""
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return 0
    inner = body.get("error") if isinstance(body, dict) else None
    for place in (body, body.get("status") if isinstance(body, dict) else None, inner):
        code = place.get("error_code") if isinstance(place, dict) else None
        if isinstance(code, int):
            return code
    return 0


Amount = Annotated[float, Field(allow_inf_nan=False)]


class _Row(BaseModel):
    id: str
    symbol: str
    name: str
    rank: int | None = Field(None, validation_alias="market_cap_rank")
    price: Annotated[Amount, Field(ge=0)] | None = Field(None, validation_alias="current_price")
    cap: Annotated[Amount, Field(ge=0)] | None = Field(None, validation_alias="market_cap")
    volume: Annotated[Amount, Field(ge=0)] | None = Field(None, validation_alias="total_volume")
    change_1h: Amount | None = Field(None, validation_alias="price_change_percentage_1h_in_currency")
    change_24h: Amount | None = Field(None, validation_alias="price_change_percentage_24h_in_currency")
    change_7d: Amount | None = Field(None, validation_alias="price_change_percentage_7d_in_currency")
    updated: datetime | None = Field(None, validation_alias="last_updated")

    def coin(self, source: str) -> Coin:
        return Coin(
            id=self.id,
            symbol=self.symbol.upper(),
            name=self.name,
            rank=self.rank,
            price=self.price,
            market_cap=self.cap,
            volume_24h=self.volume,
            change_1h=self.change_1h,
            change_24h=self.change_24h,
            change_7d=self.change_7d,
            source=source,
            at=self.updated,
        )


class _GlobalData(BaseModel):
    coins: int = Field(validation_alias="active_cryptocurrencies")
    market_cap: dict[str, Amount] = Field(validation_alias="total_market_cap")
    volume: dict[str, Amount] = Field(validation_alias="total_volume")
    shares: dict[str, Amount] = Field(validation_alias="market_cap_percentage")
    updated: datetime = Field(validation_alias="updated_at")


class _Global(BaseModel):
    data: _GlobalData


class _Item(BaseModel):
    id: str
    symbol: str
    name: str
    rank: int | None = Field(None, validation_alias="market_cap_rank")


class _Entry(BaseModel):
    item: _Item


class _Trending(BaseModel):
    coins: list[_Entry]


_COINS = TypeAdapter(list[_Row])


def _as_rows(body: Any) -> list[_Row]:
    try:
        return _COINS.validate_python(body)
    except ValidationError as error:
        raise bad_data(f"no list of coins ({error.error_count()} faults)", NAME) from error


def _as_global(body: Any) -> _Global:
    try:
        found = _Global.model_validate(body)
    except ValidationError as error:
        raise bad_data(f"no figures of the whole market ({error.error_count()} faults)", NAME) from error
    if "usd" not in found.data.market_cap or "usd" not in found.data.volume:
        raise bad_data("no figures in dollars", NAME)
    return found


def _as_trending(body: Any) -> _Trending:
    try:
        return _Trending.model_validate(body)
    except ValidationError as error:
        raise bad_data(f"no list of trending coins ({error.error_count()} faults)", NAME) from error
