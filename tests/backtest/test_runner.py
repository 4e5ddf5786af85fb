"""Runs with other parameters say what each run by itself says."""

from __future__ import annotations

import numpy as np
import pytest

from crypto_mcp.backtest import STRATEGIES, bound, prepare, simulate
from crypto_mcp.backtest.runner import StrategyRunner
from crypto_mcp.conditions import ConditionError
from crypto_mcp.models.backtest import BacktestParams
from crypto_mcp.models.strategy import Strategy
from tests.analysis.walks import random_walk

CANDLES = {"AAA": random_walk(900, seed=7), "BBB": random_walk(700, seed=8)}
ONE = {"AAA": CANDLES["AAA"]}


def _drawn(strategy: Strategy, rng: np.random.Generator) -> dict[str, float]:
    """Values near the usual ones; whole where those are."""
    values = {}
    for name, usual in strategy.parameters.items():
        value = usual * rng.uniform(0.6, 1.6)
        values[name] = max(2.0, round(value)) if usual == int(usual) else value
    return values


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("candles", [ONE, CANDLES], ids=["one symbol", "two symbols"])
def test_a_trial_is_the_run_of_its_parameters(name: str, candles: dict) -> None:
    """For every built-in strategy and drawn parameters a trial's equity is, to the bit, that of the strategy alone."""
    strategy = STRATEGIES[name]
    params = BacktestParams(symbols=list(candles), strategy=name)
    runner = StrategyRunner(candles, strategy, params)
    rng = np.random.default_rng(3)
    for _ in range(4):
        values = _drawn(strategy, rng)
        alone = simulate(prepare(candles, bound(strategy, values), params))
        trial = runner(values, 0, runner.bars)
        assert trial.equity.tobytes() == alone.equity.tobytes(), values
        assert trial.trades == len(alone.trades)
        assert simulate(runner.prepared(values)).trades.tobytes() == alone.trades.tobytes()


def test_a_condition_that_is_built_otherwise_for_other_values_is_read_anew() -> None:
    """Numbers that were worked out when the condition was read, or that make two terms one, are never taken over."""
    strategy = Strategy(
        entry="close > ema({a}) * (1 + {b} / 100) and ema({a}) > ema(20)",
        exit="close < ema({a})",
        parameters={"a": 20, "b": 1},
    )
    params = BacktestParams(symbols=["AAA"], strategy=strategy)
    runner = StrategyRunner(ONE, strategy, params, bounds={"a": (5, 40)})
    for values in ({"a": 20, "b": 1}, {"a": 12, "b": 0.5}, {"a": 30, "b": 2}, {"a": 20, "b": 0.25}):
        alone = simulate(prepare(ONE, bound(strategy, values), params))
        assert runner(values, 0, runner.bars).equity.tobytes() == alone.equity.tobytes(), values


def test_a_part_of_the_bars_begins_and_ends_flat() -> None:
    """A window's run starts with the capital, and indicators in it know the bars before."""
    strategy = STRATEGIES["ema_cross"]
    runner = StrategyRunner(ONE, strategy, BacktestParams(symbols=["AAA"]))
    part = runner({}, 300, 600)
    assert len(part.equity) == 300
    assert part.equity[0] == part.start == 10_000
    whole = runner.prepared({})
    assert (runner.prepared({}, 300, 600).signals == whole.signals[:, 300:600]).all()


def test_values_out_of_bounds_are_an_error_before_anything_is_run() -> None:
    """A bound that a condition cannot be read with is refused when the runner is made."""
    with pytest.raises(ConditionError, match="length"):
        StrategyRunner(ONE, STRATEGIES["ema_cross"], BacktestParams(symbols=["AAA"]), bounds={"slow": (1, 900)})
