"""The analysis engine in one process, beside smartmoneyconcepts on the same bars."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import pandas as pd

from crypto_mcp.analysis.assess import assess
from crypto_mcp.analysis.market_structure import find_structure
from crypto_mcp.conditions import evaluate, parse
from crypto_mcp.models.candles import Candles
from tests.analysis.walks import random_walk
from tests.bench.figures import Figures

_SWING_LENGTH = 5
CONDITION = (
    "crosses_above(ema(9), ema(21)) and rsi(14) < 70 and volume > 1.5 * sma(volume, 20) "
    "and close > ema(200) and change(close, 24) > 1%"
)


async def run(figures: Figures, *, quick: bool) -> None:
    """All figures of the section."""
    rows = {}
    for bars, rounds in ((500, 3), (8760, 1)) if quick else ((500, 15), (8760, 3)):
        candles = random_walk(bars, seed=1)
        frame = _frame(candles)
        find_structure(candles)
        ours, theirs = [], []
        for _ in range(rounds):
            ours += [_milliseconds(lambda c=candles: find_structure(c)) for _ in range(5)]
            theirs.append(_milliseconds(lambda f=frame: _peer(f)))
        rows[f"structure, {bars} bars"] = (median(ours), median(theirs))
        figures.add(f"analysis_{bars}_ms", median(ours))
        figures.add(f"analysis_ratio_smc_{bars}", median(theirs) / median(ours))
    condition = parse(CONDITION)
    candles = random_walk(8760, seed=1)
    evaluate(condition, candles)
    judged = median(_milliseconds(lambda: evaluate(condition, candles)) for _ in range(60))
    rows["condition of five terms, 8760 bars"] = (judged, float("nan"))
    figures.add("condition_8760_ms", judged)
    candles = random_walk(500, seed=1)
    assess(candles)
    whole = median(_milliseconds(lambda: assess(candles)) for _ in range(60))
    rows["everything, 500 bars"] = (whole, float("nan"))
    figures.table(f"analysis, ms (smartmoneyconcepts at swing length {_SWING_LENGTH})", rows, ("ours", "smc"))


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def _frame(candles: Candles) -> pd.DataFrame:
    names = ("open", "high", "low", "close", "volume")
    return pd.DataFrame({n: getattr(candles, n) for n in names}, index=pd.to_datetime(candles.open_time, unit="ms"))


def _peer(frame: pd.DataFrame) -> None:
    """The same set: swings, gaps, breaks, order blocks, liquidity."""
    from smartmoneyconcepts import smc

    swings = smc.swing_highs_lows(frame, swing_length=_SWING_LENGTH)
    smc.fvg(frame)
    smc.bos_choch(frame, swings)
    smc.ob(frame, swings)
    smc.liquidity(frame, swings)
