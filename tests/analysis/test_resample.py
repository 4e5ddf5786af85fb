"""Longer bars: complete groups on the exchange's grid, nothing of a bar still open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from walks import HOUR_MS, START_MS, random_walk

from crypto_mcp.analysis.resample import resample
from crypto_mcp.models.candles import Candles


def without(candles: Candles, *bars: int) -> Candles:
    kept = np.delete(np.arange(len(candles)), bars)
    columns = {name: getattr(candles, name)[kept] for name in ("open_time", "open", "high", "low", "close", "volume")}
    return replace(candles, **columns)


def test_four_hours_out_of_hours() -> None:
    hours = random_walk(12, seed=1)
    longer = resample(hours, 4).validated()
    assert longer.step == 4 * HOUR_MS
    assert longer.open_time.tolist() == [START_MS + i * 4 * HOUR_MS for i in range(3)]
    assert longer.open.tolist() == hours.open[::4].tolist()
    assert longer.close.tolist() == hours.close[3::4].tolist()
    assert longer.high.tolist() == hours.high.reshape(3, 4).max(1).tolist()
    assert longer.low.tolist() == hours.low.reshape(3, 4).min(1).tolist()
    assert longer.volume == pytest.approx(hours.volume.reshape(3, 4).sum(1))


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("bars", [0, 1, 3, 4, 5, 8, 11])
def test_only_complete_groups_count(first: int, bars: int) -> None:
    part = random_walk(20, seed=2)[first : first + bars]
    begins, ends = -(-first // 4), (first + bars) // 4
    assert len(resample(part, 4)) == max(0, ends - begins)


def test_a_longer_bar_is_seen_from_its_last_close_on_and_then_never_changes() -> None:
    hours = random_walk(40, seed=3)
    whole = resample(hours, 4)
    for k in range(1, 41):
        part = resample(hours[:k], 4)
        assert len(part) == k // 4
        assert part.close.tolist() == whole.close[: k // 4].tolist()


def test_bars_missing_inside_a_group_are_tolerated() -> None:
    hours = without(random_walk(12, seed=4), 5, 6)
    longer = resample(hours, 4)
    assert len(longer) == 3
    assert longer.close[1] == hours.close[5]


def test_a_group_whose_last_bar_is_missing_counts_once_a_later_bar_shows_it_has_closed() -> None:
    hours = random_walk(12, seed=5)
    assert len(resample(without(hours[:8], 7), 4)) == 1
    assert len(resample(without(hours, 7), 4)) == 3
