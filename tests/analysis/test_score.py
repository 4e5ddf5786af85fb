"""The score's arithmetic: weights, contributions, bounds."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_mcp.analysis.score import WEIGHTS, Reading, blended_weights, score_of, weigh

NAMES = tuple(WEIGHTS["trend"])
directions = st.lists(st.floats(-1, 1), min_size=len(NAMES), max_size=len(NAMES))


def readings(values: list[float]) -> list[Reading]:
    return [Reading(name, value, "", value, partial(str, name)) for name, value in zip(NAMES, values, strict=True)]


def shares(trend: float, span: float) -> dict:
    return {"trend": trend, "range": 1 - trend - span, "breakout": span}


@pytest.mark.parametrize("movement", WEIGHTS)
def test_weights_of_each_movement_add_up_to_one(movement: str) -> None:
    assert sum(WEIGHTS[movement].values()) == pytest.approx(1)
    assert tuple(WEIGHTS[movement]) == NAMES


def test_weights_are_mixed_by_the_probability_of_each_movement() -> None:
    mixed = blended_weights(shares(0.5, 0.2))
    assert mixed["zones"] == pytest.approx(
        0.5 * WEIGHTS["trend"]["zones"] + 0.3 * WEIGHTS["range"]["zones"] + 0.2 * WEIGHTS["breakout"]["zones"]
    )
    assert sum(mixed.values()) == pytest.approx(1)


@given(values=directions, trend=st.floats(0, 0.6), span=st.floats(0, 0.4))
def test_score_lies_in_bounds_and_is_five_plus_contributions(values: list[float], trend: float, span: float) -> None:
    weights = blended_weights(shares(trend, span))
    factors, score = weigh(readings(values), weights), score_of(readings(values), weights)
    assert 0 <= score <= 10
    assert score == pytest.approx(5 + sum(f.contribution for f in factors), abs=0.02)


def test_extremes_reach_zero_and_ten() -> None:
    weights = blended_weights(shares(0.3, 0.1))
    assert score_of(readings([1.0] * len(NAMES)), weights) == pytest.approx(10, abs=0.02)
    assert score_of(readings([-1.0] * len(NAMES)), weights) == pytest.approx(0, abs=0.02)
    assert score_of(readings([0.0] * len(NAMES)), weights) == 5


def test_the_largest_contribution_comes_first() -> None:
    factors = weigh(readings([0.1, -0.9, 0.2, 0.3, 0.0, 0.5, -0.2]), blended_weights(shares(0.4, 0.2)))
    sizes = [abs(factor.contribution) for factor in factors]
    assert sizes == sorted(sizes, reverse=True)


def test_a_range_is_faded_and_a_trend_followed() -> None:
    """Price at resistance in an uptrend: the same readings are bullish in a trend and bearish in a range."""
    values = dict.fromkeys(NAMES, 0.4) | {"zones": -1.0}
    told = readings([values[name] for name in NAMES])
    assert score_of(told, WEIGHTS["trend"]) > 6
    assert score_of(told, WEIGHTS["range"]) < 5


def test_the_documented_weights_are_those_in_use() -> None:
    text = (Path(__file__).parents[2] / "docs" / "analysis-score.md").read_text(encoding="utf-8")
    for name in NAMES:
        row = " | ".join(f"{WEIGHTS[movement][name]:.2f}" for movement in ("trend", "range", "breakout"))
        assert f"| `{name}` | {row} |" in text
