"""Classical indicators: against formulas written out again, published figures, and what every one of them owes."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import talib
from drawn import HOUR, MONDAY, drawn, path
from nasty import NASTY, scaled, silent
from walks import mean_reverting, random_walk

from crypto_mcp.analysis.indicators import INDICATORS, PATTERNS, Indicator, find_divergences, pattern
from crypto_mcp.analysis.indicators.candlesticks import patterns
from crypto_mcp.errors import InvalidRequest
from crypto_mcp.models.candles import Candles, Floats
from tests.calibration.candle_files import DIRECTORY, recorded

DAY = 24 * HOUR
WALK = random_walk(400, seed=11)

every_indicator = pytest.mark.parametrize("indicator", INDICATORS.values(), ids=INDICATORS.keys())


def series(name: str, candles: Candles = WALK, source: Floats | None = None, **given: float) -> Floats:
    """One output by its name."""
    indicator = next(i for i in INDICATORS.values() if any(output.name == name for output in i.outputs))
    return indicator.of(candles, source, **given)[name]


def windows(values: Floats, bars: int) -> Floats:
    return np.lib.stride_tricks.sliding_window_view(values, bars)


def rolling(values: Floats, bars: int, of: object) -> Floats:
    """A function of every window, NaN before the first."""
    return np.concatenate((np.full(bars - 1, np.nan), [of(window) for window in windows(values, bars)]))


def smoothed(values: Floats, alpha: float, bars: int) -> Floats:
    """An exponential average that begins with the mean of the first `bars` values."""
    result = np.full(len(values), np.nan)
    first = int(np.argmax(~np.isnan(values)))
    result[first + bars - 1] = values[first : first + bars].mean()
    for bar in range(first + bars, len(values)):
        result[bar] = result[bar - 1] + alpha * (values[bar] - result[bar - 1])
    return result


def ema(values: Floats, bars: int) -> Floats:
    return smoothed(values, 2 / (bars + 1), bars)


def wilder(values: Floats, bars: int) -> Floats:
    return smoothed(values, 1 / bars, bars)


def true_range(candles: Candles) -> Floats:
    before = np.concatenate(([np.nan], candles.close[:-1]))
    ranges = np.maximum(candles.high, before) - np.minimum(candles.low, before)
    ranges[0] = np.nan
    return ranges


def assert_close(found: Floats, expected: Floats, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True)


def test_there_are_at_least_forty_with_outputs_of_different_names() -> None:
    names = [output.name for indicator in INDICATORS.values() for output in indicator.outputs]
    assert len(INDICATORS) >= 60
    assert len(names) == len(set(names)) >= 100
    assert len(PATTERNS) == len(set(PATTERNS)) == 61


def test_relative_strength_of_the_textbook_example() -> None:
    """The worked example of StockCharts' ChartSchool, "Relative Strength Index": QQQQ, 14 days."""
    closes = np.array(
        (
            (44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931),
            (46.0328, 45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439, 46.2122, 46.2521),
            (45.7137, 46.4515, 45.7835, 45.3548, 44.0288, 44.1783, 44.2181, 44.5672, 43.4205, 42.6628, 43.1314),
        )
    ).ravel()
    published = [70.53, 66.32, 66.55, 69.41, 66.36, 57.97, 62.93, 63.26, 56.06, 62.38, 54.71, 50.42, 39.99, 41.46]
    published += [41.87, 45.46, 37.30, 33.08, 37.77]
    found = series("rsi", WALK, closes)
    assert np.isnan(found[:14]).all()
    assert found[14:] == pytest.approx(published, abs=0.01)


