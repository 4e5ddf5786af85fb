"""Bars one by one: how many readings that were already given does a library rewrite?

    python tests/analysis/replay.py

prints the figures that docs/analysis.md quotes. Sixty times a bar is added, and every reading on a bar before it is
compared with what it was a bar ago: all of them, and those on bars at least as old as a swing takes to be confirmed.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from smartmoneyconcepts.smc import smc

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent), str(ROOT / "tests" / "calibration")]

from candle_files import DIRECTORY, recorded  # noqa: E402 - found by the lines above
from smc_frames import frame  # noqa: E402

from crypto_mcp.analysis.findings import Findings  # noqa: E402
from crypto_mcp.analysis.market_structure import StructureSettings, find_structure  # noqa: E402
from crypto_mcp.models.candles import Candles, Floats  # noqa: E402

SWING, PREFIXES = 5, 60
__all__ = ["DIRECTORY", "ours", "recorded", "rewritten", "theirs"]

OURS = ("internal_swings", "internal_breaks", "external_breaks", "order_blocks", "fair_value_gaps")


def theirs(candles: Candles) -> dict[str, Floats]:
    """What smartmoneyconcepts marks on each bar; not when a mark is later mitigated, which may rightly change."""
    ohlc = frame(candles)
    swings = smc.swing_highs_lows(ohlc, swing_length=SWING)
    breaks = smc.bos_choch(ohlc, swings, close_break=True)
    return {
        "swings": swings["HighLow"].to_numpy(),
        "BOS": breaks["BOS"].to_numpy(),
        "CHOCH": breaks["CHOCH"].to_numpy(),
        "order blocks": smc.ob(ohlc, swings)["OB"].to_numpy(),
        "FVG": smc.fvg(ohlc)["FVG"].to_numpy(),
    }


def ours(candles: Candles) -> dict[str, Floats]:
    """The direction of what was known at each bar: findings count on the bar from which they may be used."""
    found = find_structure(candles, StructureSettings(internal=SWING))
    marks = {}
    for name in OURS:
        findings: Findings = getattr(found, name)
        marks[name] = np.zeros(len(candles))
        np.add.at(marks[name], findings.rows["known_at"], findings.rows["direction"] * findings.rows["top"])
    return marks


def rewritten(candles: Candles, readings: Callable[[Candles], dict[str, Floats]], settled: int) -> Counter[str]:
    """Readings on bars with at least `settled` bars after them that one more bar changed, over the last 60 bars."""
    changes: Counter[str] = Counter()
    before = readings(candles[: len(candles) - PREFIXES])
    for bars in range(len(candles) - PREFIXES + 1, len(candles) + 1):
        now = readings(candles[:bars])
        for name, marks in before.items():
            old = slice(0, max(0, len(marks) - settled))
            changes[name] += int(np.count_nonzero(~np.isclose(marks[old], now[name][old], equal_nan=True)))
        before = now
    return changes


def main() -> None:
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
        candles = recorded(symbol)[-1000:]
        for settled in (0, SWING):
            their, our = rewritten(candles, theirs, settled), rewritten(candles, ours, settled)
            print(symbol, settled, "smartmoneyconcepts", sum(their.values()), dict(their), "ours", sum(our.values()))


if __name__ == "__main__":
    main()
