"""What data sites know of coins beside their markets: rank, market cap, the mood of the whole market."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Coin:
    """A coin, not a pair. Symbols are not unique among coins: `id` is, within its source.

    Attributes:
        symbol: upper case, as exchanges name the base asset.
        rank: by market cap, 1 is the largest; None if it has none.
        price, market_cap, volume_24h: US dollars; None if not known.
        change_1h, change_24h, change_7d: percent; None if not known.
        source: who said so; `sandbox` whenever a sandbox did.
        at: when the source last updated it.
    """

    id: str
    symbol: str
    name: str
    rank: int | None
    price: float | None
    market_cap: float | None
    volume_24h: float | None
    change_1h: float | None
    change_24h: float | None
    change_7d: float | None
    source: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class GlobalMarket:
    """All coins together: US dollars and percent."""

    market_cap: float
    volume_24h: float
    bitcoin_share: float
    ether_share: float
    coins: int
    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class TrendingCoin:
    """A coin many people look for; `place` 1 is the most."""

    id: str
    symbol: str
    name: str
    rank: int | None
    place: int
    source: str


@dataclass(frozen=True, slots=True)
class FearGreed:
    """The mood of the whole market: `value` 0 (fear) to 100 (greed), `label` in the source's words.

    Sources draw the bands differently, so a label means something only with its source.
    """

    value: int
    label: str
    source: str
    at: datetime
