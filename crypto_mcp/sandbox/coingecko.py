"""CoinGecko's API v3, as the sandbox plays it: keyless and demo below `/coingecko`, pro below `/coingecko-pro`.

Source: https://docs.coingecko.com and coingecko/coingecko-api-oas, as of June 2026. Any key is taken that says which
plan it is of: `CG-...` for demo, `PRO-...` for pro.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from crypto_mcp.sandbox.coins import CATEGORIES
from crypto_mcp.sandbox.limits import Refused, WindowLimit
from crypto_mcp.sandbox.venue import TurnedAway, firewall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from crypto_mcp.sandbox.coins import Coin, Coins
    from crypto_mcp.sandbox.faults import Fault
    from crypto_mcp.sandbox.venue import Call

DEMO, PRO = "/coingecko/api/v3", "/coingecko-pro/api/v3"
_KEYLESS_A_MINUTE, _DEMO_A_MINUTE, _PRO_A_MINUTE = 10, 100, 500
_CURRENCIES = {"usd": 1.0, "eur": 0.9, "btc": None}
_TOO_MANY = (
    "You've exceeded the Rate Limit. Please visit https://www.coingecko.com/en/api/pricing to subscribe to our API "
    "plans for higher rate limits."
)
_WRONG_ROOT = {
    10010: "If you are using Pro API key, please change your root URL from api.coingecko.com to pro-api.coingecko.com",
    10011: "If you are using Demo API key, please change your root URL from pro-api.coingecko.com to api.coingecko.com",
}
_WINDOWS = ("1h", "24h", "7d", "14d", "30d", "200d", "1y")
_ORDERS: dict[str, tuple[Callable[[Coin], Any], bool]] = {
    "market_cap_desc": (lambda coin: coin.cap, True),
    "market_cap_asc": (lambda coin: coin.cap, False),
    "volume_desc": (lambda coin: coin.volume, True),
    "volume_asc": (lambda coin: coin.volume, False),
    "id_asc": (lambda coin: coin.id, False),
    "id_desc": (lambda coin: coin.id, True),
}


class CoinGecko:
    """Both of its hosts."""

    def __init__(self, coins: Coins, clock: Callable[[], int]) -> None:
        self._coins = coins
        self._limits = {
            plan: WindowLimit(clock, limit, bans=False)
            for plan, limit in (("keyless", _KEYLESS_A_MINUTE), ("demo", _DEMO_A_MINUTE), ("pro", _PRO_A_MINUTE))
        }
        self._routes: Mapping[str, Callable[[dict[str, str], int], Any]] = {
            "/ping": lambda *_: {"gecko_says": "(V3) To the Moon!"},
            "/coins/markets": self._markets,
            "/global": self._global,
            "/search/trending": self._trending,
            "/simple/price": self._simple_price,
        }

    def paths(self) -> Iterable[str]:
        """See `Venue`."""
        return [root + path for root in (DEMO, PRO) for path in self._routes]

    def answer(self, call: Call) -> Any:
        """See `Venue`."""
        root = PRO if call.path.startswith(PRO) else DEMO
        params = dict(call.params)
        plan, account = _plan(root, params, call)
        try:
            self._limits[plan].charge(account, 1)
        except Refused as refused:
            raise _too_many(refused.retry_after) from None
        return self._routes[call.path.removeprefix(root)](params, call.now)

    def failure(self, fault: Fault) -> TurnedAway:
        """See `Venue`."""
        if fault.status == 429:
            return _too_many(fault.retry_after)
        if fault.status in (403, 418, 451):
            return firewall()
        return TurnedAway(fault.status, {"status": {"error_code": fault.status, "error_message": "Internal error"}})

    def _markets(self, params: dict[str, str], now: int) -> list[dict[str, Any]]:
        rate = self._rate(params.get("vs_currency"), now)
        ranked = self._coins.ranked(now)
        ranks = {coin.id: rank for rank, coin in enumerate(ranked, 1)}
        coins = _chosen(ranked, params)
        if (order := params.get("order", "market_cap_desc")) in _ORDERS:
            by, down = _ORDERS[order]
            coins = sorted(coins, key=by, reverse=down)
        size, page = _number(params, "per_page", 100, 250), _number(params, "page", 1, 10_000)
        windows = [each for each in params.get("price_change_percentage", "").split(",") if each in _WINDOWS]
        at = _iso(self._coins.updated(now))
        return [_row(coin, ranks[coin.id], rate, windows, at) for coin in coins[(page - 1) * size : page * size]]

    def _global(self, _: dict[str, str], now: int) -> dict[str, Any]:
        coins = self._coins.ranked(now)
        cap, volume = sum(coin.cap for coin in coins), sum(coin.volume for coin in coins)
        before = sum(coin.cap / (1 + coin.change_24h / 100) for coin in coins)
        shares = {coin.symbol.lower(): coin.cap / cap * 100 for coin in coins[:10]}
        bitcoin = self._rate("btc", now)
        return {
            "data": {
                "active_cryptocurrencies": len(coins),
                "upcoming_icos": 0,
                "ongoing_icos": 0,
                "ended_icos": 0,
                "markets": 1,
                "total_market_cap": {"usd": cap, "btc": cap * bitcoin},
                "total_volume": {"usd": volume, "btc": volume * bitcoin},
                "market_cap_percentage": shares,
                "market_cap_change_percentage_24h_usd": (cap / before - 1) * 100,
                "volume_change_percentage_24h_usd": 0.0,
                "updated_at": self._coins.updated(now) // 1000,
            }
        }

    def _trending(self, _: dict[str, str], now: int) -> dict[str, Any]:
        ranked = self._coins.ranked(now)
        ranks = {coin.id: rank for rank, coin in enumerate(ranked, 1)}
        movers = sorted(ranked[:200], key=lambda coin: coin.change_24h, reverse=True)[:15]
        bitcoin = self._rate("btc", now)
        items = [_trend(coin, ranks[coin.id], score, bitcoin) for score, coin in enumerate(movers)]
        return {"coins": [{"item": item} for item in items], "nfts": [], "categories": []}

    def _simple_price(self, params: dict[str, str], now: int) -> dict[str, dict[str, float]]:
        currencies = params.get("vs_currencies", "").split(",")
        rates = {currency: self._rate(currency, now) for currency in currencies}
        chosen = _chosen(self._coins.ranked(now), params) if params.get("ids") or params.get("symbols") else []
        found = {}
        for coin in chosen:
            found[coin.id] = {currency: coin.price * rate for currency, rate in rates.items()}
            if params.get("include_24hr_change") == "true":
                found[coin.id] |= {f"{currency}_24h_change": coin.change_24h for currency in rates}
            if params.get("include_last_updated_at") == "true":
                found[coin.id]["last_updated_at"] = self._coins.updated(now) // 1000
        return found

    def _rate(self, currency: str | None, now: int) -> float:
        """Of a currency to the dollar."""
        if not currency:
            raise TurnedAway(422, {"error": "Missing parameter vs_currency"})
        if currency not in _CURRENCIES:
            raise TurnedAway(400, {"error": "invalid vs_currency"})
        rate = _CURRENCIES[currency]
        return rate or 1 / next(coin.price for coin in self._coins.ranked(now) if coin.symbol == "BTC")


def _plan(root: str, params: dict[str, str], call: Call) -> tuple[str, str]:
    """Plan and account of a request: by its key, else by its address."""
    demo = call.headers.get("x-cg-demo-api-key") or params.get("x_cg_demo_api_key")
    pro = call.headers.get("x-cg-pro-api-key") or params.get("x_cg_pro_api_key")
    key = pro if root == PRO else demo
    if root == PRO and not key:
        raise TurnedAway(401, {"status": _status(call.now, 10002, "API Key Missing")})
    if key and key.startswith("PRO-") != (root == PRO):
        code = 10011 if root == PRO else 10010
        at = _iso(call.now)
        raise TurnedAway(400, {"timestamp": at, "error_code": code, "status": {"error_message": _WRONG_ROOT[code]}})
    return ("pro" if root == PRO else "demo" if key else "keyless"), key or call.address


def _too_many(retry_after: int) -> TurnedAway:
    body = {"status": {"error_code": 429, "error_message": _TOO_MANY}}
    return TurnedAway(429, body, {"retry-after": str(retry_after)})


def _status(now: int, code: int, message: str) -> dict[str, Any]:
    return {"timestamp": _iso(now), "error_code": code, "error_message": message}


def _chosen(coins: list[Coin], params: dict[str, str]) -> list[Coin]:
    """By `ids`, `symbols` or `category`; unknown ones are simply absent."""
    if ids := params.get("ids"):
        return [coin for coin in coins if coin.id in ids.split(",")]
    if symbols := params.get("symbols"):
        return [coin for coin in coins if coin.symbol.lower() in symbols.lower().split(",")]
    if category := params.get("category"):
        if category not in CATEGORIES:
            raise TurnedAway(404, {"error": "category not found"})
        return [coin for coin in coins if CATEGORIES[category](coin)]
    return coins


def _number(params: dict[str, str], name: str, default: int, most: int) -> int:
    text = params.get(name, "")
    return max(1, min(int(text), most)) if text.isascii() and text.isdigit() else default


def _row(coin: Coin, rank: int, rate: float, windows: list[str], at: str) -> dict[str, Any]:
    price, cap = coin.price * rate, coin.cap * rate
    row: dict[str, Any] = {
        "id": coin.id,
        "symbol": coin.symbol.lower(),
        "name": coin.name,
        "image": f"https://example.invalid/{coin.id}.png",
        "current_price": price,
        "market_cap": cap,
        "market_cap_rank": rank,
        "fully_diluted_valuation": cap,
        "total_volume": coin.volume * rate,
        "high_24h": coin.high * rate,
        "low_24h": coin.low * rate,
        "price_change_24h": price - price / (1 + coin.change_24h / 100),
        "price_change_percentage_24h": coin.change_24h,
        "market_cap_change_24h": cap - cap / (1 + coin.change_24h / 100),
        "market_cap_change_percentage_24h": coin.change_24h,
        "circulating_supply": coin.supply,
        "total_supply": coin.supply,
        "max_supply": None,
        "ath": None,
        "ath_change_percentage": None,
        "ath_date": None,
        "atl": None,
        "atl_change_percentage": None,
        "atl_date": None,
        "roi": None,
        "last_updated": at,
    }
    known = {"1h": coin.change_1h, "24h": coin.change_24h, "7d": coin.change_7d}
    return row | {f"price_change_percentage_{each}_in_currency": known.get(each) for each in windows}


def _trend(coin: Coin, rank: int, score: int, bitcoin: float) -> dict[str, Any]:
    image = f"https://example.invalid/{coin.id}.png"
    return {
        "id": coin.id,
        "coin_id": 1_000_000 + coin.number,
        "name": coin.name,
        "symbol": coin.symbol,
        "market_cap_rank": rank,
        "thumb": image,
        "small": image,
        "large": image,
        "slug": coin.id,
        "price_btc": coin.price * bitcoin,
        "score": score,
        "data": {
            "price": coin.price,
            "price_btc": str(coin.price * bitcoin),
            "price_change_percentage_24h": {"usd": coin.change_24h},
            "market_cap": f"${coin.cap:,.0f}",
            "total_volume": f"${coin.volume:,.0f}",
            "sparkline": f"https://example.invalid/{coin.id}.svg",
            "content": None,
        },
    }


def _iso(milliseconds: int) -> str:
    at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
