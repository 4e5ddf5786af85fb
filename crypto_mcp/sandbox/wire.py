"""Binance spot REST as documented: weights, intervals, errors.

Source: https://developers.binance.com/docs/binance-spot-api-docs (rest-api, errors), as of July 2026.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

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

DEFAULT_ROWS, MOST_ROWS = 500, 1000
DEFAULT_LEVELS = 100

SYMBOL = re.compile(r"[A-Z0-9\-_.]{1,50}")
STATUSES = ("TRADING", "HALT", "BREAK")


def _tickers(symbols: int | None) -> int:
    if symbols is None or symbols > 100:
        return 80
    return 2 if symbols <= 20 else 40


def _last_prices(symbols: int | None) -> int:
    return 2 if symbols == 1 else 4


WEIGHTS: dict[str, Callable[[int | None], int]] = {
    "/api/v3/ping": lambda _: 1,
    "/api/v3/time": lambda _: 1,
    "/api/v3/exchangeInfo": lambda _: 20,
    "/api/v3/klines": lambda _: 2,
    "/api/v3/ticker/24hr": _tickers,
    "/api/v3/ticker/price": _last_prices,
    "/api/v3/ticker/bookTicker": _last_prices,
}
"""Weight of a request by its route, given for how many symbols it asks (None: all)."""


def depth_weight(limit: str | None) -> int:
    """Weight of `depth` by the number of levels as it was sent."""
    levels = int(limit) if limit and limit.isascii() and limit.isdigit() else DEFAULT_LEVELS
    return next((weight for most, weight in ((100, 5), (500, 25), (1000, 50)) if levels <= most), 250)


@dataclass(frozen=True, slots=True)
class WireError(Exception):
    """An error as the exchange words it."""

    status: int
    code: int
    message: str


def _bad_request(code: int, message: str) -> WireError:
    return WireError(400, code, message)


def missing(name: str) -> WireError:
    """A mandatory parameter is absent or empty."""
    return _bad_request(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal(name: str, legal: str) -> WireError:
    """A parameter holds characters it may not hold."""
    return _bad_request(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def invalid(name: str) -> WireError:
    """A parameter has a value it cannot have."""
    return _bad_request(-1130, f"Data sent for parameter '{name}' is not valid.")


def empty(name: str) -> WireError:
    """An optional parameter was sent without a value."""
    return _bad_request(-1105, f"Parameter '{name}' was empty.")


def unread(read: int, sent: int) -> WireError:
    """A parameter was sent that the route does not know."""
    return _bad_request(-1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.")


WHOLE = "^[0-9]{1,20}$"
ONE_SYMBOL = r"^[\w\-._&&[^a-z]]{1,50}$"
MANY_SYMBOLS = r'^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$'

SENT_TWICE = _bad_request(-1101, "Duplicate values for a parameter detected.")
START_AFTER_END = _bad_request(-1023, "Start time is greater than end time.")
INVALID_INTERVAL = _bad_request(-1120, "Invalid interval.")
INVALID_SYMBOL = _bad_request(-1121, "Invalid symbol.")
INVALID_STATUS = _bad_request(-1122, "Invalid symbolStatus.")
BOTH_SYMBOLS = _bad_request(
    -1128,
    "Combination of optional parameters invalid. Recommendation: 'symbol' and 'symbols' cannot both be sent.",
)
INVALID_TICKER_TYPE = _bad_request(-1139, "Invalid ticker type.")
SYMBOL_TWICE = _bad_request(-1151, "Symbol is present multiple times in the list.")
OTHER_STATUS = _bad_request(-1220, "The symbol's status does not match the requested symbolStatus.")

TOO_MUCH_WEIGHT = (
    "Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
    "Please use WebSocket Streams for live updates to avoid polling the API."
)
BANNED = (
    "Way too much request weight used; IP banned until {until}. "
    "Please use WebSocket Streams for live updates to avoid bans."
)
FORBIDDEN_HERE = "Service unavailable from a restricted location according to 'b. Eligibility'."
INTERNAL = "Internal error; unable to process your request. Please try again."
