"""The one shape in which candles travel from market data to the engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crypto_mcp.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COLUMNS = ("open_time", "open", "high", "low", "close", "volume")


class BadCandles(InvalidRequest):
    """Candles that cannot be: unsorted, not finite, high below low, negative volume."""

    code = "bad_candles"


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """Closed bars, oldest first, as contiguous arrays of one length `n`.

    Attributes:
        open_time: int64, start of each bar, milliseconds since the epoch, UTC, strictly rising.
        open, high, low, close: float64, price in quote asset.
        volume: float64, traded amount in base asset.
        step: length of one bar in milliseconds (the bar at `open_time` closes at `open_time + step`).
    """

    open_time: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    step: int

    def __post_init__(self) -> None:
        shape = (len(self.open_time),)
        if shape == self.open.shape == self.high.shape == self.low.shape == self.close.shape == self.volume.shape:
            return
        for name in COLUMNS:
            if getattr(self, name).shape != shape:
                raise BadCandles(
                    f"column {name} does not have the length of open_time", hint="Give columns of one length."
                )

    def __len__(self) -> int:
        return len(self.open_time)

    def __getitem__(self, part: slice) -> Candles:
        """A prefix or window, without copying: `candles[:k]` is what was known when bar k-1 had closed."""
        return Candles(
            open_time=self.open_time[part],
            open=self.open[part],
            high=self.high[part],
            low=self.low[part],
            close=self.close[part],
            volume=self.volume[part],
            step=self.step,
        )

    def __iter__(self) -> Iterator[object]:
        raise TypeError("Candles is columnar: read its arrays, or slice it")

    @property
    def close_time(self) -> Ints:
        """Time at which each bar was complete, milliseconds since the epoch."""
        return self.open_time + self.step

    def validated(self) -> Candles:
        """Itself, or `BadCandles` naming the first bar that cannot be."""
        checks = (
            (
                ~np.isfinite(self.open + self.high + self.low + self.close + self.volume),
                "is not a finite number",
            ),
            (self.low <= 0, "has a price of zero or below"),
            (self.high < self.low, "has its high below its low"),
            ((self.high < self.open) | (self.high < self.close), "has its high below its open or close"),
            ((self.low > self.open) | (self.low > self.close), "has its low above its open or close"),
            (self.volume < 0, "has a negative volume"),
            (
                np.diff(self.open_time, prepend=self.open_time[:1] - 1) <= 0,
                "is not later than the bar before it",
            ),
        )
        for bad, what in checks:
            if bad.any():
                at = int(np.argmax(bad))
                raise BadCandles(
                    f"bar {at} (open_time {int(self.open_time[at])}) {what}",
                    hint="Correct or drop the bar; candles are never repaired by guessing.",
                )
        return self