def test_averages_are_the_written_out_ones() -> None:
    close = WALK.close
    assert_close(series("sma", length=20), rolling(close, 20, np.mean))
    assert_close(series("ema", length=20), ema(close, 20))
    assert_close(series("rma", length=14), wilder(close, 14))
    assert_close(series("wma", length=10), rolling(close, 10, lambda w: w @ np.arange(1, 11) / 55))
    assert_close(series("dema", length=10), 2 * ema(close, 10) - ema(ema(close, 10), 10))
    half, whole = (
        rolling(close, n, lambda w: w @ np.arange(1, len(w) + 1) / np.arange(1, len(w) + 1).sum()) for n in (8, 16)
    )
    assert_close(series("hma", length=16), rolling(2 * half - whole, 4, lambda w: w @ np.arange(1, 5) / 10))
    weighed = rolling(close * WALK.volume, 20, np.sum) / rolling(WALK.volume, 20, np.sum)
    assert_close(series("vwma", length=20), weighed)


def test_oscillators_are_the_written_out_ones() -> None:
    close, change = WALK.close, np.diff(WALK.close, prepend=np.nan)
    rise, fall = (
        wilder(np.where(change > 0, change, 0 * change), 14),
        wilder(np.where(change < 0, -change, 0 * change), 14),
    )
    assert_close(series("rsi"), 100 * rise / (rise + fall))
    fast = talib.EMA(close[14:], 12)  # TA-Lib begins both averages on the bar on which the slow one does
    assert_close(series("macd")[60:], (np.concatenate((np.full(14, np.nan), fast)) - ema(close, 26))[60:], 1e-6 * 100)
    low, high = rolling(WALK.low, 14, np.min), rolling(WALK.high, 14, np.max)
    k = rolling(100 * (close - low) / (high - low), 3, np.mean)
    assert_close(series("stoch_k")[20:], k[20:])
    assert_close(series("stoch_d")[20:], rolling(k, 3, np.mean)[20:])
    assert_close(series("willr"), -100 * (high - close) / (high - low))
    assert_close(series("roc", length=10)[10:], 100 * (close[10:] / close[:-10] - 1))
    place = series("rsi")
    low, high = rolling(place, 14, np.min), rolling(place, 14, np.max)
    assert_close(series("stochrsi_k")[40:], rolling(100 * (place - low) / (high - low), 3, np.mean)[40:], 1e-6)
    path_length = rolling(np.abs(change), 10, np.sum)
    assert_close(series("efficiency_ratio")[10:], np.abs(close[10:] - close[:-10]) / path_length[10:])


def test_bands_are_the_written_out_ones() -> None:
    mean, spread = rolling(WALK.close, 20, np.mean), rolling(WALK.close, 20, np.std)
    assert_close(series("bb_upper"), mean + 2 * spread, 1e-8)
    assert_close(series("bb_lower"), mean - 2 * spread, 1e-8)
    assert_close(series("bb_width"), 400 * spread / mean, 1e-7)
    assert_close(series("bb_percent"), (WALK.close - mean + 2 * spread) / (4 * spread), 1e-7)
    assert_close(series("zscore"), (WALK.close - mean) / spread, 1e-7)
    typical = (WALK.high + WALK.low + WALK.close) / 3
    reach = wilder(true_range(WALK), 10)
    assert_close(series("keltner_upper")[300:], (ema(typical, 20) + 2 * reach)[300:])
    assert_close(series("atr"), wilder(true_range(WALK), 14))
    assert_close(series("donchian_upper"), rolling(WALK.high, 20, np.max))
    assert_close(series("donchian_lower"), rolling(WALK.low, 20, np.min))
    inner = (mean + 2 * spread < series("keltner_upper", atr_length=20, multiple=1.5)) & (
        mean - 2 * spread > series("keltner_lower", atr_length=20, multiple=1.5)
    )
    assert series("squeeze")[60:].tolist() == inner[60:].tolist()
    assert 0 < inner.mean() < 1


