"""The causality law over every registered function: the first k bars tell what they alone would have told."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from inspect import isfunction, unwrap
from pkgutil import walk_packages

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nasty import NASTY
from walks import mean_reverting, random_walk

import crypto_mcp.analysis
from crypto_mcp.analysis.findings import NEVER, Findings
from crypto_mcp.analysis.indicators import INDICATORS
from crypto_mcp.analysis.market_structure import find_structure
from crypto_mcp.analysis.measures import measure
from crypto_mcp.analysis.registry import REGISTRY, Causal, causal
from crypto_mcp.analysis.swings import Swing, find_swings
from crypto_mcp.models.candles import BadCandles, Candles, Floats
from tests.calibration.candle_files import DIRECTORY, recorded

# Whoever registers a function in a module of the engine has it tested: all of them are imported.
MODULES = [import_module(found.name) for found in walk_packages(crypto_mcp.analysis.__path__, "crypto_mcp.analysis.")]
LAW = [(function, arguments) for function in REGISTRY.values() for arguments in function.variants]
by_name = pytest.mark.parametrize(
    ("function", "arguments"), LAW, ids=[f"{function.name}-{i}" for i, (function, _) in enumerate(LAW)]
)


@by_name
@settings(max_examples=12)
@given(seed=st.integers(0, 100_000), bars=st.integers(1, 400), reverting=st.booleans(), data=st.data())
def test_generated_candles(
    function: Causal, arguments: dict, seed: int, bars: int, reverting: bool, data: st.DataObject
) -> None:
    candles = mean_reverting(bars, seed=seed) if reverting else random_walk(bars, seed=seed)
    assert function.differences(candles, data.draw(st.integers(0, bars)), arguments) == []


@by_name
def test_nasty_candles(function: Causal, arguments: dict) -> None:
    for name, candles in NASTY.items():
        for bars in {0, 1, 2, len(candles) // 3, len(candles) - 1, len(candles)}:
            if 0 <= bars <= len(candles):
                assert function.differences(candles, bars, arguments) == [], (name, bars)


@by_name
def test_recorded_candles(function: Causal, arguments: dict) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "LINKUSDT", "DOGEUSDT"):
        if not (DIRECTORY / f"{symbol}-1h.parquet").exists():
            pytest.skip(f"no recorded candles in {DIRECTORY}")
        candles = recorded(symbol)[-2000:]
        for bars in (1, 333, 1234, 1999):
            assert function.differences(candles, bars, arguments) == [], (symbol, bars)


@pytest.mark.parametrize("name", REGISTRY)
def test_candles_are_left_as_they_were(name: str) -> None:
    candles = random_walk(300, seed=3)
    for column in ("open_time", "open", "high", "low", "close", "volume"):
        getattr(candles, column).flags.writeable = False
    for arguments in REGISTRY[name].variants:
        REGISTRY[name].function(candles, **arguments)


def test_candles_with_a_hole_in_their_numbers_never_reach_a_function() -> None:
    walk = random_walk(50, seed=4)
    close = walk.close.copy()
    close[20] = np.nan
    with pytest.raises(BadCandles, match="bar 20"):
        replace(walk, close=close).validated()


def centred_average(candles: Candles) -> Floats:
    """Cheats: a mean of the bar, the one before and the one after."""
    close = candles.close
    return np.convolve(np.pad(close, 1, mode="edge"), np.full(3, 1 / 3), mode="valid")


def scaled_to_the_whole(candles: Candles) -> dict[str, Floats]:
    """Cheats softly: a bar's place between the lowest and highest close of all bars."""
    low, high = candles.close.min(), candles.close.max()
    return {"place": (candles.close - low) / (high - low)}


def known_too_early(candles: Candles) -> Findings[Swing]:
    """Cheats: says to know a swing on its own bar, when the bars after it have yet to come."""
    found = find_swings(measure(candles), 3, 0.1, 1000)
    rows = found.rows.copy()
    rows["known_at"] = rows["at"]
    return Findings(Swing, rows)


def only_the_ones_that_lasted(candles: Candles) -> Findings[Swing]:
    """Cheats: forgets swings that a later bar broke."""
    found = find_swings(measure(candles), 3, 0.1, 1000)
    return found.where(found.rows["broken_at"] == NEVER)


def rewritten_strength(candles: Candles) -> Findings[Swing]:
    """Cheats: a later bar changes a figure without a change of state."""
    found = find_swings(measure(candles), 3, 0.1, 1000)
    rows = found.rows.copy()
    rows["strength"][rows["broken_at"] != NEVER] /= 2
    return Findings(Swing, rows)


@pytest.mark.parametrize(
    "cheat", [centred_average, scaled_to_the_whole, known_too_early, only_the_ones_that_lasted, rewritten_strength]
)
def test_a_cheat_is_caught(cheat: object) -> None:
    function, candles = Causal("cheat", cheat), random_walk(300, seed=5)
    assert any(function.differences(candles, bars, {}) for bars in range(100, 300))


def test_fields_of_the_newest_bar_are_left_out_by_name_only() -> None:
    """The exception that `find_structure` claims covers these three fields, no others."""
    strict = replace(REGISTRY["find_structure"], newest_only=frozenset())
    told = strict.differences(random_walk(300, seed=5), 250, {})
    assert {difference.split(".")[1] for difference in told} == {"profile", "vwap_from_high", "vwap_from_low"}
    assert REGISTRY["find_structure"].function is find_structure


def test_every_indicator_is_under_the_law() -> None:
    assert {f"indicator {name}" for name in INDICATORS} | {"candlestick patterns", "divergences"} <= set(REGISTRY)


# Found as parts of `find_structure`, which is under the law as a whole.
OF_STRUCTURE = {
    "find_breaks", "find_dealing_ranges", "find_fair_value_gaps", "find_liquidity", "find_order_blocks", "find_sweeps",
    "find_swings",
}  # fmt: skip
# Told of the newest of the bars they are given, by those bars alone; or bars themselves.
OF_THE_NEWEST_BAR = {
    "anchored_vwap", "assess", "average_true_range", "every_indicator", "find_levels", "higher_timeframe_factor",
    "indicator_snapshot", "judge", "momentum_factor", "money_flow", "movement", "movement_features", "range_break",
    "read_regime", "read_sentiment", "read_trend", "read_volatility", "resample", "survey", "volatility_factor",
    "volume_factor", "volume_profile",
}  # fmt: skip
# One pattern of those registered together, and what levels of the day before are made by.
OF_INDICATORS = {"pattern", "before"}


def test_every_public_function_of_candles_is_under_the_law_or_says_why_not() -> None:
    """A new one that is not registered fails here."""
    held = {unwrap(function.function) for function in REGISTRY.values()}
    names = set()
    for module in MODULES:
        for name, function in vars(module).items():
            if not isfunction(function) or function.__module__ != module.__name__ or name.startswith("_"):
                continue
            first = next(iter(function.__annotations__.values()), "")
            if first in ("Candles", "Measures") and function not in held:
                names.add(name)
    assert names == OF_STRUCTURE | OF_THE_NEWEST_BAR | OF_INDICATORS


def test_a_name_is_registered_once_and_a_tolerance_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="registered already"):
        causal("find_structure")(find_structure)
    with pytest.raises(ValueError, match="no reason"):
        causal("other", tolerance=1e-9)
