"""One strategy run many times with other parameters, over all bars or a part of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from crypto_mcp.backtest.binding import BadStrategy, bound, rules_of, targets_of
from crypto_mcp.backtest.funding import PaidFunding
from crypto_mcp.backtest.loop import run_bars
from crypto_mcp.backtest.luck.trials import TrialRun
from crypto_mcp.backtest.prepare import BITS, Clock, Prepared, market_of
from crypto_mcp.backtest.rules import FILL, INSTRUMENT, TRADE, Market, Records, Signals
from crypto_mcp.backtest.template import SharedSeries, Template
from crypto_mcp.models.backtest import BacktestParams
from crypto_mcp.models.candles import Candles, Floats
from crypto_mcp.models.strategy import PLACEHOLDER, Strategy

_CONDITIONS = {"entry", "exit", "short_entry", "short_exit"}
_MOST_RULES = 4096


class StrategyRunner:
    """A callable `(values, first, last) -> TrialRun`: the strategy with these parameters over bars `first` to `last`.

    Indicators see the bars before `first`. For one thread: what is shared between runs is not locked.
    """

    def __init__(
        self,
        candles: Mapping[str, Candles],
        strategy: Strategy,
        params: BacktestParams,
        *,
        instruments: Records | None = None,
        begin: int | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        funding: Mapping[str, PaidFunding] | None = None,
    ) -> None:
        """Reads the conditions; the arguments are those of `prepare`.

        Args:
            bounds: between which values parameters will be asked for, checked here instead of when they come.

        Raises:
            ConditionError: a condition cannot be read, with usual values or at a bound.
            BadStrategy: numbers contradict each other.
        """
        self.strategy, self.params = strategy, params
        self.usual = strategy.parameters | params.parameters
        base = bound(strategy, self.usual)
        rules, targets = rules_of(base, params), targets_of(base)
        self._clock = Clock.of(candles, begin)
        self._market = market_of(candles, self._clock, base, params.costs, rules, targets, funding or {})
        self._instruments = np.zeros(len(candles), INSTRUMENT) if instruments is None else instruments
        self._symbols = tuple(candles)
        self._templates = {n: Template.of(text, self.usual, bounds or {}) for n, text in strategy.conditions.items()}
        self._series = [SharedSeries(bars) for bars in candles.values()]
        self._in_rules = sorted(set(PLACEHOLDER.findall(strategy.model_dump_json(exclude=_CONDITIONS))))
        self._rules: dict[tuple[float, ...], tuple[Records, Records]] = {}
        self._parts: dict[tuple[int, int], Market] = {}
        self._empty = np.zeros(0, TRADE), np.zeros(0, FILL)
        for name in self._in_rules:
            for value in (bounds or {}).get(name, ()):
                self._rules_for({name: value})

    @property
    def step(self) -> int:
        """Length of a bar, milliseconds."""
        return self._clock.step

    @property
    def close(self) -> Floats:
        """Closes, shape (symbols, bars)."""
        return self._market.close

    @property
    def bars(self) -> int:
        """Bars that can be traded."""
        return len(self._clock.times)

    def __call__(self, values: Mapping[str, float], first: int, last: int) -> TrialRun:
        """Equity from bar `first` to `last` (excluded), flat before and after."""
        equity = np.empty(last - first)
        rules, targets = self._rules_for(values)
        signals = self._signals(values, first, last)
        account = run_bars(
            self._part(first, last), signals, rules, targets, self._instruments, equity, *self._empty
        )  # fmt: skip
        return TrialRun(equity, self.params.capital, int(account["trades"][0]))

    def prepared(self, values: Mapping[str, float], first: int = 0, last: int | None = None) -> Prepared:
        """The same run for `simulate`, which also gives trades and fills."""
        last = self.bars if last is None else last
        rules, targets = self._rules_for(values)
        return Prepared(
            symbols=self._symbols,
            open_time=self._clock.times[first:last],
            step=self._clock.step,
            market=self._part(first, last),
            signals=self._signals(values, first, last),
            rules=rules,
            targets=targets,
            instruments=self._instruments,
        )

    def _signals(self, values: Mapping[str, float], first: int, last: int) -> Signals:
        values = {**self.usual, **values}
        for template in self._templates.values():
            template.admit(values)
        with np.errstate(all="ignore"):
            if len(self._series) == 1:
                begin = self._clock.kept[0].start
                return self._of_symbol(values, self._series[0])[begin + first : begin + last][None]
            signals = np.zeros((len(self._series), len(self._clock.times)), np.int8)
            for row, series in enumerate(self._series):
                signals[row, self._clock.places[row]] = self._of_symbol(values, series)[self._clock.kept[row]]
        return np.ascontiguousarray(signals[:, first:last])

    def _of_symbol(self, values: Mapping[str, float], series: SharedSeries) -> Signals:
        signals: Signals | None = None
        for name, template in self._templates.items():
            bits = series.evaluate(template, values).view(np.int8) * BITS[name]
            signals = bits if signals is None else np.bitwise_or(signals, bits, out=signals)
        assert signals is not None
        return signals

    def _rules_for(self, values: Mapping[str, float]) -> tuple[Records, Records]:
        key = tuple(values.get(name, self.usual[name]) for name in self._in_rules)
        if key not in self._rules:
            if len(self._rules) >= _MOST_RULES:
                self._rules.clear()
            filled = bound(self.strategy, self.usual | dict(zip(self._in_rules, key, strict=True)))
            self._rules[key] = rules_of(filled, self.params), targets_of(filled)
        return self._rules[key]

    def _part(self, first: int, last: int) -> Market:
        if (first, last) not in self._parts:
            if len(self._parts) >= 64:
                self._parts.clear()
            self._parts[first, last] = windowed(self._market, first, last)
        return self._parts[first, last]


def check_bounds(strategy: Strategy, params: BacktestParams, bounds: Mapping[str, tuple[float, float]]) -> None:
    """Reads conditions and rules with each parameter at either bound, before any bar is there.

    Raises:
        ConditionError, BadStrategy: the search would ask for what cannot be.
    """
    usual = strategy.parameters | params.parameters
    unknown = sorted(bounds.keys() - usual.keys())
    if unknown:
        takes = ", ".join(usual) or "none"
        raise BadStrategy(f"{strategy.name} has no parameter {unknown[0]} to search", hint=f"Its parameters: {takes}.")
    for text in strategy.conditions.values():
        Template.of(text, usual, bounds)
    for name, pair in bounds.items():
        for value in pair:
            rules_of(bound(strategy, usual | {name: value}), params)


def windowed(market: Market, first: int, last: int) -> Market:
    """Bars `first` to `last` (excluded), contiguous as the loop wants them."""
    series = {n: np.ascontiguousarray(s[:, first:last]) for n, s in market._asdict().items() if n != "allowed"}
    return market._replace(allowed=market.allowed[first:last], **series)


def window(prepared: Prepared, first: int, last: int) -> Prepared:
    """A part of a prepared run, flat before and after."""
    return replace(
        prepared,
        open_time=prepared.open_time[first:last],
        market=windowed(prepared.market, first, last),
        signals=np.ascontiguousarray(prepared.signals[:, first:last]),
    )
