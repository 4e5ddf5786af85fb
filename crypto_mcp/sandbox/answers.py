"""Bodies in the exchange's wire format: numbers as strings of eight decimals, times in milliseconds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from crypto_mcp.sandbox.hours import CLOSE, HIGH, LOW, OPEN, VOLUME
from crypto_mcp.sandbox.wire import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crypto_mcp.sandbox.exchange import BarTable, Symbol
    from crypto_mcp.sandbox.hours import Bars

_TRADE_SIZE = 500
"""Quote volume counted as one trade, for the count of trades a bar reports."""


def number(value: float) -> str:
    """As the exchange writes amounts."""
    return f"{value:.8f}"


def klines(symbol: Symbol, table: BarTable, step: int) -> list[list[Any]]:
    """Rows of twelve: open time, OHLC, volume, close time, quote volume, trades, taker's volumes, unused."""
    tick = symbol.tick
    rows = []
    for time, (o, h, low, c, v) in zip(table.open_time.tolist(), table.bars.tolist(), strict=True):
        base = v * symbol.step
        quote = base * (o + h + low + c) / 4 * tick
        rows.append(
            [
                time,
                f"{o * tick:.8f}",
                f"{h * tick:.8f}",
                f"{low * tick:.8f}",
                f"{c * tick:.8f}",
                f"{base:.8f}",
                time + step - 1,
                f"{quote:.8f}",
                _trades(quote),
                f"{base / 2:.8f}",
                f"{quote / 2:.8f}",
                "0",
            ]
        )
    return rows


def ticker(symbol: Symbol, day: Bars, now: int, *, mini: bool = False) -> dict[str, Any]:
    """A FULL or MINI `ticker/24hr` of the bars of the last day."""
    base = day[:, VOLUME] * symbol.step
    volume = float(base.sum())
    quote = float(base @ day[:, [OPEN, HIGH, LOW, CLOSE]].mean(axis=1)) * symbol.tick
    trades = _trades(quote)
    open_, last = day[0, OPEN] * symbol.tick, day[-1, CLOSE] * symbol.tick
    short = {
        "symbol": symbol.name,
        "openPrice": number(open_),
        "highPrice": number(day[:, HIGH].max() * symbol.tick),
        "lowPrice": number(day[:, LOW].min() * symbol.tick),
        "lastPrice": number(last),
        "volume": number(volume),
        "quoteVolume": number(quote),
        "openTime": now - DAY,
        "closeTime": now,
        "firstId": 0 if trades else -1,
        "lastId": trades - 1,
        "count": trades,
    }
    if mini:
        return short
    return short | {
        "priceChange": number(last - open_),
        "priceChangePercent": f"{(last / open_ - 1) * 100:.3f}",
        "weightedAvgPrice": number(quote / volume if volume else last),
        "prevClosePrice": number(open_),
        "lastQty": number(symbol.step),
        **_best_offers(symbol, last),
    }


def last_price(symbol: Symbol, day: Bars) -> dict[str, Any]:
    """`ticker/price`."""
    return {"symbol": symbol.name, "price": number(day[-1, CLOSE] * symbol.tick)}


def book_ticker(symbol: Symbol, day: Bars) -> dict[str, Any]:
    """`ticker/bookTicker`: offers a tick around the last price."""
    return {"symbol": symbol.name, **_best_offers(symbol, day[-1, CLOSE] * symbol.tick)}


def depth(symbol: Symbol, day: Bars, levels: int, now: int) -> dict[str, Any]:
    """`depth`: as many offers a side as there are prices below the last, a tick apart, growing with the distance."""
    last = int(day[-1, CLOSE])
    bids = [
        [number((last - i) * symbol.tick), number(100 * i * symbol.step)] for i in range(1, min(levels, last - 1) + 1)
    ]
    asks = [[number((last + i) * symbol.tick), number(100 * i * symbol.step)] for i in range(1, levels + 1)]
    return {"lastUpdateId": now, "bids": bids, "asks": asks}


def _best_offers(symbol: Symbol, last: float) -> dict[str, str]:
    quantity = number(100 * symbol.step)
    return {
        "bidPrice": number(last - symbol.tick),
        "bidQty": quantity,
        "askPrice": number(last + symbol.tick),
        "askQty": quantity,
    }


def _trades(quote: float) -> int:
    return math.ceil(quote / _TRADE_SIZE)


def exchange_info(symbols: Iterable[Symbol], now: int, weight_limit: int) -> dict[str, Any]:
    """Limits and symbols with their filters."""
    return {
        "timezone": "UTC",
        "serverTime": now,
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight_limit},
            {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000},
        ],
        "exchangeFilters": [],
        "symbols": [_listing(symbol) for symbol in symbols],
    }


def _listing(symbol: Symbol) -> dict[str, Any]:
    tick, step = number(symbol.tick), number(symbol.step)
    return {
        "symbol": symbol.name,
        "status": symbol.status,
        "baseAsset": symbol.base,
        "baseAssetPrecision": 8,
        "quoteAsset": "USDT",
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "opoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": symbol.status == "TRADING",
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": number(1_000_000), "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": number(90_000_000), "stepSize": step},
            {
                "filterType": "NOTIONAL",
                "minNotional": number(5),
                "applyMinToMarket": True,
                "maxNotional": number(9_000_000),
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }
