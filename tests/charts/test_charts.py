"""Charts: what they are, and that nothing on them lies over something else."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from crypto_mcp.analysis.assess import assess
from crypto_mcp.analysis.market_structure import find_structure
from crypto_mcp.charts import numbers
from crypto_mcp.charts.analysis_chart import VIEW, draw_analysis
from crypto_mcp.charts.picture import choose
from crypto_mcp.charts.tags import spread
from crypto_mcp.charts.theme import ThemeName
from crypto_mcp.models.analysis import Analysis, Provenance
from crypto_mcp.models.candles import Candles
from crypto_mcp.models.timeframes import Timeframe
from tests.analysis.walks import random_walk


def analysed(candles: Candles) -> Analysis:
    """The analysis of these bars, as the worker would write it."""
    first, last = (datetime.fromtimestamp(int(candles.open_time[i]) / 1000, UTC) for i in (0, -1))
    data = Provenance(
        source="generated",
        symbol="TESTUSDT",
        timeframe=Timeframe.H1,
        bars=len(candles),
        first_bar=first,
        last_bar=last,
        last_bar_closed=True,
        age_seconds=1.0,
        note=None,
    )
    return Analysis.of(assess(candles), timestamp=last, data=data)


def drawn(candles: Candles, theme: ThemeName = "dark") -> bytes:
    return draw_analysis(candles, find_structure(candles), analysed(candles), theme=theme)


@pytest.mark.parametrize(
    ("theme", "drift", "sigma"), [("dark", 0.0, 0.01), ("light", 0.004, 0.01), ("dark", -0.004, 0.03)]
)
def test_a_chart_is_a_picture_of_the_stated_size(theme: ThemeName, drift: float, sigma: float) -> None:
    image = Image.open(BytesIO(drawn(random_walk(400, seed=3, drift=drift, sigma=sigma), theme)))
    assert image.format == "PNG"
    assert image.size == (1080, 1350)
    colours = image.convert("RGB").getcolors(1 << 24)
    assert colours is not None
    assert len(colours) > 50


def test_the_same_input_gives_the_same_bytes() -> None:
    candles = random_walk(300, seed=5)
    assert drawn(candles) == drawn(candles)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
@pytest.mark.parametrize("volume", [0.0, 1.0])
def test_tiny_and_huge_prices_and_still_markets_are_drawn(scale: float, volume: float) -> None:
    walk = random_walk(150, seed=2, drift=0.002)
    prices = (part * scale for part in (walk.open, walk.high, walk.low, walk.close))
    candles = Candles(walk.open_time, *prices, volume=walk.volume * volume, step=walk.step)
    image = Image.open(BytesIO(drawn(candles))).convert("RGB")
    assert image.crop((1070, 0, 1080, 1350)).getcolors(2) == [(10 * 1350, image.getpixel((0, 0)))]  # no text is cut


def test_a_flat_market_is_drawn() -> None:
    price = np.full(150, 7.0)
    time = np.arange(150, dtype=np.int64) * 3_600_000
    assert drawn(Candles(time, price, price, price, price, np.zeros(150), 3_600_000))


def test_nothing_is_shown_before_it_lies_or_outside_the_view() -> None:
    candles = random_walk(500, seed=9, sigma=0.02)
    first = len(candles) - VIEW
    view = candles[first:]
    picture = choose(find_structure(candles), first, float(view.low.min()), float(view.high.max()))
    assert picture.zones
    for zone in picture.zones:
        assert 0 <= zone.start < VIEW
        assert zone.bottom <= zone.top
        assert zone.ended is None or 0 < zone.ended < VIEW
    for line in picture.breaks:
        assert 0 <= line.start <= line.end < VIEW


@given(st.lists(st.floats(0, 100), min_size=1, max_size=12))
def test_labels_never_overlap_and_keep_their_order(wanted: list[float]) -> None:
    placed = spread(wanted, 4.0, 0.0, 100.0)
    ordered = [placed[i] for i in sorted(range(len(wanted)), key=lambda i: wanted[i])]
    assert all(b - a >= 4.0 - 1e-9 for a, b in itertools.pairwise(ordered))
    assert all(-1e-9 <= p <= 100 + 1e-9 for p in placed)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=12, unique=True))
def test_labels_with_room_stay_where_they_belong(wanted: list[float]) -> None:
    gap = min([b - a for a, b in itertools.pairwise(sorted(wanted))], default=1.0) / 2
    assert spread(wanted, gap, 0.0, 100.0) == pytest.approx(wanted)


def test_more_labels_than_room_is_an_error() -> None:
    with pytest.raises(ValueError, match="room"):
        spread([1.0, 2.0, 3.0], 60.0, 0.0, 100.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(67123.4, "67,123"), (1.23456, "1.2346"), (0.0000123456, "0.000012346"), (0.0, "0"), (123456789.0, "123,456,789")],
)
def test_prices_have_five_digits(value: float, text: str) -> None:
    assert numbers.price(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.5, "+0.50"), (-0.5, "-0.50"), (-0.001, "0.00")])
def test_a_zero_has_no_sign(value: float, text: str) -> None:
    assert numbers.signed(value) == text


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [(50.0, 50.0, "50"), (75_000.0, 25_000.0, "75,000"), (2.5, 2.5, "2.5"), (5.0, 2.5, "5.0"), (0.3, 0.05, "0.30"),
     (0.00025, 0.00025, "0.00025"), (1.0, 0.0, "1")],
)  # fmt: skip
def test_marks_of_an_axis_have_the_decimals_that_tell_them_apart(value: float, step: float, text: str) -> None:
    assert numbers.spaced(value, step) == text
