"""Opportunities: prices in order, chasing refused, nothing known too early, and each ready for the next tool."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from crypto_mcp.analysis.resample import resample
from crypto_mcp.conditions import evaluate, parse
from crypto_mcp.models.backtest import BacktestParams
from crypto_mcp.models.candles import COLUMNS, Candles
from crypto_mcp.models.opportunities import Opportunity, OpportunityParams
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.scanning.opportunities import PROFILES, find_opportunities
from crypto_mcp.scanning.setups import Setup, setups
from crypto_mcp.scanning.views import View, view
from tests.analysis.walks import random_walk

H1, H4 = Timeframe.H1, Timeframe.H4
EAGER = OpportunityParams(profile="aggressive", detail="full", min_reward_risk=1)


def market(seed: int, bars: int = 2000) -> dict[Timeframe, Candles]:
    hours = random_walk(bars, seed=seed, drift=0.0004 * (seed % 3 - 1))
    return {H1: hours[-500:], H4: resample(hours, 4)}


@pytest.fixture(scope="module")
def found() -> list[tuple[int, Opportunity]]:
    """Of forty walks."""
    return [(seed, one) for seed in range(40) for one in find_opportunities("X", market(seed), EAGER).opportunities]


def test_entry_stop_and_targets_are_in_the_order_of_a_trade(found: list[tuple[int, Opportunity]]) -> None:
    assert {one.side for _, one in found} == {"long", "short"}
    assert {one.standing for _, one in found} == {"in_zone", "waiting"}
    for seed, one in found:
        prices = [one.stop, one.entry_low, one.entry_high, *(target.price for target in one.targets)]
        if one.side == "short":
            prices = [one.stop, one.entry_high, one.entry_low, *(target.price for target in one.targets)]
            prices = [-price for price in prices]
        assert prices == sorted(prices)
        middle = (one.entry_low + one.entry_high) / 2
        for target in one.targets:
            assert target.reward_risk == pytest.approx(abs(target.price - middle) / abs(middle - one.stop), rel=0.02)
        inside = one.entry_low <= market(seed)[H1].close[-1] <= one.entry_high
        assert bool(inside) is (one.standing == "in_zone")


def test_what_was_asked_for_is_kept_to(found: list[tuple[int, Opportunity]]) -> None:
    demands = PROFILES["aggressive"]
    for _, one in found:
        assert demands.quality <= one.quality <= 10
        assert one.risk_percent <= demands.risk_percent
        assert one.quality_parts is not None
        assert one.quality == pytest.approx(sum(part.points for part in one.quality_parts), abs=0.06)
        assert all(0 <= part.points <= part.most for part in one.quality_parts)
        assert 0 < one.probability < 100
    strict = OpportunityParams(profile="conservative", side="long", min_reward_risk=3)
    for seed in range(20):
        for one in find_opportunities("X", market(seed), strict).opportunities:
            assert one.side == "long"
            assert one.reward_risk >= 3
            assert one.quality >= 6.5
            assert one.trends[H4] == "up"


def test_who_would_be_chasing_is_told_so(found: list[tuple[int, Opportunity]]) -> None:
    """No opportunity is further from its entry than a third of the way to its first target, and some were refused."""
    rejected: Counter[str] = Counter()
    for seed in range(40):
        rejected.update(find_opportunities("X", market(seed), EAGER).rejected)
    assert rejected["chasing: price has left the entry already"] > 0
    for _, one in found:
        near = one.entry_high if one.side == "long" else one.entry_low
        assert abs(one.price - near) <= 0.36 * abs(one.targets[0].price - near) or one.standing == "in_zone"


def test_bars_that_had_not_closed_then_change_nothing() -> None:
    """Of a longer timeframe those count that had closed with the newest bar of the shortest."""
    for seed in range(6):
        whole = random_walk(2400, seed=seed)
        hours = whole[:2001]
        then = {H1: hours[-500:], H4: resample(hours[:2000], 4)}
        later = {H1: hours[-500:], H4: resample(whole, 4)}
        assert find_opportunities("X", then, EAGER) == find_opportunities("X", later, EAGER)


def test_shorts_are_longs_of_the_market_upside_down() -> None:
    """In a market that is mirrored around a price, the setups are mirrored too."""
    seen = 0
    for seed in range(12):
        around = 400.0
        views = [zones_of(timeframe, candles) for timeframe, candles in market(seed).items()]
        turned = [zones_of(timeframe, mirrored(candles, around)) for timeframe, candles in market(seed).items()]
        for side in (1, -1):
            pairs = list(zip(setups(views, side), setups(turned, -side), strict=True))
            both = [(a, b) for a, b in pairs if isinstance(a, Setup) and isinstance(b, Setup)]
            for one, other in both:
                assert (one.low, one.stop) == pytest.approx((around - other.high, around - other.stop), abs=0.01)
            seen += len(both)
    assert seen >= 5


def test_each_carries_an_alert_and_a_backtest_that_the_tools_take(found: list[tuple[int, Opportunity]]) -> None:
    for seed, one in found:
        condition = parse(one.alert["condition"])
        params = BacktestParams.model_validate(one.backtest)
        assert not isinstance(params.strategy, str)
        for text in params.strategy.conditions.values():
            parse(text)
        if one.standing == "in_zone":
            assert evaluate(condition, market(seed)[H1])[-1]


def test_too_few_bars_are_said_not_guessed_at() -> None:
    short = {timeframe: candles[-80:] for timeframe, candles in market(1).items()}
    assert find_opportunities("X", short, EAGER).rejected == {"too few bars": 1}
    assert find_opportunities("X", {H1: market(1)[H1], H4: short[H4]}, EAGER).rejected == {"too few bars": 1}


def zones_of(timeframe: Timeframe, candles: Candles) -> View:
    """Without levels, which are rounded and at most two a side."""
    seen = view(timeframe, candles)
    return replace(seen, bands=tuple(band for band in seen.bands if band.kind != "level"))


def mirrored(candles: Candles, around: float) -> Candles:
    values = {name: getattr(candles, name) for name in COLUMNS}
    return Candles(
        candles.open_time, around - values["open"], around - values["low"], around - values["high"],
        around - values["close"], values["volume"], candles.step,
    )  # fmt: skip


def test_the_fixture_is_not_empty(found: list[tuple[int, Opportunity]]) -> None:
    assert len(found) >= 15
    assert np.mean([one.quality for _, one in found]) > 3.5