def test_supertrend_is_the_written_out_one() -> None:
    reach, middle, close = 3 * wilder(true_range(WALK), 10), (WALK.high + WALK.low) / 2, WALK.close
    upper, lower, up = np.inf, -np.inf, True
    for bar in range(10, len(WALK)):
        new_upper, new_lower = middle[bar] + reach[bar], middle[bar] - reach[bar]
        upper = new_upper if new_upper < upper or close[bar - 1] > upper else upper
        lower = new_lower if new_lower > lower or close[bar - 1] < lower else lower
        up = close[bar] >= lower if up else close[bar] > upper
        if bar > 100:  # whatever direction it began with
            assert series("supertrend")[bar] == pytest.approx(lower if up else upper)
            assert series("supertrend_direction")[bar] == (1 if up else -1)


def test_ichimoku_reads_its_cloud_from_bars_before() -> None:
    middle = {n: (rolling(WALK.high, n, np.max) + rolling(WALK.low, n, np.min)) / 2 for n in (9, 26, 52)}
    assert_close(series("tenkan"), middle[9])
    assert_close(series("kijun"), middle[26])
    assert_close(series("senkou_a")[26:], ((middle[9] + middle[26]) / 2)[:-26])
    assert_close(series("senkou_b")[26:], middle[52][:-26])
    assert np.isnan(series("senkou_b")[:77]).all()


def test_volume_figures_are_the_written_out_ones() -> None:
    high, low, close, volume = WALK.high, WALK.low, WALK.close, WALK.volume
    multiplier = ((close - low) - (high - close)) / (high - low)
    assert_close(series("cmf"), rolling(multiplier * volume, 20, np.sum) / rolling(volume, 20, np.sum))
    signed = np.sign(np.diff(close, prepend=np.nan)) * volume
    assert_close(series("obv_change", length=20), rolling(signed, 20, np.sum))
    assert_close(series("obv_change", length=20)[20:], (series("obv")[20:] - series("obv")[:-20]))
    before = np.concatenate(([np.nan], rolling(volume, 20, np.mean)[:-1]))
    assert_close(series("relative_volume"), volume / before)


def test_the_vwap_of_a_day_begins_with_the_day() -> None:
    candles = random_walk(105, seed=3)[5:]
    typical = (candles.high + candles.low + candles.close) / 3
    found, days = series("vwap", candles), candles.open_time // DAY
    for bar in range(100):
        today = (days == days[bar]) & (np.arange(100) <= bar)
        if days[bar] == days[0]:
            assert np.isnan(found[bar])
        else:
            assert found[bar] == pytest.approx(np.average(typical[today], weights=candles.volume[today]))


def test_levels_of_the_day_before() -> None:
    bars = [(10, 12, 9, 11), (11, 15, 10, 14), (14, 14, 8, 9)]
    candles = drawn(*bars, *[(9, 10, 8.5, 9)] * 3, step=8 * HOUR)
    assert [series(f"prev_day_{side}", candles)[3] for side in ("high", "low", "close")] == [15, 8, 9]
    assert np.isnan(series("prev_day_high", candles)[:3]).all()
    pivot, span = (15 + 8 + 9) / 3, 7
    expected = {
        "pivot": pivot,
        "pivot_r1": 2 * pivot - 8,
        "pivot_r3": 15 + 2 * (pivot - 8),
        "pivot_s2": pivot - span,
        "fib_r2": pivot + 0.618 * span,
        "fib_s3": pivot - span,
        "cam_r3": 9 + 1.1 * span / 4,
        "cam_s4": 9 - 1.1 * span / 2,
    }
    assert {name: series(name, candles)[4] for name in expected} == pytest.approx(expected)


def test_levels_of_the_week_before_begin_on_monday() -> None:
    hours = random_walk(24 * 22, seed=6)
    candles = Candles(
        MONDAY + 2 * DAY + HOUR * np.arange(len(hours)),
        hours.open,
        hours.high,
        hours.low,
        hours.close,
        hours.volume,
        HOUR,
    )
    found, week = series("prev_week_high", candles), 7 * DAY
    weeks = (candles.open_time - MONDAY) // week
    for bar in range(len(candles)):
        earlier = weeks == weeks[bar] - 1
        known = weeks[bar] >= 2  # the first week was not seen from its beginning
        assert found[bar] == candles.high[earlier].max() if known else np.isnan(found[bar])


