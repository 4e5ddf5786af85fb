"""The sandbox's market: its symbols, and their bars of any interval at any time."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crypto_mcp.sandbox.hours import CLOSE, HIGH, LOW, OPEN, VOLUME, Bars, Generated, HourlyBars, Recorded
from crypto_mcp.sandbox.minutes import minutes_of
from crypto_mcp.sandbox.wire import DAY, HOUR, INTERVALS, MINUTE, MONDAY

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDED = {"BTCUSDT": (0.1, 0.001), "ETHUSDT": (0.01, 0.001), "SOLUSDT": (0.001, 1.0)}
"""Tick and step of the recorded symbols, as the recorded market had them."""

GENERATED = 400
_HALTED_EVERY = 200
_HALTED_FOR = 7 * DAY


@dataclass(frozen=True, slots=True)
class Symbol:
    """A pair and where its hours come from. `tick`: price step, quote asset; `step`: of volume, base asset."""

    name: str
    base: str
    tick: float
    step: float
    hours: HourlyBars
    status: str = "TRADING"
    shift_ms: int | None = None
    """How far recorded bars were moved in time; None for generated ones."""


@dataclass(frozen=True, slots=True)
class BarTable:
    """Bars of one interval: `open_time` in ms (n), `bars` in ticks and steps (n, 5). The last may still be open."""

    open_time: NDArray[np.int64]
    bars: Bars


class Exchange:
    """All symbols. Recorded bars end at the hour `last_hour`, in hours since the epoch."""

    def __init__(self, last_hour: int, seed: int = 1, generated: int = GENERATED) -> None:
        self._opened = (last_hour + 1) * HOUR
        self.symbols = {s.name: s for s in (*_recorded(last_hour), *_generated(seed, generated))}

    def candles(
        self, symbol: Symbol, interval: str, now: int, *, start: int | None, end: int | None, limit: int
    ) -> BarTable:
        """Bars by the exchange's rules: from `start` the oldest, else the newest up to `end`; at most `limit`.

        The bar in progress at `now` is the last there is; it holds the minutes begun so far. A halted symbol's bars end
        a week before the sandbox opened.
        """
        if symbol.status != "TRADING":
            now = min(now, self._opened - _HALTED_FOR)
        step, origin = INTERVALS[interval], MONDAY if interval == "1w" else 0
        newest = (min(now, end) if end is not None else now) - origin
        newest = newest // step * step + origin
        oldest = symbol.hours.begins * HOUR
        if start is not None:
            first = max(-(-(start - origin) // step) * step + origin, oldest)
            newest = min(newest, first + (limit - 1) * step)
        else:
            first = max(newest - (limit - 1) * step, (oldest - origin) // step * step + origin)
        if newest < first:
            return BarTable(np.empty(0, dtype=np.int64), np.empty((0, 5), dtype=np.int64))
        until = min(newest + step, now // MINUTE * MINUTE + MINUTE)
        times, bars = _minutes(symbol, first, until) if step < HOUR else _hours(symbol, first, until)
        return _aggregate(times, bars, step, origin)

    def day(self, symbol: Symbol, now: int) -> BarTable:
        """The last 24 hours up to this minute, by hours."""
        until = now // MINUTE * MINUTE + MINUTE
        times, bars = _hours(symbol, until - 24 * HOUR, until)
        return BarTable(times, bars)


def _hours(symbol: Symbol, first: int, until: int) -> tuple[NDArray[np.int64], Bars]:
    """Hourly bars that begin from `first` on; of the hour in progress the minutes begun before `until`."""
    first_hour = max(-(-first // HOUR), symbol.hours.begins)
    bars = symbol.hours.read(first_hour, (until - 1) // HOUR)
    times = (first_hour + np.arange(len(bars))) * HOUR
    if until % HOUR and len(bars):
        part = _inside(symbol, int(times[-1]), bars[-1])[: until % HOUR // MINUTE]
        bars = np.concatenate([bars[:-1], _reduce(part, np.zeros(1, dtype=np.int64))])
    return times, bars


def _minutes(symbol: Symbol, first: int, until: int) -> tuple[NDArray[np.int64], Bars]:
    first_hour = max(first // HOUR, symbol.hours.begins)
    hours = symbol.hours.read(first_hour, (until - 1) // HOUR)
    bars = np.concatenate([_inside(symbol, (first_hour + i) * HOUR, hour) for i, hour in enumerate(hours)])
    times = first_hour * HOUR + np.arange(len(bars)) * MINUTE
    inside = (times >= first) & (times < until)
    return times[inside], bars[inside]


def _inside(symbol: Symbol, time: int, bar: NDArray[np.int64]) -> Bars:
    o, h, l, c, v = bar.tolist()  # noqa: E741 - the field's letters
    return minutes_of((o, h, l, c, v), (zlib.crc32(symbol.name.encode()), time // HOUR))


def _aggregate(times: NDArray[np.int64], bars: Bars, step: int, origin: int) -> BarTable:
    buckets = (times - origin) // step
    starts = np.flatnonzero(np.diff(buckets, prepend=buckets[0] - 1))
    return BarTable(buckets[starts] * step + origin, _reduce(bars, starts))


def _reduce(bars: Bars, starts: NDArray[np.int64]) -> Bars:
    ends = np.append(starts[1:], len(bars)) - 1
    return np.stack(
        [
            bars[starts, OPEN],
            np.maximum.reduceat(bars[:, HIGH], starts),
            np.minimum.reduceat(bars[:, LOW], starts),
            bars[ends, CLOSE],
            np.add.reduceat(bars[:, VOLUME], starts),
        ],
        1,
    )


def _recorded(last_hour: int) -> Iterator[Symbol]:
    for name, (tick, step) in RECORDED.items():
        with files("crypto_mcp.sandbox.recorded").joinpath(f"{name}-1h.parquet").open("rb") as file:
            frame = pl.read_parquet(file)
        prices = frame.select("open", "high", "low", "close").to_numpy() / tick
        bars = np.rint(np.column_stack([prices, frame["volume"].to_numpy() / step])).astype(np.int64)
        ended: int = frame["open_time"].dt.epoch("ms")[-1] // HOUR
        yield Symbol(
            name, name.removesuffix("USDT"), tick, step, Recorded(bars, last_hour), shift_ms=(last_hour - ended) * HOUR
        )


def _generated(seed: int, count: int) -> Iterator[Symbol]:
    """Pairs named SBX001 and on: priced from 0.0001 to 30,000, calm and wild, busy and nearly still."""
    random = np.random.Generator(np.random.PCG64(seed))
    for number in range(1, count + 1):
        tick = 10.0 ** int(random.integers(-8, 1))
        base = f"SBX{number:03d}"
        hours = Generated(
            seed=seed,
            number=number,
            start_ticks=int(random.integers(3_000, 30_000)),
            hourly_volatility=float(random.lognormal(np.log(0.008), 0.4)),
            volume=float(random.lognormal(np.log(50_000), 1.5)),
            quiet_share=0.3 if number % 50 == 0 else 0.0,
        )
        status = "BREAK" if number % _HALTED_EVERY == 0 else "TRADING"
        yield Symbol(f"{base}USDT", base, tick, 1.0, hours, status)
