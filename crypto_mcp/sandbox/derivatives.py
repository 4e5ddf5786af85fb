"""What only derivatives have, made from the sandbox's bars: funding follows the day's move, open interest the volume.

Every figure is a function of symbol and time alone: asked again it is the same, and history agrees with the present.
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Any

from crypto_mcp.sandbox.answers import number
from crypto_mcp.sandbox.hours import CLOSE, OPEN, VOLUME
from crypto_mcp.sandbox.wire import HOUR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crypto_mcp.sandbox.exchange import Exchange, Symbol
    from crypto_mcp.sandbox.hours import Bars

_INTEREST = 0.0001
_MOST_FUNDING = 0.003


def spot_only(symbol: Symbol) -> bool:
    """Whether there is no perpetual of it: of every fifth generated symbol."""
    return symbol.shift_ms is None and int(symbol.base[3:]) % 5 == 0


def funding_hours(symbol: Symbol) -> int:
    """Hours between two fundings: four for every seventh generated symbol, else eight."""
    return 4 if symbol.shift_ms is None and int(symbol.base[3:]) % 7 == 0 else 8


def _day_before(exchange: Exchange, symbol: Symbol, time: int) -> Bars:
    """The last 24 whole hours before `time`; fewer if history begins there."""
    return exchange.candles(symbol, "1h", time, start=None, end=time // HOUR * HOUR - 1, limit=24).bars


def _noise(symbol: Symbol, step: int) -> float:
    """-1 to 1, by symbol and step."""
    return zlib.crc32(f"{symbol.name}-{step}".encode()) / 0x7FFFFFFF - 1


def funding_rate(exchange: Exchange, symbol: Symbol, time: int) -> float:
    """Of the interval that ends at or after `time`: high after a rise, below zero after a fall."""
    day = _day_before(exchange, symbol, time)
    move = day[-1, CLOSE] / day[0, OPEN] - 1 if len(day) else 0.0
    rate = _INTEREST + 0.004 * move + 0.00005 * _noise(symbol, time // (8 * HOUR))
    return max(-_MOST_FUNDING, min(_MOST_FUNDING, rate))


def open_interest(exchange: Exchange, symbol: Symbol, time: int) -> float:
    """Contracts in base asset: a part of the day's volume that swings over days."""
    day = _day_before(exchange, symbol, time)
    if not len(day):
        return 0.0
    phase = zlib.crc32(symbol.name.encode()) % 1000 / 1000
    swing = 1 + 0.25 * math.sin(2 * math.pi * (time / (90 * HOUR) + phase))
    move = day[-1, CLOSE] / day[0, OPEN] - 1
    return float(day[:, VOLUME].mean() * 12 * symbol.step * swing * (1 + 0.5 * move))


def premium(exchange: Exchange, symbol: Symbol, now: int) -> dict[str, Any]:
    """`premiumIndex`."""
    index = float(exchange.last(symbol, now)[-1, CLOSE] * symbol.tick)
    rate = funding_rate(exchange, symbol, now)
    step = funding_hours(symbol) * HOUR
    return {
        "symbol": symbol.name,
        "markPrice": number(index * (1 + rate)),
        "indexPrice": number(index),
        "estimatedSettlePrice": number(index),
        "lastFundingRate": number(rate),
        "interestRate": number(_INTEREST),
        "nextFundingTime": now // step * step + step,
        "time": now,
    }


def paid_funding(
    exchange: Exchange, symbols: list[Symbol], until: int, limit: int, start: int | None
) -> list[dict[str, Any]]:
    """`fundingRate`: the newest up to `until`, or the oldest from `start`; ascending."""
    rows = []
    for symbol in symbols:
        step = funding_hours(symbol) * HOUR
        oldest = max(symbol.hours.begins * HOUR, start or 0)
        newest = until // step * step
        times = range(-(-oldest // step) * step, newest + 1, step)
        for time in times[:limit] if start is not None else times[-limit:]:
            rate = funding_rate(exchange, symbol, time)
            bar = exchange.candles(symbol, "1h", time, start=None, end=time - 1, limit=1).bars
            mark = number(float(bar[-1, CLOSE]) * symbol.tick) if len(bar) else ""
            rows.append(
                {
                    "symbol": symbol.name,
                    "fundingTime": time,
                    "fundingRate": number(rate),
                    "markPrice": mark,
                    "rateType": "Regular",
                }
            )
    rows.sort(key=lambda row: int(row["fundingTime"]))  # type: ignore[call-overload]  # whole milliseconds
    return rows[:limit] if start is not None else rows[-limit:]


def funding_info(symbol: Symbol) -> dict[str, Any]:
    """A row of `fundingInfo`."""
    return {
        "symbol": symbol.name,
        "adjustedFundingRateCap": number(_MOST_FUNDING),
        "adjustedFundingRateFloor": number(-_MOST_FUNDING),
        "fundingIntervalHours": funding_hours(symbol),
        "disclaimer": False,
    }


def interest_history(exchange: Exchange, symbol: Symbol, step: int, limit: int, now: int) -> list[dict[str, Any]]:
    """`openInterestHist`: the newest `limit` whole periods."""
    newest = now // step * step
    rows = []
    for time in range(newest - (limit - 1) * step, newest + 1, step):
        held = open_interest(exchange, symbol, time)
        bar = exchange.candles(symbol, "1h", time, start=None, end=time - 1, limit=1).bars
        price = float(bar[-1, CLOSE]) * symbol.tick if len(bar) else 0.0
        rows.append(
            {
                "symbol": symbol.name,
                "sumOpenInterest": number(held),
                "sumOpenInterestValue": number(held * price),
                "timestamp": time,
            }
        )
    return rows


def exchange_info(symbols: Iterable[Symbol], now: int, weight_limit: int) -> dict[str, Any]:
    """`exchangeInfo` of futures."""
    return {
        "timezone": "UTC",
        "serverTime": now,
        "futuresType": "U_MARGINED",
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight_limit},
            {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
        ],
        "exchangeFilters": [],
        "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
        "symbols": [_contract(symbol) for symbol in symbols],
    }


def _contract(symbol: Symbol) -> dict[str, Any]:
    tick, step = number(symbol.tick), number(symbol.step)
    lot = {"minQty": step, "maxQty": number(1_000_000), "stepSize": step}
    return {
        "symbol": symbol.name,
        "pair": symbol.name,
        "contractType": "PERPETUAL",
        "deliveryDate": 4_133_404_800_000,
        "onboardDate": symbol.hours.begins * HOUR,
        "status": "TRADING" if symbol.status == "TRADING" else "SETTLING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": symbol.base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": 8,
        "quantityPrecision": 8,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": ["PoW"] if symbol.base == "BTC" else [],
        "settlePlan": 0,
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": number(1_000_000), "tickSize": tick},
            {"filterType": "LOT_SIZE", **lot},
            {"filterType": "MARKET_LOT_SIZE", **lot},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": "50" if symbol.base == "BTC" else "5"},
            {"filterType": "PERCENT_PRICE", "multiplierUp": "1.05", "multiplierDown": "0.95", "multiplierDecimal": "4"},
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    }
