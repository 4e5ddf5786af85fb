"""Rows of `/api/v3/klines` as candles: checked strictly, never corrected."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from crypto_mcp.market.candles import bad_data
from crypto_mcp.models.candles import BadCandles, Candles, Floats

if TYPE_CHECKING:
    from collections.abc import Sequence

_TYPES = (int, str, str, str, str, str, int, str, int, str, str, str)
"""Open time, open, high, low, close, volume, close time, quote volume, trades, taker's volumes, unused."""

SETTLES_IN = 1.0
"""Seconds after its close in which a bar may still change: the exchange answers from a database that lags a little."""


def checked_rows(body: Any, step: int) -> list[list[Any]]:
    """The rows of an answer, each of the documented shape and no longer than the interval asked for."""
    if not isinstance(body, list):
        raise bad_data("no list of candles")
    if not body:
        return body
    if set(map(type, body)) != {list} or set(map(len, body)) != {len(_TYPES)}:
        raise bad_data("a candle of another shape")
    columns = list(zip(*body, strict=True))
    if any(set(map(type, column)) != {kind} for column, kind in zip(columns, _TYPES, strict=True)):
        raise bad_data("a candle of another shape")
    if not all(0 <= end - begin < step for begin, end in zip(columns[0], columns[6], strict=True)):
        raise bad_data("a candle of another interval")
    return body


def as_candles(rows: Sequence[list[Any]], step: int) -> Candles:
    """Rows as columns: prices finite and possible, times rising."""
    try:
        columns = list(zip(*rows, strict=True)) or [()] * 6
        times = np.array(columns[0], dtype=np.int64)
        open_, high, low, close, volume = _numbers(columns[1:6])
        return Candles(times, open_, high, low, close, volume, step).validated()
    except (ValueError, OverflowError) as error:
        raise bad_data("a price or time that is no number") from error
    except BadCandles as error:
        raise bad_data(error.message) from error


def _numbers(columns: Sequence[Sequence[str]]) -> Floats:
    """Decimals as written, a row for each column. JSON reads them as exactly as `float` does, and faster."""
    texts = list(chain.from_iterable(columns))
    values = orjson.loads(f"[{','.join(texts)}]")
    if len(values) != len(texts) or not set(map(type, values)) <= {int, float}:
        raise ValueError("not a number each")
    return np.array(values, dtype=np.float64).reshape(len(columns), -1)


def closed(candles: Candles, now: float) -> Candles:
    """Those that had closed, and settled, at `now` (the exchange's time in seconds)."""
    return candles[: int(np.searchsorted(candles.close_time, (now - SETTLES_IN) * 1000, side="right"))]


def holes(rows: Sequence[list[Any]], step: int) -> list[tuple[int, int]]:
    """Where bars are missing between two rows: from the time the first should open to the time the next row does."""
    times = [row[0] for row in rows]
    return [(one + step, other) for one, other in pairwise(times) if other - one > step]


def describe_gaps(candles: Candles) -> str | None:
    """How many bars are missing in between and where; None if none is."""
    missing = np.rint(np.diff(candles.open_time) / candles.step).astype(np.int64) - 1
    places = np.flatnonzero(missing > 0)
    if not len(places):
        return None
    first = datetime.fromtimestamp(int(candles.close_time[places[0]]) / 1000, UTC)
    count = int(missing[places].sum())
    said = "1 bar is" if count == 1 else f"{count} bars are"
    where = "at" if len(places) == 1 else f"in {len(places)} places, first at"
    return f"{said} missing at the exchange, {where} {first:%Y-%m-%d %H:%M} UTC"
