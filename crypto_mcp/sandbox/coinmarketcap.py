"""CoinMarketCap's Pro API below `/coinmarketcap`, with its keyless part below `/coinmarketcap/public-api`.

Source: OpenCMC/coinmarketcap-api-python 4.0.2 and https://coinmarketcap.com/api, as of September 2026. Any key is taken
that begins with `CMC-`; `CMC-basic` keys have the free plan.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from crypto_mcp.sandbox.coins import CATEGORIES, STABLE
from crypto_mcp.sandbox.limits import Refused, WindowLimit
from crypto_mcp.sandbox.venue import TurnedAway, firewall
from crypto_mcp.sandbox.wire import DAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from crypto_mcp.sandbox.coins import Coin, Coins
    from crypto_mcp.sandbox.faults import Fault
    from crypto_mcp.sandbox.venue import Call

ROOT, PUBLIC = "/coinmarketcap", "/coinmarketcap/public-api"
A_MINUTE, CREDITS_A_MONTH = 30, 15_000
_ROWS_A_CREDIT = 200
_MONTH = 30 * DAY
_MESSAGES = {
    1001: (401, "This API Key is invalid."),
    1002: (401, "API key missing."),
    1008: (429, "You've exceeded your API Key's HTTP request rate limit. Rate limits reset every minute."),
    1010: (429, "You've exceeded your API Key's monthly rate limit."),
    1011: (429, "You've hit an IP rate limit."),
}
_CLASSES = ((20, "Extreme Fear"), (40, "Fear"), (60, "Neutral"), (80, "Greed"), (101, "Extreme Greed"))

_LISTINGS_1, _LISTINGS_3 = "/v1/cryptocurrency/listings/latest", "/v3/cryptocurrency/listings/latest"
_GLOBAL, _FEAR, _KEY = "/v1/global-metrics/quotes/latest", "/v3/fear-and-greed/latest", "/v1/key/info"


class CoinMarketCap:
    """Both of its doors."""

    def __init__(self, coins: Coins, clock: Callable[[], int]) -> None:
        self._coins = coins
        self._minute = WindowLimit(clock, A_MINUTE, bans=False)
        self._month = WindowLimit(clock, CREDITS_A_MONTH, _MONTH, bans=False)
        self._used: dict[str, int] = {}
        self._routes: Mapping[str, Callable[[dict[str, str], int], tuple[Any, int]]] = {
            _LISTINGS_1: lambda params, now: self._listings(params, now, by_name=True),
            _LISTINGS_3: lambda params, now: self._listings(params, now, by_name=False),
            _GLOBAL: self._global,
            _FEAR: self._fear_and_greed,
        }

    def paths(self) -> Iterable[str]:
        """See `Venue`."""
        keyless = (PUBLIC + path for path in (_LISTINGS_3, _GLOBAL, _FEAR))
        return [*(ROOT + path for path in (*self._routes, _KEY)), *keyless]

    def answer(self, call: Call) -> Any:
        """See `Venue`."""
        public = call.path.startswith(PUBLIC)
        path = call.path.removeprefix(PUBLIC if public else ROOT)
        params = dict(call.params)
        account = call.address if public else _key(call, params)
        try:
            self._minute.charge(account, 1)
        except Refused as refused:
            code = 1011 if public else 1008
            raise _turned_away(call.now, code, {"retry-after": str(refused.retry_after)}) from None
        if path == _KEY:
            return _whole(call.now, self._key_info(account), 0, text=False)
        data, spent = self._routes[path](params, call.now)
        if not public:
            try:
                self._used[account] = self._month.charge(account, spent)
            except Refused:
                raise _turned_away(call.now, 1010) from None
        return _whole(call.now, data, spent, text=path.startswith("/v3"))

    def failure(self, fault: Fault) -> TurnedAway:
        """See `Venue`."""
        now = self._minute.now()
        if fault.status == 429:
            return _turned_away(now, 1008, {"retry-after": str(fault.retry_after)})
        if fault.status in (403, 418, 451):
            return firewall()
        status = _status(now, fault.status, "An internal server error occurred", 0, text=False)
        return TurnedAway(fault.status, {"status": status})

    def _listings(self, params: dict[str, str], now: int, *, by_name: bool) -> tuple[list[dict[str, Any]], int]:
        start, limit = _number(params, "start", 1, 10**6), _number(params, "limit", 100, 5000)
        if params.get("convert", "USD") != "USD":
            raise _bad(now, '"convert" must be USD here')
        ranked = list(enumerate(self._coins.ranked(now), 1))
        if tag := params.get("tag"):
            ranked = [(rank, coin) for rank, coin in ranked if tag in _tags(coin)]
        rows = ranked[start - 1 : start - 1 + limit]
        at = _iso(self._coins.updated(now))
        return [_listing(coin, rank, at, by_name=by_name) for rank, coin in rows], math.ceil(len(rows) / _ROWS_A_CREDIT)

    def _global(self, _: dict[str, str], now: int) -> tuple[dict[str, Any], int]:
        coins = self._coins.ranked(now)
        cap = sum(coin.cap for coin in coins)
        shares = {coin.symbol: coin.cap / cap * 100 for coin in coins}
        at = _iso(self._coins.updated(now))
        quote = {
            "total_market_cap": cap,
            "total_volume_24h": sum(coin.volume for coin in coins),
            "altcoin_market_cap": cap * (1 - shares["BTC"] / 100),
            "total_market_cap_yesterday_percentage_change": 0.0,
            "last_updated": at,
        }
        return {
            "active_cryptocurrencies": len(coins),
            "total_cryptocurrencies": len(coins),
            "active_market_pairs": len(coins),
            "active_exchanges": 1,
            "total_exchanges": 1,
            "btc_dominance": shares["BTC"],
            "eth_dominance": shares["ETH"],
            "quote": {"USD": quote},
            "last_updated": at,
        }, 1

    def _fear_and_greed(self, _: dict[str, str], now: int) -> tuple[dict[str, Any], int]:
        value = self._coins.fear_and_greed(now)
        named = next(name for below, name in _CLASSES if value < below)
        return {
            "value": value,
            "value_classification": named,
            "update_time": _iso(now // (15 * 60_000) * 15 * 60_000),
        }, 1

    def _key_info(self, key: str) -> dict[str, Any]:
        used = self._used.get(key, 0)
        return {
            "plan": {
                "credit_limit_monthly": CREDITS_A_MONTH,
                "credit_limit_monthly_reset": "In 30 days",
                "rate_limit_minute": A_MINUTE,
            },
            "usage": {
                "current_minute": {"requests_made": 1, "requests_left": A_MINUTE - 1},
                "current_month": {"credits_used": used, "credits_left": CREDITS_A_MONTH - used},
            },
        }


def _key(call: Call, params: dict[str, str]) -> str:
    key = call.headers.get("x-cmc_pro_api_key") or params.get("CMC_PRO_API_KEY")
    if not key:
        raise _turned_away(call.now, 1002)
    if not key.startswith("CMC-"):
        raise _turned_away(call.now, 1001)
    return key


def _listing(coin: Coin, rank: int, at: str, *, by_name: bool) -> dict[str, Any]:
    quote = {
        "price": coin.price,
        "volume_24h": coin.volume,
        "volume_change_24h": 0.0,
        "percent_change_1h": coin.change_1h,
        "percent_change_24h": coin.change_24h,
        "percent_change_7d": coin.change_7d,
        "market_cap": coin.cap,
        "market_cap_dominance": None,
        "fully_diluted_market_cap": coin.cap,
        "last_updated": at,
    }
    return {
        "id": 10_000 + coin.number
        if coin.number
        else {"BTC": 1, "USDT": 825, "ETH": 1027}.get(coin.symbol, rank + 5000),
        "name": coin.name,
        "symbol": coin.symbol,
        "slug": coin.id,
        "cmc_rank": rank,
        "num_market_pairs": 1,
        "circulating_supply": coin.supply,
        "total_supply": coin.supply,
        "max_supply": None,
        "tags": _tags(coin),
        "platform": None,
        "date_added": "2021-01-01T00:00:00.000Z",
        "last_updated": at,
        "quote": {"USD": quote} if by_name else [{"id": 2781, "symbol": "USD", **quote}],
    }


def _tags(coin: Coin) -> list[str]:
    return [name for name, holds in CATEGORIES.items() if holds(coin)] + (
        ["stablecoin"] if coin.symbol in STABLE else []
    )


def _whole(now: int, data: Any, spent: int, *, text: bool) -> dict[str, Any]:
    return {"status": _status(now, 0, None, spent, text=text), "data": data}


def _status(now: int, code: int, message: str | None, spent: int, *, text: bool) -> dict[str, Any]:
    """`error_code` is text in replies of v3."""
    return {
        "timestamp": _iso(now),
        "error_code": str(code) if text else code,
        "error_message": message or ("" if text else None),
        "elapsed": 10,
        "credit_count": spent,
        "notice": None,
    }


def _turned_away(now: int, code: int, headers: Mapping[str, str] | None = None) -> TurnedAway:
    status, message = _MESSAGES[code]
    return TurnedAway(status, {"status": _status(now, code, message, 0, text=False)}, headers)


def _bad(now: int, message: str) -> TurnedAway:
    return TurnedAway(400, {"status": _status(now, 400, message, 0, text=False)})


def _number(params: dict[str, str], name: str, default: int, most: int) -> int:
    text = params.get(name, "")
    return max(1, min(int(text), most)) if text.isascii() and text.isdigit() else default


def _iso(milliseconds: int) -> str:
    at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