def test_levels_of_a_day_are_unknown_to_longer_bars() -> None:
    assert np.isnan(
        series("pivot", random_walk(50, seed=1).__class__(**_with_step(random_walk(50, seed=1), 7 * DAY)))
    ).all()


def _with_step(candles: Candles, step: int) -> dict[str, object]:
    columns = {name: getattr(candles, name) for name in ("open", "high", "low", "close", "volume")}
    return {"open_time": MONDAY + step * np.arange(len(candles)), **columns, "step": step}


@pytest.mark.parametrize(
    "name", ["realised_volatility", "parkinson_volatility", "garman_klass_volatility", "yang_zhang_volatility"]
)
def test_realised_volatility_of_a_walk_is_that_of_its_steps(name: str) -> None:
    """Bars made of 400 small steps of a walk whose yearly volatility is known."""
    rng = np.random.default_rng(8)
    ticks = np.cumsum(rng.normal(0, 0.01 / 20, 3000 * 400)).reshape(3000, 400)
    prices = 100 * np.exp(ticks)
    open_, close = np.concatenate(([100.0], prices[:-1, -1])), prices[:, -1]
    high, low = np.maximum(prices.max(1), open_), np.minimum(prices.min(1), open_)
    candles = Candles(MONDAY + HOUR * np.arange(3000), open_, high, low, close, np.ones(3000), HOUR)
    found = np.nanmean(series(name, candles, length=100) ** 2) ** 0.5
    assert found == pytest.approx(100 * 0.01 * math.sqrt(365 * 24), rel=0.04)


@every_indicator
def test_a_value_is_finite_or_nan_on_any_candles(indicator: Indicator) -> None:
    for name, candles in NASTY.items():
        for found in indicator.of(candles).values():
            assert found.shape == (len(candles),), name
            assert found.dtype == np.float64, name
            assert not np.isinf(found).any(), name


@every_indicator
def test_prices_in_another_unit_change_prices_only(indicator: Indicator) -> None:
    """TA-Lib before 0.8 took small prices for no movement at all."""
    unit = 2.0**-40
    for output in indicator.outputs:
        factor = unit if output.unit in ("price", "source") else 1.0
        found = indicator.of(scaled(WALK, unit))[output.name] / factor
        assert_close(found, indicator.of(WALK)[output.name], 1e-7)


@pytest.mark.parametrize(
    "name", ["rsi", "cmo", "stoch_k", "willr", "ultosc", "bb_percent", "zscore", "efficiency_ratio", "mfi"]
)
def test_what_compares_moves_is_unknown_where_nothing_moves(name: str) -> None:
    """TA-Lib says 0 there: oversold on one scale, overbought on the other."""
    assert np.isnan(series(name, NASTY["flat"])).all()


@pytest.mark.parametrize("name", ["vwma", "rolling_vwap", "cmf", "mfi", "relative_volume", "vwap"])
def test_what_weighs_by_volume_is_unknown_without_volume(name: str) -> None:
    assert np.isnan(series(name, silent(WALK))).all()


def test_a_hole_in_a_series_is_forgotten_after_the_window() -> None:
    holed = WALK.close.copy()
    holed[100] = np.nan
    found = series("sma", WALK, holed, length=10)
    assert np.isnan(found[100:110]).all()
    assert_close(found[110:], series("sma", length=10)[110:])
    assert not np.isnan(series("rsi", WALK, holed)[115:]).any()


def everything(indicator: Indicator) -> Iterator[tuple[float, ...]]:
    """Parameters to try: the usual, the least, and windows three times as long."""
    yield indicator.values({})
    yield indicator.values({parameter.name: parameter.low for parameter in indicator.parameters})
    yield indicator.values({p.name: 3 * int(p.default) if p.whole else p.default for p in indicator.parameters})


def pieces() -> list[Candles]:
    found = [random_walk(5200, seed=1), mean_reverting(5200, seed=2)]
    symbols = (symbol for symbol in ("BTCUSDT", "DOGEUSDT") if (DIRECTORY / f"{symbol}-1h.parquet").exists())
    return found + [recorded(symbol)[-5200:] for symbol in symbols]


