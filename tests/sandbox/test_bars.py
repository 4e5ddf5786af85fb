"""The sandbox's bars: one history, whatever the interval, the moment and the process that asks."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_mcp.sandbox.answers import klines
from crypto_mcp.sandbox.exchange import RECORDED, BarTable, Exchange
from crypto_mcp.sandbox.hours import CLOSE, HIGH, LOW, OPEN, VOLUME
from crypto_mcp.sandbox.minutes import begun, minutes_of
from crypto_mcp.sandbox.wire import DAY, HOUR, INTERVALS, MINUTE, MONDAY

OPENED = 495_000 * HOUR
"""A moment in 2026."""

EXCHANGE = Exchange(OPENED // HOUR - 1)
CANDLES = Path(os.environ.get("CRYPTO_MCP_CANDLES", Path(__file__).parents[3] / "shared" / "data"))

names = st.sampled_from(["BTCUSDT", "ETHUSDT", "SOLUSDT", "SBX007USDT", "SBX050USDT", "SBX399USDT"])
moments = st.integers(OPENED - 200 * DAY, OPENED + 400 * DAY)


def read(
    name: str, interval: str, now: int, start: int | None = None, end: int | None = None, limit: int = 1000
) -> BarTable:
    return EXCHANGE.candles(EXCHANGE.symbols[name], interval, now, start=start, end=end, limit=limit)


def joined(bars: np.ndarray) -> list[int]:
    """Open, high, low, close and volume of all bars together."""
    return [bars[0, OPEN], bars[:, HIGH].max(), bars[:, LOW].min(), bars[-1, CLOSE], bars[:, VOLUME].sum()]


@st.composite
def bars(draw: st.DrawFn) -> tuple[int, int, int, int, int]:
    low, *inside, high = sorted(draw(st.lists(st.integers(1, 10**9), min_size=4, max_size=4)))
    open_, close = draw(st.permutations(inside))
    return open_, high, low, close, draw(st.integers(0, 10**12))


@given(bar=bars(), seed=st.tuples(st.integers(0, 2**32), st.integers(0, 10**6)))
def test_minutes_add_up_to_their_hour(bar: tuple[int, int, int, int, int], seed: tuple[int, int]) -> None:
    rows = minutes_of(bar, seed)
    assert tuple(joined(rows)) == bar
    assert np.all(rows[:, LOW] <= rows[:, [OPEN, CLOSE]].min(axis=1))
    assert np.all(rows[:, HIGH] >= rows[:, [OPEN, CLOSE]].max(axis=1))
    assert np.all(rows[:, VOLUME] >= 0)
    assert np.all(rows[1:, OPEN] == rows[:-1, CLOSE])


@given(bar=bars(), shares=st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted))
def test_a_bar_in_progress_grows_into_the_whole_one(bar: tuple[int, int, int, int, int], shares: list[float]) -> None:
    """Highs only rise, lows only fall, volume only grows; in the end it is the bar."""
    whole = np.array(bar)
    earlier, later = (begun(whole, share) for share in shares)
    assert earlier[OPEN] == later[OPEN] == bar[OPEN]
    assert earlier[HIGH] <= later[HIGH] <= bar[HIGH]
    assert earlier[LOW] >= later[LOW] >= bar[LOW]
    assert earlier[VOLUME] <= later[VOLUME] <= bar[VOLUME]
    for part in (earlier, later):
        assert part[LOW] <= part[CLOSE] <= part[HIGH]
    assert begun(whole, 1.0).tolist() == list(bar)
    assert begun(whole, 0.0).tolist() == [bar[OPEN]] * 4 + [0]


@settings(max_examples=60)
@given(name=names, now=moments, interval=st.sampled_from(sorted(INTERVALS)), part=st.sampled_from(["1m", "15m", "1h"]))
def test_a_bar_is_the_sum_of_its_parts_also_while_it_is_in_progress(
    name: str, now: int, interval: str, part: str
) -> None:
    step, finer = INTERVALS[interval], INTERVALS[part]
    if step % finer or step // finer > 1000:
        return
    longer = read(name, interval, now, limit=2)
    for start, bar in zip(longer.open_time.tolist(), longer.bars, strict=True):
        pieces = read(name, part, now, start=start, end=start + step - 1)
        assert joined(pieces.bars) == bar.tolist()


@settings(max_examples=60)
@given(
    name=names,
    interval=st.sampled_from(sorted(INTERVALS)),
    now=moments,
    offsets=st.tuples(st.none() | st.integers(-200, 20), st.none() | st.integers(-200, 20)),
    odd=st.integers(0, MINUTE),
    limit=st.integers(1, 100),
)
def test_start_end_and_limit_choose_as_documented(
    name: str, interval: str, now: int, offsets: tuple[int | None, int | None], odd: int, limit: int
) -> None:
    step = INTERVALS[interval]
    start, end = (None if offset is None else now + offset * step + odd for offset in offsets)
    everything = read(name, interval, now)
    times = everything.open_time
    if start is not None and len(times) == 1000 and start < times[0]:
        return
    fits = (times >= (start or 0)) & (times <= (now if end is None else end))
    wanted = np.flatnonzero(fits)
    wanted = wanted[-limit:] if start is None else wanted[:limit]
    got = read(name, interval, now, start, end, limit)
    assert got.open_time.tolist() == times[wanted].tolist()
    closed = times[wanted] + step <= now
    assert np.array_equal(got.bars[closed], everything.bars[wanted][closed])


@settings(max_examples=40)
@given(name=names, interval=st.sampled_from(["1m", "1h", "4h", "1d"]), now=moments, later=st.integers(0, 500 * DAY))
def test_bars_that_have_closed_never_change(name: str, interval: str, now: int, later: int) -> None:
    step = INTERVALS[interval]
    before = read(name, interval, now, limit=200)
    after = read(name, interval, now + later, start=int(before.open_time[0]), limit=200)
    closed = before.open_time + step <= now
    assert np.array_equal(before.bars[closed], after.bars[: len(before.bars)][closed])


def test_the_replay_goes_on_from_its_last_price() -> None:
    """After the recorded year its movements come again, without a jump, however often."""
    for name in RECORDED:
        year = len(EXCHANGE.symbols[name].hours.read(0, OPENED // HOUR - 1))
        for turn in range(3):
            seam = OPENED + turn * year * HOUR
            around = read(name, "1h", seam + 2 * HOUR, limit=5).bars
            jumps = around[1:, OPEN] / around[:-1, CLOSE] - 1
            assert np.abs(jumps).max() < 0.002


def test_the_shift_is_a_whole_number_of_hours_and_ends_the_year_at_the_opening() -> None:
    for name in RECORDED:
        symbol = EXCHANGE.symbols[name]
        assert symbol.shift_ms is not None
        assert symbol.shift_ms % HOUR == 0


@pytest.mark.skipif(not CANDLES.is_dir(), reason=f"no candle directory at {CANDLES}")
@pytest.mark.parametrize("name", RECORDED)
def test_the_replayed_year_is_the_recording_to_the_last_digit(name: str) -> None:
    recording = pl.read_parquet(CANDLES / f"{name}-1h.parquet").tail(8760)
    symbol = EXCHANGE.symbols[name]
    table = EXCHANGE.candles(symbol, "1h", OPENED, start=None, end=OPENED - 1, limit=8760)
    assert (table.open_time - (symbol.shift_ms or 0)).tolist() == recording["open_time"].dt.epoch("ms").to_list()
    replayed = [[float(field) for field in row[1:6]] for row in klines(symbol, table, HOUR)]
    assert replayed == [list(row) for row in recording.select("open", "high", "low", "close", "volume").rows()]


def test_generated_symbols_move_as_markets_do() -> None:
    """Clustered volatility, heavy tails, common moves; from the millionth of a dollar to ten thousands."""
    hours = 4000
    prices, returns = [], []
    for number in range(1, 120):
        if number % 50 == 0:
            continue
        symbol = EXCHANGE.symbols[f"SBX{number:03d}USDT"]
        rows = symbol.hours.read(OPENED // HOUR - hours, OPENED // HOUR - 1)
        assert np.all(rows[1:, OPEN] == rows[:-1, CLOSE])
        prices.append(rows[-1, CLOSE] * symbol.tick)
        if rows[:, LOW].min() > 500:  # else the tick itself is most of a move
            returns.append(np.diff(np.log(rows[:, CLOSE])))
    assert min(prices) < 1e-5
    assert max(prices) > 1e4
    moves = np.array(returns)
    standard = (moves - moves.mean(1, keepdims=True)) / moves.std(1, keepdims=True)
    assert np.median((standard**4).mean(1)) > 4.5
    size = np.abs(standard) - np.abs(standard).mean(1, keepdims=True)
    assert np.median((size[:, 24:] * size[:, :-24]).mean(1) / (size**2).mean(1)) > 0.03
    assert 0.1 < np.median(np.corrcoef(standard)) < 0.7


def test_an_hour_without_trades_does_not_move() -> None:
    rows = EXCHANGE.symbols["SBX050USDT"].hours.read(OPENED // HOUR - 1000, OPENED // HOUR)
    still = rows[rows[:, VOLUME] == 0]
    assert 200 < len(still) < 400
    assert np.all(still[:, :VOLUME] == still[:, [OPEN]])


def test_weeks_begin_on_monday() -> None:
    table = read("SBX007USDT", "1w", OPENED, limit=10)
    assert np.all((table.open_time - MONDAY) % (7 * DAY) == 0)


def test_another_exchange_of_the_same_seed_and_opening_has_the_same_bars() -> None:
    twin, other = Exchange(OPENED // HOUR - 1), Exchange(OPENED // HOUR - 1, seed=2)
    for name in ("BTCUSDT", "SBX123USDT"):
        for interval in ("1m", "1h"):
            mine, theirs = (
                e.candles(e.symbols[name], interval, OPENED, start=None, end=None, limit=500) for e in (EXCHANGE, twin)
            )
            assert np.array_equal(mine.bars, theirs.bars)
    assert EXCHANGE.symbols["SBX123USDT"].hours != other.symbols["SBX123USDT"].hours
