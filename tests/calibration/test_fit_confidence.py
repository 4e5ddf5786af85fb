"""The counting behind confidence, and its record on symbols it was not fitted on."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest
from candle_files import DIRECTORY, recorded
from fit_confidence import Call, calls, came_true, fitted, never_falling, predicted

from crypto_mcp.models.candles import Candles


def bars(*ranges: tuple[float, float]) -> Candles:
    low, high = (np.array(side, dtype=float) for side in zip(*ranges, strict=True))
    middle = (low + high) / 2
    return Candles(np.arange(len(ranges)), middle, high, low, middle, middle, 1)


@pytest.mark.parametrize(
    ("future", "long", "short"),
    [
        (bars((99, 101), (100, 106)), True, False),
        (bars((99, 101), (94, 100)), False, True),
        (bars((99, 101), (94, 106)), False, False),  # one bar touches both: stopped
        (bars((99, 101), (99, 101)), False, False),  # neither within the bars
        (bars((94, 101), (99, 106)), False, True),  # stopped first
    ],
)
def test_when_a_call_came_true(future: Candles, long: bool, short: bool) -> None:
    assert came_true(future, "long", stop=95, target=105) is long
    assert came_true(future, "short", stop=105, target=95) is short


def test_pooling_gives_the_nearest_sequence_that_never_falls() -> None:
    pooled = never_falling(np.array([0.5, 0.4, 0.6, 0.55]), np.array([1.0, 3.0, 1.0, 1.0]))
    assert pooled == pytest.approx([0.425, 0.425, 0.575, 0.575])


def test_few_calls_are_drawn_to_the_base_rate() -> None:
    made = [Call("X", 0, 5.1, "range", i % 2 == 0) for i in range(1000)] + [Call("X", 0, 9.0, "breakout", True)] * 5
    table = fitted(made)
    assert table["cells"]["breakout"][-1]["chance"] < 0.52
    assert predicted(table, made[:1]) == pytest.approx(table["cells"]["range"][0]["chance"])


@pytest.mark.skipif(not (DIRECTORY / "SOLUSDT-1h.parquet").exists(), reason=f"no recorded candles in {DIRECTORY}")
def test_the_table_is_no_worse_than_the_base_rate_on_a_symbol_not_fitted() -> None:
    """Nor much better: confidence is honest about an edge that is hardly there."""
    table = json.loads(files("crypto_mcp.analysis").joinpath("confidence.json").read_bytes())
    made = calls("SOLUSDT", recorded("SOLUSDT")[-6000:])
    said, true = predicted(table, made), np.array([call.came_true for call in made])
    brier, base = np.mean((said - true) ** 2), np.mean((table["base"] - true) ** 2)
    assert brier < 1.01 * base
    assert abs(said.mean() - true.mean()) < 0.08
