"""Volume by price and by time."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import drawn, upside_down
from hypothesis import given, settings
from hypothesis import strategies as st
from walks import random_walk

from crypto_mcp.analysis.kernels import volume_scores
from crypto_mcp.analysis.measures import measure
from crypto_mcp.analysis.volume_flow import anchored_vwap, approximate_cvd
from crypto_mcp.analysis.volume_profile import volume_profile


def test_volume_is_spread_evenly_over_each_bars_range() -> None:
    #                one bar over all ten prices, one over the lowest two
    profile = volume_profile(drawn((1, 11, 1, 5, 100), (1, 3, 1, 2, 40)), rows=10)
    assert profile is not None
    assert profile.volume == pytest.approx([30, 30, *[10] * 8])
    assert profile.poc == 1.5
    assert profile.edges.tolist() == list(range(1, 12))


def test_the_value_area_grows_by_the_larger_pair_of_rows_until_it_holds_its_share() -> None:
    # rows of one price each, volumes 1 2 9 4 3 1 from below: from 9 up by 4 + 3 = 16 of 20
    bars = [(p, p + 1, p, p, v) for p, v in zip(range(10, 16), (1, 2, 9, 4, 3, 1), strict=True)]
    profile = volume_profile(drawn(*bars), rows=6)
    assert profile is not None
    assert (profile.poc, profile.value_area_low, profile.value_area_high) == (12.5, 12, 15)


def test_nodes_stand_out_from_their_neighbours() -> None:
    volumes = (9, 9, 9, 30, 9, 9, 2, 9, 9, 20, 9, 9)
    profile = volume_profile(drawn(*[(p, p + 1, p, p, v) for p, v in enumerate(volumes, 10)]), rows=len(volumes))
    assert profile is not None
    assert profile.high_volume_nodes == pytest.approx((13.5, 19.5))
    assert profile.low_volume_nodes == pytest.approx((16.5,))


def test_one_price_is_a_profile_of_one_row_and_no_volume_is_none() -> None:
    flat = volume_profile(drawn(*[(5, 5, 5, 5, 10)] * 3))
    assert flat is not None
    assert (flat.poc, flat.value_area_low, flat.value_area_high, flat.volume.tolist()) == (5, 5, 5, [30])
    assert volume_profile(drawn((5, 6, 4, 5, 0))) is None
    assert volume_profile(random_walk(5, seed=1)[:0]) is None


@settings(max_examples=40)
@given(seed=st.integers(0, 1000), bars=st.integers(1, 300), rows=st.integers(1, 100))
def test_a_profile_holds_all_volume_and_its_value_area_the_share(seed: int, bars: int, rows: int) -> None:
    candles = random_walk(bars, seed=seed)
    profile = volume_profile(candles, rows=rows)
    assert profile is not None
    assert profile.volume.sum() == pytest.approx(candles.volume.sum())
    middle = (profile.edges[1:] + profile.edges[:-1]) / 2
    inside = (middle >= profile.value_area_low) & (middle <= profile.value_area_high)
    assert profile.volume[inside].sum() >= 0.7 * candles.volume.sum() * (1 - 1e-9)
    assert profile.value_area_low <= profile.poc <= profile.value_area_high


def test_vwap_is_the_weighted_mean_and_its_bands_the_weighted_deviation() -> None:
    candles = random_walk(200, seed=2)
    found = anchored_vwap(candles, 50)
    price = (candles.high + candles.low + candles.close) / 3
    for bar in (50, 51, 120, 199):
        part = slice(50, bar + 1)
        mean = np.average(price[part], weights=candles.volume[part])
        spread = np.sqrt(np.average((price[part] - mean) ** 2, weights=candles.volume[part]))
        assert found.vwap[bar] == pytest.approx(mean)
        assert found.deviation[bar] == pytest.approx(spread, abs=1e-9)
        assert found.bands(2)[1][bar] == pytest.approx(mean + 2 * spread)
    assert np.isnan(found.vwap[:50]).all()


def test_vwap_waits_for_volume() -> None:
    found = anchored_vwap(drawn((5, 6, 4, 5, 0), (5, 6, 4, 5, 0), (6, 9, 6, 9, 10)), 0)
    assert np.isnan(found.vwap).tolist() == [True, True, False]
    assert found.vwap[2] == 8


def test_the_approximated_delta_follows_the_way_price_goes_and_never_exceeds_volume() -> None:
    rising = random_walk(300, seed=1, drift=0.01, sigma=0.005)
    cvd = approximate_cvd(rising)
    assert cvd[-1] > 0.5 * rising.volume.sum() * 0.5
    assert (np.abs(np.diff(cvd)) <= rising.volume[1:]).all()
    around = 2 * float(rising.high.max())
    assert approximate_cvd(upside_down(rising, around)) == pytest.approx(-cvd)
    assert not approximate_cvd(drawn(*[(5, 5, 5, 5)] * 9)).any()


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), bars=st.integers(1, 400))
def test_relative_volume_and_score_are_against_the_fifty_bars_before(seed: int, bars: int) -> None:
    candles = random_walk(bars, seed=seed)
    found = measure(candles)
    for bar in {bars - 1, bars // 2, bars // 3} - {0}:
        before = candles.volume[max(0, bar - 50) : bar]
        assert found.relative_volume[bar] == pytest.approx(candles.volume[bar] / before.mean())
        if before.std() > 1e-6 * before.mean():
            score = np.clip((candles.volume[bar] - before.mean()) / before.std(), -10, 10)
            assert found.bars.volume_z[bar] == pytest.approx(score, abs=1e-6)


def test_volume_that_never_varies_has_no_score() -> None:
    found = measure(drawn(*[(5, 6, 4, 5, 1e12)] * 200, *[(5, 6, 4, 5, 1e-3)] * 200))
    assert np.isfinite(found.bars.volume_z).all()
    assert not found.bars.volume_z[:200].any()
    assert not found.bars.volume_z[300:].any()


@given(seed=st.integers(0, 10_000), spread=st.sampled_from([0.1, 3.0, 12.0]), traded=st.sampled_from([0.05, 0.5, 1.0]))
def test_volume_scores_are_those_of_the_bars_before(seed: int, spread: float, traded: float) -> None:
    """Also after a bar that outweighs all others, and where nothing is traded for longer than the window."""
    rng = np.random.default_rng(seed)
    volume = rng.lognormal(0, spread, 300) * (rng.random(300) < traded)
    windows = [volume[max(0, bar - 50) : bar] for bar in range(1, 300)]
    mean = np.array([window.mean() for window in windows])
    deviation = np.array([window.std() for window in windows])
    varies = (mean > 0) & (deviation > 1e-9 * mean)
    expected = np.clip(np.divide(volume[1:] - mean, deviation, out=np.zeros(299), where=varies), -10, 10)
    score, ratio = volume_scores(volume, 50)
    assert np.allclose(score[1:], expected, rtol=1e-3, atol=1e-3)
    assert np.allclose(ratio[1:], np.divide(volume[1:], mean, out=np.zeros(299), where=mean > 0), rtol=1e-6)
