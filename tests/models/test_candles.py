"""Candles that cannot be are refused, never repaired."""

from __future__ import annotations

import numpy as np
import pytest

from crypto_mcp.models.candles import BadCandles, Candles

HOUR = 3_600_000


def candles(n: int = 5, **columns: object) -> Candles:
    rows = {
        "open_time": np.arange(n, dtype=np.int64) * HOUR,
        "open": np.full(n, 10.0),
        "high": np.full(n, 12.0),
        "low": np.full(n, 9.0),
        "close": np.full(n, 11.0),
        "volume": np.full(n, 1.0),
    }
    return Candles(**(rows | columns), step=HOUR)  # type: ignore[arg-type]


def changed(value: float, at: int = 3) -> np.ndarray:
    column = np.full(5, 10.0)
    column[at] = value
    return column


def test_good_candles_pass() -> None:
    assert len(candles().validated()) == 5


def test_a_prefix_is_what_was_known_then() -> None:
    assert candles()[:2].close_time.tolist() == [HOUR, 2 * HOUR]


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"close": changed(np.nan)}, "bar 3 .* not a finite number"),
        ({"volume": changed(np.inf)}, "bar 3 .* not a finite number"),
        ({"high": changed(8.0)}, "bar 3 .* high below"),
        ({"low": changed(11.5)}, "bar 0|bar 3"),
        ({"low": changed(0.0)}, "bar 3 .* zero or below"),
        ({"volume": changed(-1.0)}, "bar 3 .* negative volume"),
        ({"open_time": np.array([0, HOUR, HOUR, 3 * HOUR, 4 * HOUR])}, "bar 2 .* not later"),
    ],
)
def test_the_first_impossible_bar_is_named(columns: dict[str, np.ndarray], what: str) -> None:
    with pytest.raises(BadCandles, match=what):
        candles(**columns).validated()


def test_columns_have_one_length() -> None:
    with pytest.raises(BadCandles, match="volume"):
        candles(volume=np.ones(4))
