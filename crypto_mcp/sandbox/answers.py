"""Bodies in the exchange's wire format: numbers as strings of eight decimals, times in milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crypto_mcp.sandbox.hours import CLOSE, HIGH, LOW, OPEN, VOLUME
from crypto_mcp.sandbox.wire import WEIGHT_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crypto_mcp.sandbox.exchange import BarTable, Symbol

_TRADE_SIZE = 25
"""Steps of volume counted as one trade, for the count of trades a bar reports."""


def number(value: float) -> str:
    """As the exchange writes amounts."""
    return f"{value:.8f}"


def klines(symbol: Symbol, table: BarTable, step: int) -> list[list[Any]]:
    """Rows of twelve: open time, OHLC, volume, close time, quote volume, trades, taker's volumes, unused."""
    rows = []
    for time, (o, h, low, c, v) in zip(table.open_time.tolist(), table.bars.tolist(), strict=True):
        base = v * symbol.step
        quote = base * (o + h + low + c) / 4 * symbol.tick
        rows.append(
            [
                time,
                *(number(p * symbol.tick) for p in (o, h, low, c)),
                number(base),
                time + step - 1,
                number(quote),
                v // _TRADE_SIZE,
                number(base / 2),
                number(quote / 2),
                "0",
            ]
        )
    return rows


def ticker(symbol: Symbol, day: BarTable, now: int) -> dict[str, Any]:
    """A FULL `ticker/24hr` of the last day's hours."""
    bars = day.bars
    first, last = bars[0, OPEN] * symbol.tick, bars[-1, CLOSE] * symbol.tick
    base = bars[:, VOLUME] * symbol.step
    quote = float((base * bars[:, [OPEN, HIGH, LOW, CLOSE]].mean(axis=1)).sum()) * symbol.tick
    volume = float(base.sum())
    trades = int(bars[:, VOLUME].sum()) // _TRADE_SIZE
    return {
        "symbol": symbol.name,
        "priceChange": number(last - first),
        "priceChangePercent": f"{(last / first - 1) * 100:.3f}",
        "weightedAvgPrice": number(quote / volume if volume else last),
        "prevClosePrice": number(first),
        "lastPrice": number(last),
        "lastQty": number(symbol.step),
        "bidPrice": number(last - symbol.tick),
        "bidQty": number(100 * symbol.step),
        "askPrice": number(last + symbol.tick),
        "askQty": number(100 * symbol.step),
        "openPrice": number(first),
        "highPrice": number(bars[:, HIGH].max() * symbol.tick),
        "lowPrice": number(bars[:, LOW].min() * symbol.tick),
        "volume": number(volume),
        "quoteVolume": number(quote),
        "openTime": now - 86_400_000,
        "closeTime": now,
        "firstId": 0 if trades else -1,
        "lastId": trades - 1,
        "count": trades,
    }


def exchange_info(symbols: Iterable[Symbol], now: int) -> dict[str, Any]:
    """Limits and symbols with their filters."""
    return {
        "timezone": "UTC",
        "serverTime": now,
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_LIMIT},
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
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
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
