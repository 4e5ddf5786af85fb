"""The assessment as a whole: what holds for every market, ordinary or nasty."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from walks import from_closes, random_walk

from crypto_mcp.analysis.assess import LEAST_BARS, assess
from crypto_mcp.analysis.confluence import confluence
from crypto_mcp.errors import NotEnoughData
from crypto_mcp.models.analysis import Analysis, Provenance
from crypto_mcp.models.candles import BadCandles, Candles
from crypto_mcp.models.timeframes import Timeframe


def scaled(candles: Candles, factor: float) -> Candles:
    prices = {name: getattr(candles, name) * factor for name in ("open", "high", "low", "close")}
    return replace(candles, **prices)


def numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [x for part in value.values() for x in numbers(part)]
    if isinstance(value, list):
        return [x for part in value for x in numbers(part)]
    return [value] if isinstance(value, int | float) else []


NASTY = {
    "flat": replace(from_closes(np.full(300, 100.0)), volume=np.zeros(300)),
    "no volume": replace(random_walk(300, seed=1), volume=np.zeros(300)),
    "one jump in a flat line": from_closes(np.where(np.arange(300) < 200, 1.0, 1000.0)),
    "straight up": from_closes(np.exp(0.01 * np.arange(300))),
    "straight down": from_closes(np.exp(-0.01 * np.arange(300))),
    "prices of 1e-8": random_walk(300, seed=2, start=1e-8),
    "prices of 1e8": random_walk(300, seed=3, start=1e8),
    "wild": random_walk(300, seed=4, sigma=0.3),
    "just enough bars": random_walk(LEAST_BARS, seed=5),
}


@pytest.mark.parametrize("name", NASTY)
def test_every_market_gives_finite_figures_within_their_bounds(name: str) -> None:
    """The models bound each figure; what is left to show is that JSON holds no NaN and no infinity."""
    result = assess(NASTY[name], detail="full")
    written = json.loads(result.model_dump_json())
    assert all(math.isfinite(x) for x in numbers(written))
    assert result.price == NASTY[name].close[-1]


def test_the_score_is_five_plus_the_contributions() -> None:
    for seed in range(20):
        result = assess(random_walk(300, seed=seed))
        assert result.analysis.intelligent_score == pytest.approx(
            5 + sum(factor.contribution for factor in result.factors), abs=0.006
        )
        assert sum(factor.weight for factor in result.factors) == pytest.approx(1, abs=0.005)


def test_a_market_that_rises_steadily_is_a_buy_and_its_mirror_image_a_sell() -> None:
    drift, noise = 0.004, np.random.default_rng(0).normal(0, 0.005, 400)
    rising = assess(from_closes(100 * np.exp(np.cumsum(drift + noise))))
    falling = assess(from_closes(100 * np.exp(np.cumsum(-drift + noise))))
    assert rising.analysis.trend == "bullish_strong"
    assert rising.analysis.intelligent_score > 6
    assert rising.recommendation.action in {"BUY", "STRONG_BUY"}
    assert falling.analysis.trend == "bearish_strong"
    assert falling.analysis.intelligent_score < 4
    assert falling.recommendation.action in {"SELL", "STRONG_SELL"}


def test_a_market_that_does_not_move_is_a_hold() -> None:
    result = assess(NASTY["flat"])
    assert result.recommendation.action == "HOLD"
    assert result.analysis.intelligent_score == 5
    assert result.analysis.trend == "neutral"
    assert result.analysis.volatility == "low"


@pytest.mark.parametrize("exponent", [-40, -7, 20])
def test_the_unit_of_price_changes_no_verdict(exponent: int) -> None:
    """Scaling by a power of two is exact, so everything without a price in it must stay the same."""
    candles = random_walk(300, seed=6)
    here, there = assess(candles, detail="full"), assess(scaled(candles, 2.0**exponent), detail="full")
    assert there.analysis == here.analysis
    assert there.details.regime == here.details.regime
    assert there.details.trend == here.details.trend
    assert [(flip.action, flip.distance_percent) for flip in there.flips] == [
        (flip.action, flip.distance_percent) for flip in here.flips
    ]
    moved = [factor.contribution for factor in here.factors]
    assert [factor.contribution for factor in there.factors] == pytest.approx(moved, abs=0.01)  # levels are rounded
    assert [level.touches for level in there.support] == [level.touches for level in here.support]


def test_the_reasoning_names_the_figures() -> None:
    result = assess(random_walk(300, seed=7, drift=0.002), detail="full")
    text = result.recommendation.reasoning
    assert f"Score {result.analysis.intelligent_score:.1f}" in text
    assert f"{result.details.volatility.atr_percent:.2f} %" in text
    assert result.factors[0].reading in text


@pytest.mark.parametrize("name", [*NASTY, *range(20)])
def test_an_answer_stays_small(name: str | int) -> None:
    """A summary under 4 KB for a model to read, of a long name and five timeframes too; full under 60."""
    candles = NASTY[name] if isinstance(name, str) else random_walk(1000, seed=name, start=10.0 ** (name - 8))
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    data = Provenance(
        source="sandbox", symbol="1000000MOGUSDT", timeframe=Timeframe.H12, bars=1000, first_bar=moment,
        last_bar=moment, last_bar_closed=True, age_seconds=12_345.6, note="Recorded candles, replayed; not of today.",
    )  # fmt: skip
    for detail, most in (("summary", 4096), ("full", 60_000)):
        result = assess(candles, detail=detail)
        joint = confluence(dict.fromkeys(list(Timeframe)[-5:], result))
        written = Analysis.of(result, timestamp=moment, data=data, confluence=joint).model_dump_json()
        assert len(written.encode()) < most
        assert Analysis.model_validate_json(written).model_dump_json() == written


def test_a_summary_leaves_out_what_only_a_full_answer_has() -> None:
    candles = random_walk(300, seed=6)
    brief, full = (json.loads(assess(candles, detail=d).model_dump_json()) for d in ("summary", "full"))
    assert "details" not in brief
    assert set(brief["factors"][0]) == {"name", "weight", "contribution"}
    assert set(full["factors"][0]) == {"name", "weight", "contribution", "reading", "value", "unit"}
    assert [factor["contribution"] for factor in brief["factors"]] == [f["contribution"] for f in full["factors"]]


def test_the_same_bars_give_the_same_answer() -> None:
    candles = random_walk(300, seed=8)
    assert assess(candles) == assess(candles)


def test_too_few_bars_are_refused() -> None:
    with pytest.raises(NotEnoughData, match="99 closed bars"):
        assess(random_walk(99, seed=9))


def test_bars_that_cannot_be_are_refused() -> None:
    candles = random_walk(200, seed=10)
    candles.close[50] = np.nan
    with pytest.raises(BadCandles, match="bar 50"):
        assess(candles)
