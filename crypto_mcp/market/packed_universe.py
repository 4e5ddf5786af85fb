"""The newest bars of all symbols as one value: their columns end to end, packed as one series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import orjson

from crypto_mcp.market.candle_codec import QUICK, DamagedCandles, pack, unpack
from crypto_mcp.models.candles import COLUMNS, Candles

if TYPE_CHECKING:
    from crypto_mcp.models.timeframes import Timeframe


@dataclass(frozen=True, slots=True)
class PackedUniverse:
    """What workers share: see `Universe`."""

    bars: int
    close: int
    candles: dict[str, Candles]
    absent: dict[str, str]
    origins: dict[str, int]


def packed(shared: PackedUniverse) -> bytes:
    """A JSON header, a line feed, packed bars."""
    sizes = {symbol: len(candles) for symbol, candles in shared.candles.items()}
    header = {"bars": shared.bars, "close": shared.close, "sizes": sizes, "absent": shared.absent} | {
        "origins": shared.origins
    }
    times, open_, high, low, close, volume = (
        np.concatenate([np.empty(0), *(getattr(candles, name) for candles in shared.candles.values())])
        for name in COLUMNS
    )
    step = next((candles.step for candles in shared.candles.values()), 1)
    joined = Candles(times.astype(np.int64), open_, high, low, close, volume, step)
    return orjson.dumps(header) + b"\n" + pack(joined, QUICK)


def unpacked(kept: bytes, timeframe: Timeframe) -> PackedUniverse | None:
    """What was packed; None if it is of another version of the product."""
    line, _, body = kept.partition(b"\n")
    try:
        header = orjson.loads(line)
        joined = unpack(body, timeframe.milliseconds)
        ends = np.cumsum([0, *header["sizes"].values()]).tolist()
        candles = {symbol: joined[a:b] for symbol, a, b in zip(header["sizes"], ends[:-1], ends[1:], strict=True)}
        return PackedUniverse(header["bars"], header["close"], candles, header["absent"], header["origins"])
    except (orjson.JSONDecodeError, KeyError, DamagedCandles):
        return None
