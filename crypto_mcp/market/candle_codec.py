"""Candles in some ten bytes a bar, exactly as they were.

Prices on a grid of ticks become whole numbers: the close as its difference to the close before, the open to that close,
high and low to the nearer of open and close, all small. Numbers that lie on no decimal grid stay float64. Each column
is split into its bytes (all first bytes, all second ones, ...), and zstandard packs them together.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import zstandard

from crypto_mcp.market.candles import BadSourceData
from crypto_mcp.models.candles import Candles, Floats, Ints

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_HEADER = struct.Struct("<BIbb6B")
"""Format, bars, decimals of prices and of volume (-1: float64 as it is), bytes a number of each column."""

_FORMAT = 1
SMALL, QUICK = 12, 1
"""How hard zstandard tries: for what is kept, and for what is passed on."""

_MOST_DECIMALS = 10
_SAMPLE = 32
"""Values by which the number of decimals is guessed before all are looked at."""

_EXACT = 2.0**53
"""Whole numbers up to here are exact in float64."""

_RAW = -1


class DamagedCandles(BadSourceData):
    """Packed candles that cannot be read: another format, or bytes that were changed."""

    code = "damaged_candles"


def pack(candles: Candles, level: int = SMALL) -> bytes:
    """The bars as bytes; `unpack` gives back every bit."""
    prices = np.stack([candles.open, candles.high, candles.low, candles.close])
    price_decimals, volume_decimals = _decimals(prices), _decimals(candles.volume)
    columns = [np.diff(candles.open_time, prepend=np.int64(0)), *_price_columns(prices, price_decimals)]
    columns.append(_whole(candles.volume, volume_decimals))
    raw = (False, *4 * (price_decimals == _RAW,), volume_decimals == _RAW)
    packed = [_shuffled(column, as_it_is=as_it_is) for column, as_it_is in zip(columns, raw, strict=True)]
    widths = [len(part) // max(1, len(candles)) for part in packed]
    header = _HEADER.pack(_FORMAT, len(candles), price_decimals, volume_decimals, *widths)
    return header + zstandard.ZstdCompressor(level=level, write_checksum=True).compress(b"".join(packed))


def unpack(packed: bytes, step: int) -> Candles:
    """The bars of `step` milliseconds that were packed.

    Raises:
        DamagedCandles: these are no packed bars.
    """
    try:
        form, bars, price_decimals, volume_decimals, *widths = _HEADER.unpack_from(packed)
        if form != _FORMAT:
            raise _damaged(f"format {form}")
        body = zstandard.ZstdDecompressor().decompress(packed[_HEADER.size :], max_output_size=bars * sum(widths))
        columns = list(_columns(body, bars, widths))
    except (struct.error, zstandard.ZstdError, ValueError) as error:
        raise _damaged(str(error)) from error
    raw = price_decimals == _RAW
    times = np.cumsum(_unzigzag(columns[0]))
    open_, high, low, close = _prices(columns[1:5], price_decimals) if not raw else map(_floats, columns[1:5])
    volume = _floats(columns[5]) if volume_decimals == _RAW else _on_grid(_unzigzag(columns[5]), volume_decimals)
    return Candles(times, open_, high, low, close, volume, step)


def _damaged(why: str) -> DamagedCandles:
    return DamagedCandles(f"kept candles cannot be read: {why}", hint="They are asked for anew.")


def _decimals(values: Floats) -> int:
    """The least number of decimals that says every value exactly, or -1 if no small one does."""
    if np.signbit(values).any():
        return _RAW
    flat = values.reshape(-1)
    some = flat[:: max(1, len(flat) // _SAMPLE)]
    least = next((decimals for decimals in range(_MOST_DECIMALS + 1) if _is_exact(some, decimals)), _MOST_DECIMALS + 1)
    return next((decimals for decimals in range(least, _MOST_DECIMALS + 1) if _is_exact(flat, decimals)), _RAW)


def _is_exact(values: Floats, decimals: int) -> bool:
    """Whether the values on that grid are these: a quotient of exact numbers is rounded as its decimal is when read."""
    with np.errstate(over="ignore"):
        scaled = np.rint(values * 10.0**decimals)
    return bool((np.abs(scaled) < _EXACT).all() and np.array_equal(scaled / 10.0**decimals, values))


def _whole(values: Floats, decimals: int) -> Ints:
    if decimals == _RAW:
        return values.view(np.int64)
    whole: Ints = np.rint(values * 10.0**decimals).astype(np.int64)
    return whole


def _on_grid(whole: Ints, decimals: int) -> Floats:
    values: Floats = whole / 10.0**decimals
    return values


def _price_columns(prices: Floats, decimals: int) -> list[Ints]:
    open_, high, low, close = (_whole(np.ascontiguousarray(column), decimals) for column in prices)
    if decimals == _RAW:
        return [open_, high, low, close]
    before = np.concatenate([close[:1], close[:-1]])
    return [
        open_ - before,
        high - np.maximum(open_, close),
        np.minimum(open_, close) - low,
        np.diff(close, prepend=np.int64(0)),
    ]


def _prices(columns: list[NDArray[np.uint64]], decimals: int) -> Iterator[Floats]:
    opens, highs, lows, closes = map(_unzigzag, columns)
    close = np.cumsum(closes)
    open_ = opens + np.concatenate([close[:1], close[:-1]])
    high = np.maximum(open_, close) + highs
    low = np.minimum(open_, close) - lows
    return (_on_grid(column, decimals) for column in (open_, high, low, close))


def _shuffled(column: Ints, *, as_it_is: bool) -> bytes:
    """Zigzag (small numbers of either sign are small), in as few bytes a number as hold the largest, byte by byte."""
    unsigned = column.view(np.uint64) if as_it_is else ((column << 1) ^ (column >> 63)).view(np.uint64)
    width = 8 if as_it_is else next(w for w in (1, 2, 4, 8) if int(unsigned.max(initial=0)) < 1 << 8 * w)
    narrow = unsigned.astype(f"<u{width}")
    return narrow.view(np.uint8).reshape(-1, width).T.tobytes()


def _columns(body: bytes, bars: int, widths: list[int]) -> Iterator[NDArray[np.uint64]]:
    at = 0
    for width in widths:
        part = np.frombuffer(body, np.uint8, bars * width, at).reshape(width, bars)
        at += bars * width
        yield np.ascontiguousarray(part.T).view(f"<u{width or 1}").reshape(-1).astype(np.uint64)


def _unzigzag(unsigned: NDArray[np.uint64]) -> Ints:
    half = (unsigned >> np.uint64(1)).view(np.int64)
    signs: Ints = half ^ -(unsigned & np.uint64(1)).view(np.int64)
    return signs


def _floats(unsigned: NDArray[np.uint64]) -> Floats:
    return unsigned.view(np.float64)
