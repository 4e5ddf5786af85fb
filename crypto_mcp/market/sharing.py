"""What all processes of the product share about providers: the count of what was asked, and requests under way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crypto_mcp.errors import SourceUnavailable
from crypto_mcp.market.allowance.limiter import Limiter, ProcessLimiter, SharedLimiter
from crypto_mcp.market.candles import BadSourceData
from crypto_mcp.market.flights import Flights
from crypto_mcp.market.refusals import SourceForbidden, SourceMissing, SourceRefuses

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from crypto_mcp.settings import MarketSettings

_TRAVEL = (SourceUnavailable, SourceForbidden, SourceMissing, SourceRefuses, BadSourceData)


@dataclass(frozen=True, slots=True)
class Sharing:
    """`flights` is None where nothing is shared."""

    limiter: Limiter
    flights: Flights | None = None

    @classmethod
    def alone(cls, settings: MarketSettings) -> Sharing:
        """For one process without Redis."""
        return cls(ProcessLimiter(settings.allowance))

    @classmethod
    def through(cls, limits: Redis, cache: Redis, settings: MarketSettings) -> Sharing:
        """Counts in `limits` (db 1), answers under way in `cache` (db 0)."""
        return cls(SharedLimiter(limits, settings.allowance), Flights(cache, _TRAVEL))
