"""Several timeframes in one answer."""

from __future__ import annotations

import math

import pytest
from walks import random_walk

from crypto_mcp.analysis.assess import assess
from crypto_mcp.analysis.confluence import confluence
from crypto_mcp.models.analysis import AnalyzeParams, Assessment
from crypto_mcp.models.timeframes import Timeframe

H1, H4, D1 = Timeframe.H1, Timeframe.H4, Timeframe.D1


def scoring(score: float) -> Assessment:
    """A real assessment whose score is set to what the case needs."""
    result = assess(random_walk(120, seed=1))
    return result.model_copy(update={"analysis": result.analysis.model_copy(update={"intelligent_score": score})})


def test_longer_bars_weigh_more() -> None:
    joint = confluence({D1: scoring(8), H1: scoring(5)})
    assert [view.timeframe for view in joint.views] == [H1, D1]
    short, long = 1 + math.log(60), 1 + math.log(1440)
    assert joint.views[1].weight == pytest.approx(long / (short + long), abs=0.001)
    assert joint.intelligent_score == pytest.approx(5 + 3 * long / (short + long), abs=0.01)
    assert joint.action == "BUY"


def test_agreement_is_full_one_way_and_low_when_they_cancel_out() -> None:
    assert confluence({H1: scoring(7), H4: scoring(8), D1: scoring(5.5)}).agreement == 100
    split = confluence({H1: scoring(7), H4: scoring(8), D1: scoring(2)})
    assert split.agreement < 30
    assert confluence({H1: scoring(5), H4: scoring(5)}).agreement == 0


def test_the_reading_names_who_is_against() -> None:
    assert "1h leans the other way" in confluence({H1: scoring(4), D1: scoring(9)}).reading
    assert "all lean the same way" in confluence({H1: scoring(6), D1: scoring(9)}).reading


def test_timeframes_to_compare_are_sorted_and_named_once() -> None:
    assert AnalyzeParams(symbol="BTC", compare=["1d", "4h", "1d"]).compare == [H4, D1]
