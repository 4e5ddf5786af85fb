"""Built-in strategies run as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from crypto_mcp.backtest import STRATEGIES, Prepared, prepare, simulate
from crypto_mcp.backtest.lookahead import REPLAYS, LookaheadFound, lookahead_check
from crypto_mcp.conditions import ConditionError
from crypto_mcp.models.backtest import BacktestParams
from crypto_mcp.models.strategy import Strategy
from tests.analysis.walks import random_walk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crypto_mcp.models.candles import Candles

CANDLES = random_walk(3000, seed=5, drift=0.0002)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_built_in_strategy_trades(name: str) -> None:
    """Every built-in strategy reads, opens positions on a random walk, and gives the same bytes again."""
    params = BacktestParams(symbols=["BTCUSDT"], strategy=name)
    prepared = prepare({"BTCUSDT": CANDLES}, STRATEGIES[name], params)
    run, again = simulate(prepared), simulate(prepared)
    assert len(run.trades) > 0
    assert np.isfinite(run.equity).all()
    assert run.equity.tobytes() == again.equity.tobytes()
    assert run.trades.tobytes() == again.trades.tobytes()


def test_the_tool_tells_the_names_of_the_built_in_strategies() -> None:
    """What the schema says of `strategy` names every built-in one."""
    said = BacktestParams.model_json_schema()["properties"]["strategy"]["description"]
    assert all(name in said for name in STRATEGIES), said


@pytest.mark.parametrize("text", ["close[-1] > close", "shift(close, -1) > close", "highest(high, 5)[-2] > close"])
def test_the_next_bar_cannot_be_asked_for(text: str) -> None:
    """There is no way to say it."""
    with pytest.raises(ConditionError):
        prepare({"BTCUSDT": CANDLES}, Strategy(entry=text), BacktestParams(symbols=["BTCUSDT"]))


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_that_knows_the_next_bar_is_caught(name: str) -> None:
    """The same decisions a bar too early are found out by the replay; made in time they pass it."""
    strategy, params = STRATEGIES[name], BacktestParams(symbols=["BTCUSDT"], strategy=name)

    def honest(candles: Mapping[str, Candles]) -> Prepared:
        return prepare(candles, strategy, params)

    def cheating(candles: Mapping[str, Candles]) -> Prepared:
        true = honest(candles)
        early = np.zeros_like(true.signals)
        early[:, :-1] = true.signals[:, 1:]
        return replace(true, signals=early)

    for made in (honest, cheating):
        prepared = made({"BTCUSDT": CANDLES})
        run = simulate(prepared)
        if made is honest:
            assert lookahead_check(made, {"BTCUSDT": CANDLES}, prepared, run) == REPLAYS
        else:
            with pytest.raises(LookaheadFound):
                lookahead_check(made, {"BTCUSDT": CANDLES}, prepared, run)
