"""Coins as the data sites list them: the sandbox's bases with a supply, ranked by market cap, and two stablecoins."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crypto_mcp.sandbox.hours import CLOSE, HIGH, LOW, OPEN, VOLUME, Generated
from crypto_mcp.sandbox.wire import DAY, MINUTE

if TYPE_CHECKING:
    from collections.abc import Callable

    from crypto_mcp.sandbox.exchange import Exchange, Symbol

KNOWN = {
    "BTC": ("bitcoin", "Bitcoin", 19.8e6),
    "ETH": ("ethereum", "Ethereum", 120.5e6),
    "SOL": ("solana", "Solana", 520e6),
}
STABLE = {"USDT": ("tether", "Tether", 140e9), "USDC": ("usd-coin", "USDC", 60e9)}
CATEGORIES: dict[str, Callable[[Coin], bool]] = {
    "layer-1": lambda coin: coin.symbol in KNOWN or coin.number % 4 == 0,
    "meme-token": lambda coin: coin.number % 9 == 5,
    "decentralized-finance-defi": lambda coin: coin.number % 4 == 1,
    "stablecoins": lambda coin: coin.symbol in STABLE,
}

_CACHED_FOR = MINUTE
"""The real sites answer from a cache of about a minute."""


@dataclass(frozen=True, slots=True)
class Coin:
    """A coin at a moment. Amounts in US dollars, changes in percent; `number` tells generated ones apart."""

    id: str
    symbol: str
    name: str
    number: int
    supply: float
    price: float
    high: float
    low: float
    volume: float
    change_1h: float
    change_24h: float
    change_7d: float

    @property
    def cap(self) -> float:
        """Market capitalisation."""
        return self.price * self.supply


class Coins:
    """All coins, by market cap."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._at = -1
        self._coins: list[Coin] = []

    def ranked(self, now: int) -> list[Coin]:
        """Largest market cap first, as of the minute."""
        if now // _CACHED_FOR != self._at:
            traded = (self._coin(symbol, now) for symbol in self._exchange.symbols.values())
            coins = [*traded, *(_stable(symbol) for symbol in STABLE)]
            self._coins = sorted(coins, key=lambda coin: coin.cap, reverse=True)
            self._at = now // _CACHED_FOR
        return self._coins

    def updated(self, now: int) -> int:
        """Milliseconds at which the present answer was made."""
        return now // _CACHED_FOR * _CACHED_FOR

    def fear_and_greed(self, now: int) -> int:
        """0 to 100 for the UTC day of `now`: how Bitcoin did over the month before it."""
        day = now // DAY * DAY
        bitcoin = self._exchange.symbols["BTCUSDT"]
        month = self._exchange.candles(bitcoin, "1d", day, start=None, end=day - 1, limit=30).bars
        move = math.log(month[-1, CLOSE] / month[0, OPEN])
        return round(50 + 45 * math.tanh(3 * move))

    def _coin(self, symbol: Symbol, now: int) -> Coin:
        week = self._exchange.candles(symbol, "1h", now, start=None, end=None, limit=7 * 24 + 1).bars
        day, tick = week[-25:], symbol.tick
        last = float(week[-1, CLOSE])
        mean = day[:, [OPEN, HIGH, LOW, CLOSE]].mean(axis=1)
        id_, name, supply = KNOWN.get(symbol.base, _made_up(symbol))
        return Coin(
            id=id_,
            symbol=symbol.base,
            name=name,
            number=0 if symbol.base in KNOWN else int(symbol.base[3:]),
            supply=supply,
            price=last * tick,
            high=float(day[:, HIGH].max()) * tick,
            low=float(day[:, LOW].min()) * tick,
            volume=float(day[:, VOLUME] * symbol.step @ mean) * tick,
            change_1h=(last / float(week[-2, CLOSE]) - 1) * 100,
            change_24h=(last / float(day[0, OPEN]) - 1) * 100,
            change_7d=(last / float(week[0, OPEN]) - 1) * 100,
        )


def _made_up(symbol: Symbol) -> tuple[str, str, float]:
    """Id, name and a supply worth ten to a thousand days of volume."""
    number = symbol.base[3:]
    price = symbol.tick * (symbol.hours.start_ticks if isinstance(symbol.hours, Generated) else 1)
    worth = 10 ** (7 + 3 * (zlib.crc32(symbol.name.encode()) % 1000) / 1000)
    return f"sandbox-{number}", f"Sandbox {number}", float(f"{worth / price:.4g}")


def _stable(symbol: str) -> Coin:
    id_, name, supply = STABLE[symbol]
    return Coin(id_, symbol, name, 0, supply, 1.0, 1.001, 0.999, supply / 3, 0.0, 0.01, 0.0)
