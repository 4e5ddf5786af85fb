"""Count how often past calls came true, write the table that confidence is read from, and test it on held-out data.

    python tests/calibration/fit_confidence.py

Calls are made every 6 bars from the 500 bars before, on 1h and 4h. Fitted on BTC, ETH and BNB before 2023; tested on
the same symbols from 2023 on, and on SOL, LINK and DOGE. Writes crypto_mcp/analysis/confidence.json and
docs/images/confidence-reliability.png, and prints the Brier scores that docs/analysis-score.md quotes.
"""

from __future__ import annotations

import json
import sys
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

mpl.use("Agg")
from candle_files import recorded  # noqa: E402 - found by the lines above
from matplotlib import pyplot as plt  # noqa: E402

from crypto_mcp.analysis.landscape import survey  # noqa: E402
from crypto_mcp.analysis.plan import HORIZON_BARS, trade_plan  # noqa: E402
from crypto_mcp.analysis.regime import MOVEMENTS  # noqa: E402
from crypto_mcp.analysis.resample import resample  # noqa: E402
from crypto_mcp.analysis.verdict import judge  # noqa: E402
from crypto_mcp.models.candles import Candles, Floats  # noqa: E402

FIT, HELD_OUT = ("BTCUSDT", "ETHUSDT", "BNBUSDT"), ("SOLUSDT", "LINKUSDT", "DOGEUSDT")
SPLIT_MS = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp() * 1000)
BARS, EVERY = 500, 6
EDGES = (1.0, 2.0, 3.0)
PRIOR_CALLS = 600
# Calls behind a point of the diagram. They overlap in time, so intervals are drawn for half as many.
LEAST_CALLS, OVERLAP = 100, 2


@dataclass(frozen=True, slots=True)
class Call:
    """One call and what became of it."""

    symbol: str
    time: int
    score: float
    movement: str
    came_true: bool


def came_true(future: Candles, side: str, stop: float, target: float) -> bool:
    """Whether the target was touched before the stop; a bar that touches both counts as stopped."""
    won = future.high >= target if side == "long" else future.low <= target
    lost = future.low <= stop if side == "long" else future.high >= stop
    return bool(won.any()) and (not lost.any() or int(won.argmax()) < int(lost.argmax()))


def calls(symbol: str, candles: Candles) -> list[Call]:
    """Calls every 6 bars, each from the 500 bars before it."""
    made = []
    for k in range(BARS, len(candles) - HORIZON_BARS + 1, EVERY):
        past = candles[k - BARS : k]
        landscape = survey(past)
        verdict = judge(past, landscape)
        side = "long" if verdict.score >= 5 else "short"
        plan = trade_plan(side, float(past.close[-1]), verdict.atr, landscape)
        true = came_true(candles[k : k + HORIZON_BARS], side, plan.stop, plan.target_1)
        movement = max(verdict.movement, key=lambda name: verdict.movement[name])
        made.append(Call(symbol, int(candles.open_time[k]), verdict.score, movement, true))
    return made


def never_falling(chances: Floats, weights: Floats) -> Floats:
    """The nearest sequence that never falls, by weighted least squares (pool adjacent violators)."""
    blocks: list[list[float]] = []
    for chance, weight in zip(chances, weights, strict=True):
        blocks.append([chance, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, wa, na), (b, wb, nb) = blocks[-2:]
            blocks[-2:] = [[(a * wa + b * wb) / (wa + wb), wa + wb, na + nb]]
    return np.concatenate([np.full(int(count), chance) for chance, _, count in blocks])


def band_of(call: Call) -> int:
    """Index of the cell a call falls into, as in the engine."""
    return bisect_right(EDGES, abs(call.score - 5))


def fitted(made: list[Call]) -> dict:
    """The table: counts a cell, chances drawn to the base rate by 600 calls of prior, never falling with the score."""
    base = float(np.mean([call.came_true for call in made]))
    cells = {}
    for movement in MOVEMENTS:
        like = [call for call in made if call.movement == movement]
        band = np.array([band_of(call) for call in like], dtype=np.int64)
        true = np.array([call.came_true for call in like], dtype=np.float64)
        n = np.bincount(band, minlength=len(EDGES) + 1)
        hits = np.bincount(band, weights=true, minlength=len(EDGES) + 1)
        chance = never_falling((hits + base * PRIOR_CALLS) / (n + PRIOR_CALLS), (n + PRIOR_CALLS).astype(float))
        cells[movement] = [
            {"calls": int(a), "hits": int(b), "chance": round(float(c), 4)}
            for a, b, c in zip(n, hits, chance, strict=True)
        ]
    return {"base": round(base, 4), "edges": EDGES, "cells": cells}


def predicted(table: dict, made: list[Call]) -> Floats:
    """The chance said for each call."""
    return np.array([table["cells"][call.movement][band_of(call)]["chance"] for call in made])


def report(name: str, table: dict, made: list[Call]) -> tuple[Floats, Floats, Floats]:
    """Prints Brier score against the base rate; returns what was said, what was seen, and how often."""
    said, true = predicted(table, made), np.array([c.came_true for c in made], dtype=float)
    brier, base = float(np.mean((said - true) ** 2)), float(np.mean((table["base"] - true) ** 2))
    print(
        f"{name:28} calls {len(made):6}  came true {true.mean():.3f}  Brier {brier:.5f}  base {base:.5f}  "
        f"skill {100 * (1 - brier / base):+.2f} %"
    )
    values = [value for value in np.unique(said) if np.count_nonzero(said == value) >= LEAST_CALLS]
    return (
        np.array(values),
        np.array([true[said == value].mean() for value in values]),
        np.array([np.count_nonzero(said == value) for value in values]),
    )


def draw(curves: dict[str, tuple[Floats, Floats, Floats]]) -> None:
    figure, axes = plt.subplots(figsize=(6, 6), dpi=120)
    axes.plot([0.4, 0.7], [0.4, 0.7], color="0.6", linewidth=1, label="said = seen")
    for name, (said, seen, count) in curves.items():
        error = 1.96 * np.sqrt(seen * (1 - seen) / count * OVERLAP)
        axes.errorbar(said, seen, yerr=error, marker="o", capsize=3, linewidth=1, label=name)
    axes.set(xlim=(0.48, 0.55), ylim=(0.38, 0.68), xlabel="confidence said", ylabel="share of calls that came true")
    axes.set_title("Calls that reached target 1 before the stop within 48 bars")
    axes.legend(loc="upper left")
    target = ROOT / "docs" / "images" / "confidence-reliability.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(target)


def main() -> None:
    made: list[Call] = []
    for symbol in FIT + HELD_OUT:
        hourly = recorded(symbol)
        made += calls(symbol, hourly) + calls(symbol, resample(hourly, 4))
        print(symbol, len(made), flush=True)
    early = [call for call in made if call.symbol in FIT and call.time < SPLIT_MS]
    table = fitted(early)
    for movement, row in table["cells"].items():
        print(f"{movement:9}", [(cell["calls"], cell["chance"]) for cell in row])
    groups = {
        "fitted on": early,
        "same symbols, later years": [c for c in made if c.symbol in FIT and c.time >= SPLIT_MS],
        "other symbols, same years": [c for c in made if c.symbol in HELD_OUT and c.time < SPLIT_MS],
        "other symbols, later years": [c for c in made if c.symbol in HELD_OUT and c.time >= SPLIT_MS],
    }
    curves = {name: report(name, table, group) for name, group in groups.items()}
    draw({name: curve for name, curve in curves.items() if name != "fitted on"})
    (ROOT / "crypto_mcp" / "analysis" / "confidence.json").write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
