"""What would change the action: prices at which it really does."""

from __future__ import annotations

import pytest
from walks import random_walk

from crypto_mcp.analysis.assess import assess
from crypto_mcp.analysis.flips import NextBar, find_flips
from crypto_mcp.analysis.landscape import survey
from crypto_mcp.analysis.score import action_for
from crypto_mcp.analysis.verdict import judge


def test_flips_of_a_score_that_is_a_straight_line() -> None:
    """Score 5 at 100, one point a unit of price: SELL from 99 down, BUY from 101 up."""
    flips = find_flips(100.0, 1.0, 5.0, lambda price: 5 + (price - 100))
    assert [flip.action for flip in sorted(flips, key=lambda flip: flip.price)] == ["SELL", "BUY"]
    below, above = sorted(flip.price for flip in flips)
    assert 98.9 <= below <= 99
    assert 101 <= above <= 101.1


def test_the_search_is_bounded() -> None:
    asked: list[float] = []

    def score_at(price: float) -> float:
        asked.append(price)
        return 5 + 0.8 * (price - 100)

    assert len(find_flips(100.0, 1.0, 5.0, score_at)) == 2
    assert len(asked) <= 8


def test_no_flip_where_the_score_stays() -> None:
    assert find_flips(100.0, 1.0, 5.0, lambda _: 5.0) == []
    assert find_flips(100.0, 0.0, 5.0, lambda _: 9.0) == []


@pytest.mark.parametrize("seed", range(25))
def test_a_bar_that_closes_at_the_flip_changes_the_action(seed: int) -> None:
    candles = random_walk(250, seed=seed)
    result, landscape = assess(candles), survey(candles)
    for flip in result.flips:
        assert flip.action != result.recommendation.action
        assert action_for(judge(NextBar(candles).closing_at(flip.price), landscape).score) == flip.action


def test_flips_come_nearest_first() -> None:
    for seed in range(20):
        distances = [abs(flip.distance_percent) for flip in assess(random_walk(250, seed=seed)).flips]
        assert distances == sorted(distances)


def test_the_next_bar_leaves_the_past_as_it_is() -> None:
    candles = random_walk(120, seed=1)
    longer = NextBar(candles).closing_at(90.0).validated()
    assert len(longer) == 121
    assert longer[:120].close.tolist() == candles.close.tolist()
    assert longer.open[-1] == candles.close[-1]
    assert longer.open_time[-1] == candles.open_time[-1] + candles.step