PIECES = pieces()


@every_indicator
def test_the_stated_history_gives_the_value_of_the_whole(indicator: Indicator) -> None:
    """Within a millionth of the value, or of the price, usual volume or unit it is measured in."""
    if indicator.needs is None:
        assert indicator.name in {"obv", "ad"}
        return
    for candles in PIECES:
        usual = {
            "price": candles.close,
            "source": candles.close,
            "volume": np.full(len(candles), candles.volume.mean()),
        }
        for values in everything(indicator):
            whole, needs = indicator.compute(candles, values), indicator.needs(candles.step, *values)
            for end in range(len(candles), min(needs, len(candles) - 1), -max(1, (len(candles) - needs) // 6)):
                if end < needs:
                    continue
                part = indicator.compute(candles[end - needs : end], values)
                for output, one, other in zip(indicator.outputs, whole, part, strict=True):
                    scale = max(abs(one[end - 1]), usual.get(output.unit, np.ones(end))[end - 1])
                    assert other[-1] == pytest.approx(one[end - 1], abs=1e-6 * scale, nan_ok=True), (
                        output.name,
                        values,
                    )


def test_parameters_are_checked() -> None:
    with pytest.raises(InvalidRequest, match="length must be a whole number from 2 to 500, not 1"):
        series("rsi", length=1)
    with pytest.raises(InvalidRequest, match=r"not 2\.5"):
        series("ema", length=2.5)
    with pytest.raises(InvalidRequest, match="no parameter period"):
        series("rsi", period=14)


def test_a_bullish_divergence_is_known_with_its_second_swing() -> None:
    """A long fall to 60, a rise, and a slow fall to 58: a lower low that RSI does not follow."""
    warm = 100 + 3 * np.sin(np.arange(150))
    down, up, slow = np.linspace(100, 60, 9), np.linspace(63, 84, 8), np.linspace(83, 58, 20)
    closes = np.concatenate((warm, down, up, slow, np.linspace(61, 75, 6)))
    candles = path(*closes)
    found = [d for d in find_divergences(candles) if d.gauge == "rsi" and d.kind == "regular" and d.at > 180]
    assert len(found) == 1
    divergence = found[0]
    assert (divergence.at, divergence.known_at, divergence.direction) == (186, 189, "bullish")
    assert divergence.first_at == 158
    assert (divergence.bottom, divergence.top) == (57.5, 59.5)
    assert not divergence.changes


def test_divergences_tell_what_happened_to_them() -> None:
    found = find_divergences(PIECES[0])
    assert {d.gauge for d in found} == {"rsi", "macd", "obv"}
    assert {d.kind for d in found} == {"regular", "hidden"}
    for divergence in found:
        closes = PIECES[0].close[divergence.known_at + 1 :]
        low = divergence.direction == "bullish"
        edge = PIECES[0].low[divergence.at] if low else PIECES[0].high[divergence.at]
        passed = np.flatnonzero(closes < edge if low else closes > edge)
        broken = [change.bar for change in divergence.changes]
        assert broken == ([divergence.known_at + 1 + passed[0]] if len(passed) else [])


def test_an_engulfing_candle_is_found_and_has_a_direction() -> None:
    quiet = [(100, 101, 99, 100.5), (100.5, 101, 99.5, 100)] * 10
    candles = drawn(*quiet, (100, 100.5, 98.5, 99), (98.8, 102, 98.5, 101.5))
    assert pattern(candles, "engulfing")[-1] == 1
    assert not pattern(candles, "shooting_star").any()


def test_patterns_are_directions() -> None:
    found = patterns(PIECES[-1])
    assert set(found) == set(PATTERNS)
    assert {int(value) for seen in found.values() for value in np.unique(seen)} == {-1, 0, 1}
    assert sum(bool(seen.any()) for seen in found.values()) > 35
