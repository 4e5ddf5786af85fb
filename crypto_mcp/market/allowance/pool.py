"""A provider's allowance as the provider states it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pool:
    """So much in each window of the clock, counted for one address or key.

    Attributes:
        name: names the provider, what is counted, and whom it is counted for: `binance-spot@host`.
        limit: as published; what the provider itself says later replaces it.
        seconds: length of a window; windows begin at multiples of it since the epoch, UTC.
        guard: milliseconds around the turn of a window in which a request counts for both, since it may arrive on
            either side. Zero where the window is long.
        halved: whether only half may be used in each window: so that a provider whose windows begin at another moment,
            or slide, never sees more than the limit in any of its own.
    """

    name: str
    limit: int
    seconds: int = 60
    guard: int = 1000
    halved: bool = False
