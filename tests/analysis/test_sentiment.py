"""Sentiment: its parts, their shares, and what is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from walks import from_closes, random_walk

from crypto_mcp.analysis.sentiment import closing_places, money_flow, mood, read_sentiment
from crypto_mcp.models.analysis import MarketMood


def test_money_flow_by_its_formula() -> None:
    candles = random_walk(60, seed=1)
    last = candles[-20:]
    multiplier = (2 * last.close - last.low - last.high) / (last.high - last.low)
    assert money_flow(candles) == pytest.approx((multiplier * last.volume).sum() / last.volume.sum())


def test_closing_places_run_from_low_to_high() -> None:
    candles = from_closes(np.array([10.0, 11.0, 10.0, 10.0]), wick=0)
    assert closing_places(candles).tolist() == [0, 1, -1, 0]


def test_bars_that_all_rise_are_bullish_and_bars_that_all_fall_bearish() -> None:
    rising, falling = (read_sentiment(from_closes(np.exp(s * 0.01 * np.arange(50)))) for s in (1, -1))
    assert mood(rising.value) == "bullish"
    assert mood(falling.value) == "bearish"
    assert "20 of the last 20" in rising.parts[0].reading


def test_shares_of_what_is_missing_go_to_the_others() -> None:
    candles = random_walk(60, seed=2)
    alone = read_sentiment(candles)
    assert [part.share for part in alone.parts] == [0.5, 0.5]
    assert list(alone.missing) == ["funding", "open_interest", "fear_greed"]
    told = read_sentiment(candles, MarketMood(funding_percent=0.01, open_interest_percent=4, fear_greed=80))
    assert told.missing == {}
    assert {part.name: part.share for part in told.parts} == {
        "price": 0.3,
        "volume": 0.3,
        "funding": 0.15,
        "open_interest": 0.1,
        "fear_greed": 0.15,
    }
    assert told.value == pytest.approx(sum(part.share * part.value for part in told.parts), abs=0.002)


def test_values_of_the_parts_beside_the_bars() -> None:
    falling = from_closes(np.exp(-0.01 * np.arange(60)))
    told = read_sentiment(falling, MarketMood(funding_percent=-0.025, open_interest_percent=5, fear_greed=25))
    values = {part.name: part.value for part in told.parts}
    assert values["funding"] == pytest.approx(-0.5)
    assert values["open_interest"] == pytest.approx(-0.5)
    assert values["fear_greed"] == pytest.approx(-0.5)


def test_a_market_without_volume_has_no_volume_mood() -> None:
    candles = random_walk(60, seed=3)
    silent = read_sentiment(replace(candles, volume=np.zeros(60)))
    assert silent.parts[1].value == 0


@pytest.mark.parametrize(
    ("value", "name"),
    [(0.35, "bullish"), (0.34, "slightly_bullish"), (0.09, "neutral"), (-0.1, "slightly_bearish"), (-0.35, "bearish")],
)
def test_names_of_moods(value: float, name: str) -> None:
    assert mood(value) == name
