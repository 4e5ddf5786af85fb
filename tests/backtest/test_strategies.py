"""Built-in strategies run as they are."""

from __future__ import annotations

import numpy as np
import pytest

from crypto_mcp.backtest import STRATEGIES, prepare, simulate
from crypto_mcp.models.backtest import BacktestParams
from tests.analysis.walks import random_walk

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
