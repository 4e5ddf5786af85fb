"""Actions and their reasons."""

from __future__ import annotations

import re

import pytest
from walks import random_walk

from crypto_mcp.analysis.assess import assess
from crypto_mcp.analysis.confidence import table
from crypto_mcp.analysis.score import action_for


@pytest.mark.parametrize(
    ("score", "action"),
    [
        (10, "STRONG_BUY"),
        (7.5, "STRONG_BUY"),
        (7.49, "BUY"),
        (6, "BUY"),
        (5.99, "HOLD"),
        (5, "HOLD"),
        (4.01, "HOLD"),
        (4, "SELL"),
        (2.51, "SELL"),
        (2.5, "STRONG_SELL"),
        (0, "STRONG_SELL"),
    ],
)
def test_action_boundaries(score: float, action: str) -> None:
    assert action_for(score) == action


@pytest.mark.parametrize("seed", range(30))
def test_every_recommendation_gives_its_reasons(seed: int) -> None:
    """The strongest reason of either side is named, the past record is, and a call comes with a plan."""
    result = assess(random_walk(300, seed=seed, drift=0.001 * (seed % 3 - 1)), detail="full")
    text = result.recommendation.reasoning
    for sign in (1, -1):
        side = [factor for factor in result.factors if sign * factor.contribution > 0.05]
        assert all(factor.reading in text for factor in side[:1])
    cell = table().cell(result.analysis.movement, result.analysis.intelligent_score)
    assert f"{cell.hits} of {cell.calls} like calls" in text
    assert not re.search(r"nan|inf\b|None", text)
    assert (result.plan is None) == (result.recommendation.action == "HOLD")
    if result.plan:
        assert (result.plan.side == "long") == (result.analysis.intelligent_score > 5)
