"""The sandbox's market: its symbols, and their bars of any interval at any time."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crypto_mcp.sandbox.hours import CLOSE, HIGH, LOW, OPEN, VOLUME, Bars, Generated, HourlyBars, Recorded
from crypto_mcp.sandbox.minutes import begun, minutes_of
from crypto_mcp.sandbox.wire import DAY, HOUR, INTERVALS, MINUTE, MONDAY

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDED = {"BTCUSDT": (0.1, 0.001), "ETHUSDT": (0.01, 0.001), "SOLUSDT": (0.001, 1.0)}
"""Tick and step of the recorded symbols, as the recorded market had them."""

GENERATED = 400
_QUIET_EVERY, _HALTED_EVERY = 50, 200
HALTED_AT = 1_780_272_000_000
"""2026-06-01 00:00 UTC: since then two generated symbols are halted."""


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


_NONE = BarTable(np.empty(0, dtype=np.int64), np.empty((0, 5), dtype=np.int64))


class Exchange:
    """All symbols. Recorded bars end at the hour `last_hour`, in hours since the epoch."""

    def __init__(self, last_hour: int, seed: int = 1, generated: int = GENERATED) -> None:
        self.symbols = {s.name: s for s in (*_recorded(last_hour), *_generated(seed, generated))}

    def candles(
        self, symbol: Symbol, interval: str, now: int, *, start: int | None, end: int | None, limit: int
    ) -> BarTable:
        """Bars by the exchange's rules: from `start` the oldest, else the newest up to `end`; at most `limit`.

        The bar in progress at `now` is the last there is; it holds what has happened so far.
        """
        if symbol.status != "TRADING":
            now = min(now, HALTED_AT - 1)
        step, origin = INTERVALS[interval], MONDAY if interval == "1w" else 0
        newest = _floor(min(now, end) if end is not None else now, step, origin)
        oldest = _floor(symbol.hours.begins * HOUR, step, origin)
        if start is None:
            first = max(newest - (limit - 1) * step, oldest)
        else:
            first = max(_floor(start + step - 1, step, origin), oldest)
            newest = min(newest, first + (limit - 1) * step)
        if newest < first:
            return _NONE
        read = _minutes if step < HOUR else _hours
        return _aggregate(read(symbol, first, min(newest + step, now + 1), now), step, origin)

    def day(self, symbol: Symbol, now: int) -> Bars:
        """The bars that make up the last 24 hours to the minute; one without trades if the symbol is halted."""
        if symbol.status != "TRADING":
            last = self.last(symbol, now)[-1, CLOSE]
            return np.array([[last, last, last, last, 0]])
        first = now - DAY
        whole = _floor(first + HOUR - 1, HOUR, 0)
        return np.concatenate([_minutes(symbol, first, whole, now).bars, _hours(symbol, whole, now + 1, now).bars])

    def last(self, symbol: Symbol, now: int) -> Bars:
        """The hour in progress, or the last before the symbol was halted."""
        return self.candles(symbol, "1h", now, start=None, end=None, limit=1).bars


def _floor(time: int, step: int, origin: int) -> int:
    return (time - origin) // step * step + origin


def _hours(symbol: Symbol, first: int, until: int, now: int) -> BarTable:
    """Hourly bars that begin from `first` on and before `until`; the one in progress as far as it is."""
    first_hour, last_hour = max(-(-first // HOUR), symbol.hours.begins), (until - 1) // HOUR
    bars = symbol.hours.read(first_hour, last_hour)
    if last_hour == now // HOUR and len(bars):
        so_far = _reduce(_inside(symbol, last_hour, bars[-1], now), np.zeros(1, dtype=np.int64))
        bars = np.concatenate([bars[:-1], so_far])
    return BarTable((first_hour + np.arange(len(bars))) * HOUR, bars)


def _minutes(symbol: Symbol, first: int, until: int, now: int) -> BarTable:
    """Minutes that begin from `first` on and before `until`; the one in progress as far as it is."""
    first_hour = max(first // HOUR, symbol.hours.begins)
    hours = symbol.hours.read(first_hour, (until - 1) // HOUR)
    if not len(hours):
        return _NONE
    bars = np.concatenate([_inside(symbol, first_hour + i, hour, now) for i, hour in enumerate(hours)])
    times = first_hour * HOUR + np.arange(len(bars)) * MINUTE
    asked = (times >= first) & (times < until)
    return BarTable(times[asked], bars[asked])


def _inside(symbol: Symbol, hour: int, bar: NDArray[np.int64], now: int) -> Bars:
    """The minutes of an hour that have begun at `now`."""
    o, h, l, c, v = bar.tolist()  # noqa: E741 - the field's letters
    minutes = minutes_of((o, h, l, c, v), (zlib.crc32(symbol.name.encode()), hour))
    if hour != now // HOUR:
        return minutes
    current = now % HOUR // MINUTE
    return np.concatenate([minutes[:current], begun(minutes[current], now % MINUTE / MINUTE)[None]])


def _aggregate(table: BarTable, step: int, origin: int) -> BarTable:
    if not len(table.open_time):
        return _NONE
    buckets = (table.open_time - origin) // step
    starts = np.flatnonzero(np.diff(buckets, prepend=buckets[0] - 1))
    return BarTable(buckets[starts] * step + origin, _reduce(table.bars, starts))


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
    """Pairs named SBX001 and on: dear and cheap, calm and wild, busy and nearly still."""
    random = np.random.default_rng(seed)
    for number in range(1, count + 1):
        price = 10 ** random.uniform(-6, 5)  # no secret # nosec B311
        turnover = random.lognormal(math.log(300_000), 1.5)
        tick = 10.0 ** _between(-8, math.floor(math.log10(price)) - int(random.integers(3, 6)), -1)
        step = 10.0 ** _between(-5, math.floor(math.log10(turnover / price)) - 5, 0)
        hours = Generated(
            seed=seed,
            number=number,
            start_ticks=round(price / tick),
            hourly_volatility=float(random.lognormal(math.log(0.008), 0.4)),
            beta=float(random.uniform(0.2, 0.9)),  # no secret # nosec B311
            volume=turnover / price / step,
            quiet_share=0.3 if number % _QUIET_EVERY == 0 else 0.0,
        )
        base = f"SBX{number:03d}"
        yield Symbol(f"{base}USDT", base, tick, step, hours, "TRADING" if number % _HALTED_EVERY else "BREAK")


def _between(least: int, value: int, most: int) -> int:
    return max(least, min(value, most))
