"""From candles and a strategy to the arrays of the loop: one clock, signals, and the series that the rules look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import talib
from numpy.typing import NDArray

from crypto_mcp.analysis.kernels import average_true_range
from crypto_mcp.analysis.market_structure import find_structure
from crypto_mcp.backtest.binding import bound, rules_of, targets_of
from crypto_mcp.backtest.funding import PaidFunding, charged
from crypto_mcp.backtest.rules import INSTRUMENT, Market, Method, Records, Signal, Signals, Unit
from crypto_mcp.conditions import evaluate, parse
from crypto_mcp.models.backtest import BacktestParams, Costs
from crypto_mcp.models.candles import Candles, Floats, Ints
from crypto_mcp.models.strategy import Session, Strategy

ATR_LENGTH, VOLATILITY_LENGTH = 14, 30
_HOUR = 3_600_000
_YEAR = 365 * 24 * _HOUR
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
BITS = {
    "entry": np.int8(Signal.LONG_ENTRY),
    "exit": np.int8(Signal.LONG_EXIT),
    "short_entry": np.int8(Signal.SHORT_ENTRY),
    "short_exit": np.int8(Signal.SHORT_EXIT),
}


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """All that a run depends on; the same bytes give the same run.

    Attributes:
        symbols: row by row.
        open_time: int64, start of each bar, milliseconds.
        step: length of a bar, milliseconds.
        market: bars and series, shape (symbols, bars).
        signals: int8, bits of `Signal` at each close, shape (symbols, bars).
        rules: one row of `RULES`.
        targets: rows of `TARGET`.
        instruments: a row of `INSTRUMENT` for each symbol.
    """

    symbols: tuple[str, ...]
    open_time: Ints
    step: int
    market: Market
    signals: Signals
    rules: Records
    targets: Records
    instruments: Records


def prepare(
    candles: Mapping[str, Candles],
    strategy: Strategy,
    params: BacktestParams,
    *,
    instruments: Records | None = None,
    begin: int | None = None,
    funding: Mapping[str, PaidFunding] | None = None,
) -> Prepared:
    """Arrays for `simulate`.

    Args:
        candles: closed bars by symbol, of one length; those before `begin` give conditions their history.
        strategy: open parameters get the values of `params`, else their usual ones.
        params: capital, market, leverage and costs.
        instruments: what the exchange demands of orders, a row a symbol; nothing by default.
        begin: time in milliseconds from which bars are traded; the first by default.
        funding: that was paid, by symbol, for where the costs give no rate.

    Raises:
        ConditionError: a condition cannot be read.
        BadStrategy: numbers contradict each other.
    """
    filled = bound(strategy, params.parameters)
    rules, targets = rules_of(filled, params), targets_of(filled)
    clock = Clock.of(candles, begin)
    signals = np.zeros((len(candles), len(clock.times)), np.int8)
    for row, bars in enumerate(candles.values()):
        signals[row, clock.places[row]] = signals_of(filled, bars)[clock.kept[row]]
    return Prepared(
        symbols=tuple(candles),
        open_time=clock.times,
        step=clock.step,
        market=market_of(candles, clock, filled, params.costs, rules, targets, funding or {}),
        signals=signals,
        rules=rules,
        targets=targets,
        instruments=np.zeros(len(candles), INSTRUMENT) if instruments is None else instruments,
    )


def signals_of(strategy: Strategy, candles: Candles) -> Signals:
    """What the strategy's conditions say at each close, as bits."""
    signals = np.zeros(len(candles), np.int8)
    for name, text in strategy.conditions.items():
        signals |= evaluate(parse(text), candles).view(np.int8) * BITS[name]
    return signals


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """The bars of several symbols on one time axis.

    Attributes:
        times: int64, start of each bar of any symbol.
        step: length of a bar, milliseconds.
        kept: for each symbol its bars that are on the axis, from `begin` on.
        places: where they lie.
    """

    times: Ints
    step: int
    kept: tuple[slice, ...]
    places: tuple[Ints | slice, ...]

    @classmethod
    def of(cls, candles: Mapping[str, Candles], begin: int | None) -> Clock:
        """The union of the symbols' bars from `begin` on."""
        series = list(candles.values())
        kept = [slice(0 if begin is None else int(np.searchsorted(c.open_time, begin)), None) for c in series]
        own = [c.open_time[part] for c, part in zip(series, kept, strict=True)]
        if len(own) == 1:
            return cls(own[0], series[0].step, tuple(kept), (slice(None),))
        times = np.unique(np.concatenate(own))
        return cls(times, series[0].step, tuple(kept), tuple(np.searchsorted(times, mine) for mine in own))

    def spread(self, series: list[Floats], filler: float = np.nan) -> Floats:
        """Series of the symbols on the axis, shape (symbols, bars)."""
        if len(series) == 1:
            return np.array(series[0][self.kept[0]], dtype=np.float64, order="C")[None]
        rows = np.full((len(series), len(self.times)), filler)
        for row, values in enumerate(series):
            rows[row, self.places[row]] = values[self.kept[row]]
        return rows


