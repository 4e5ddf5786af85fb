"""Timeframes as the exchange writes them."""

from __future__ import annotations

from enum import StrEnum

MINUTE_MS = 60_000


class Timeframe(StrEnum):
    """Length of a bar. Case-sensitive on the wire: `1m` is a minute, `1M` a month (not offered)."""

    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"
    H6 = "6h"
    H8 = "8h"
    H12 = "12h"
    D1 = "1d"
    D3 = "3d"
    W1 = "1w"

    @property
    def milliseconds(self) -> int:
        """Length of one bar."""
        return _MINUTES[self] * MINUTE_MS

    @property
    def bars_per_year(self) -> float:
        """Bars in a year of 365 days; crypto markets do not close."""
        return 365 * 24 * 60 / _MINUTES[self]


_MINUTES: dict[Timeframe, int] = {
    Timeframe.M1: 1,
    Timeframe.M3: 3,
    Timeframe.M5: 5,
    Timeframe.M15: 15,
    Timeframe.M30: 30,
    Timeframe.H1: 60,
    Timeframe.H2: 120,
    Timeframe.H4: 240,
    Timeframe.H6: 360,
    Timeframe.H8: 480,
    Timeframe.H12: 720,
    Timeframe.D1: 1440,
    Timeframe.D3: 4320,
    Timeframe.W1: 10080,
}
