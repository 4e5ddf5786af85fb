"""Binance spot REST as documented: weights, intervals, errors.

Source: https://developers.binance.com/docs/binance-spot-api-docs (rest-api, errors), as of July 2026.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

INTERVALS: dict[str, int] = {
    "1m": MINUTE,
    "3m": 3 * MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": HOUR,
    "2h": 2 * HOUR,
    "4h": 4 * HOUR,
    "6h": 6 * HOUR,
    "8h": 8 * HOUR,
    "12h": 12 * HOUR,
    "1d": DAY,
    "3d": 3 * DAY,
    "1w": 7 * DAY,
}
MONDAY = 4 * DAY
"""The first Monday after the epoch, where weeks are counted from."""

WEIGHT_LIMIT = 6000
DEFAULT_ROWS, MOST_ROWS = 500, 1000

SYMBOL = re.compile(r"^[A-Z0-9\-_.]{1,50}$")


@dataclass(frozen=True, slots=True)
class WireError(Exception):
    """An error as the exchange words it."""

    status: int
    code: int
    message: str


def missing(name: str) -> WireError:
    """A mandatory parameter is absent or empty."""
    return WireError(400, -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def malformed(name: str) -> WireError:
    """A parameter that should be a number is none."""
    return WireError(400, -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")


INVALID_SYMBOL = WireError(400, -1121, "Invalid symbol.")
INVALID_INTERVAL = WireError(400, -1120, "Invalid interval.")
ILLEGAL_SYMBOL = WireError(
    400, -1100, r"Illegal characters found in parameter 'symbol'; legal range is '^[\w\-._&&[^a-z]]{1,50}$'."
)
BAD_LIMIT = WireError(400, -1130, "Data sent for parameter 'limit' is not valid.")
NO_SUCH_ROUTE = WireError(404, -1000, "Not found.")

TOO_MUCH_WEIGHT = (
    "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. "
    "Please use WebSocket Streams for live updates to avoid polling the API."
)
BANNED = (
    "Way too much request weight used; IP banned until {until}. "
    "Please use WebSocket Streams for live updates to avoid bans."
)


def ticker_weight(symbols: int | None) -> int:
    """Weight of `ticker/24hr` by how many symbols are asked for; None: all."""
    if symbols is None or symbols > 100:
        return 80
    return 2 if symbols <= 20 else 40