def market_of(
    candles: Mapping[str, Candles],
    clock: Clock,
    strategy: Strategy,
    costs: Costs,
    rules: Records,
    targets: Records,
    funding: Mapping[str, PaidFunding],
) -> Market:
    """Bars on the clock, and of the other series those that a rule looks at."""
    series = list(candles.values())
    nothing = np.zeros((len(series), 0))
    close = _carried(clock.spread([c.close for c in series]))
    low, high = _swings(series, clock) if rules["stop_structure"][0] else (nothing, nothing)
    atr = [_atr(c) for c in series] if _needs_atr(rules, targets) else []
    volatility = [_volatility(c) for c in series] if rules["method"][0] == Method.VOLATILITY else []
    return Market(
        open=_or(clock.spread([c.open for c in series]), close),
        high=_or(clock.spread([c.high for c in series]), close),
        low=_or(clock.spread([c.low for c in series]), close),
        close=close,
        volume=clock.spread([c.volume for c in series], 0.0),
        atr=_carried(clock.spread(atr)) if atr else nothing,
        swing_low=low,
        swing_high=high,
        volatility=_carried(clock.spread(volatility)) if volatility else nothing,
        funding=charged(clock.times, list(candles), costs.funding, funding) if rules["has_funding"][0] else nothing,
        allowed=_allowed(clock.times, strategy.session),
    )


def with_capital(prepared: Prepared, capital: float) -> Prepared:
    """The same run with another capital."""
    rules = prepared.rules.copy()
    rules["capital"] = capital
    return replace(prepared, rules=rules)


def _needs_atr(rules: Records, targets: Records) -> bool:
    asked = any(rules[name][0] > 0 for name in ("stop_atr", "trail_atr", "slippage_atr"))
    return bool(asked or rules["even_unit"][0] == Unit.ATR or (targets["unit"] == Unit.ATR).any())


def _carried(rows: Floats) -> Floats:
    """Unknown values become the last known one of their row."""
    unknown = np.isnan(rows)
    if not unknown.any():
        return rows
    last = np.maximum.accumulate(np.where(unknown, 0, np.arange(rows.shape[1])), axis=1)
    carried: Floats = np.ascontiguousarray(np.take_along_axis(rows, last, axis=1))
    return carried


def _or(rows: Floats, otherwise: Floats) -> Floats:
    unknown = np.isnan(rows)
    return np.where(unknown, otherwise, rows) if unknown.any() else rows


def _atr(candles: Candles) -> Floats:
    atr: Floats = average_true_range(candles.high, candles.low, candles.close, ATR_LENGTH)
    return atr


def _volatility(candles: Candles) -> Floats:
    """Standard deviation of log returns over 30 bars, a year."""
    if len(candles) <= VOLATILITY_LENGTH:
        return np.full(len(candles), np.nan)
    returns = np.diff(np.log(candles.close), prepend=np.nan)
    found: Floats = talib.STDDEV(returns, VOLATILITY_LENGTH) * np.sqrt(
        VOLATILITY_LENGTH / (VOLATILITY_LENGTH - 1) * _YEAR / candles.step
    )
    return found


def _swings(series: list[Candles], clock: Clock) -> tuple[Floats, Floats]:
    """Newest swing low and high of external structure known at each close; NaN before the first."""
    found = [find_structure(candles).external_swings.rows for candles in series]
    low, high = (
        clock.spread([_known(rows[rows["direction"] == way], len(c)) for rows, c in zip(found, series, strict=True)])
        for way in (1, -1)
    )
    return _carried(low), _carried(high)


def _known(rows: Records, bars: int) -> Floats:
    level = np.full(bars, np.nan)
    level[rows["known_at"]] = rows["top"]
    known: Floats = _carried(level[None])[0]
    return known


def _allowed(times: Ints, session: Session | None) -> NDArray[np.bool_]:
    """At the open of which bars positions may be opened."""
    if session is None:
        return np.ones(len(times), np.bool_)
    hour, day = times // _HOUR % 24, (times // (24 * _HOUR) + 3) % 7
    begin, end = session.from_hour, session.to_hour
    inside = (hour >= begin) & (hour < end) if begin < end else (hour >= begin) | (hour < end)
    days = [_DAYS.index(name) for name in session.weekdays] or list(range(7))
    return np.asarray(inside & np.isin(day, days))
