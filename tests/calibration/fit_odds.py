"""Count how often findings came true, fit the odds to it, and test them on symbols and years not fitted on.

    python tests/calibration/fit_odds.py

Findings of hourly and four-hourly bars, fitted on BTC, ETH and BNB before 2023; tested on SOL, LINK and DOGE. Writes
crypto_mcp/analysis/odds.json and docs/images/odds-*.png, and prints the tables that docs/analysis.md quotes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
from scipy.optimize import minimize

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

mpl.use("Agg")
from candle_files import recorded  # noqa: E402 - found by the lines above
from matplotlib import pyplot as plt  # noqa: E402

from crypto_mcp.analysis import odds  # noqa: E402
from crypto_mcp.analysis.dealing_range import find_dealing_ranges  # noqa: E402
from crypto_mcp.analysis.fair_value_gaps import find_fair_value_gaps  # noqa: E402
from crypto_mcp.analysis.findings import Rows  # noqa: E402
from crypto_mcp.analysis.liquidity import find_liquidity, find_sweeps  # noqa: E402
from crypto_mcp.analysis.market_structure import StructureSettings  # noqa: E402
from crypto_mcp.analysis.measures import Measures, measure  # noqa: E402
from crypto_mcp.analysis.order_blocks import find_order_blocks  # noqa: E402
from crypto_mcp.analysis.resample import resample  # noqa: E402
from crypto_mcp.analysis.structure import find_breaks, merged  # noqa: E402
from crypto_mcp.analysis.swings import find_swings  # noqa: E402
from crypto_mcp.models.candles import Candles, Floats, Ints  # noqa: E402

FIT, HELD_OUT = ("BTCUSDT", "ETHUSDT", "BNBUSDT"), ("SOLUSDT", "LINKUSDT", "DOGEUSDT")
SPLIT_MS = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp() * 1000)
GAP_AGES = (0, 3, 12, 48, 150)
STANDS_FOR, REACHED_IN, TESTED_FOR, TURNS_IN = 20, 50, 200, 100
# Halves of the scales on which each figure enters; 0: as it is.
HALVES: dict[str, tuple[float, ...]] = {
    "size_atr": (0.2, 1.0),
    "distance_atr": (0.5, 2.0, 8.0),
    "volatility": (0.0,),
    "displacement_atr": (1.5,),
    "volume_z": (2.0,),
    "age": (5.0, 50.0),
    "prominence_atr": (3.0,),
    "reach": (5.0,),
    "beyond_atr": (0.2, 1.0),
    "body_share": (0.0,),
    "kind": (0.0,),
    "volume_share": (0.0,),
    "rejection": (0.0,),
    "height_atr": (0.5, 2.0),
    "touches": (2.0,),
    "back_atr": (0.2, 1.0),
}
SIZES = (0.0, 0.25, 0.5, 1.0, np.inf)


@dataclass(frozen=True, slots=True)
class Cases:
    """Past cases of one event: figures known at `time`, and whether it came true. `base` parts them for base rates."""

    figures: Floats
    true: Floats
    time: Ints
    base: Ints

    def where(self, chosen: np.ndarray) -> Cases:
        return Cases(self.figures[chosen], self.true[chosen], self.time[chosen], self.base[chosen])


def joined(parts: list[Cases]) -> Cases:
    return Cases(*(np.concatenate([getattr(part, name) for part in parts]) for name in Cases.__slots__))


def cases_of(measures: Measures, figures: Floats, true: Floats, bar: Ints, base: Ints | int = 0) -> Cases:
    return Cases(figures, true.astype(float), measures.candles.open_time[bar], np.broadcast_to(base, len(true)))


def first(*bars: Ints) -> Ints:
    """The earliest of bars of which -1 means never; a bar beyond any series where none came."""
    return np.min([np.where(at < 0, 1 << 40, at) for at in bars], axis=0)


def gap_cases(measures: Measures, rows: Rows, horizon: int) -> Iterator[Cases]:
    """Gaps still open at several ages; filled within `horizon` bars of then."""
    filled = first(rows["filled_at"])
    for group, age in enumerate(GAP_AGES):
        bar = rows["known_at"] + age
        chosen = (filled > bar) & (bar + horizon < len(measures.candles))
        bar = bar[chosen]
        figures = odds.gap_figures(measures.bars, measures.long_atr, rows[chosen], bar)
        yield cases_of(measures, figures, filled[chosen] <= bar + horizon, bar, group)


def swing_cases(measures: Measures, rows: Rows) -> Cases:
    """Swings; not passed even by a wick for 20 bars."""
    rows = rows[rows["known_at"] + STANDS_FOR < len(measures.candles)]
    true = first(rows["swept_at"], rows["broken_at"]) > rows["known_at"] + STANDS_FOR
    return cases_of(measures, odds.swing_figures(measures.bars, measures.long_atr, rows), true, rows["known_at"])


def break_cases(measures: Measures, rows: Rows) -> Cases:
    """Breaks; no close back within 5 bars."""
    rows = rows[(rows["failed_at"] >= 0) | (rows["held_at"] >= 0)]
    return cases_of(
        measures, odds.break_figures(measures.bars, measures.long_atr, rows), rows["held_at"] >= 0, rows["at"]
    )


def block_cases(measures: Measures, rows: Rows) -> Cases:
    """Order blocks that price came back to; it left them again by one ATR before a close broke them."""
    bars, chosen, true = measures.candles, [], []
    for i, row in enumerate(rows):
        test = row["tested_at"]
        if test < 0:
            continue
        up, after = row["direction"] > 0, slice(test + 1, test + 1 + TESTED_FOR)
        room = measures.bars.atr[row["known_at"]]
        won = bars.high[after] >= row["top"] + room if up else bars.low[after] <= row["bottom"] - room
        won_at = test + 1 + won.argmax() if won.any() else 1 << 40
        lost_at = row["broken_at"] if row["broken_at"] >= 0 else 1 << 40
        if min(won_at, lost_at) < 1 << 40:
            chosen.append(i)
            true.append(won_at < lost_at)
    rows = rows[chosen]
    return cases_of(
        measures, odds.block_figures(measures.bars, measures.long_atr, rows), np.array(true), rows["known_at"]
    )


def level_cases(measures: Measures, rows: Rows) -> Cases:
    """Levels; passed by a wick within 50 bars."""
    bars = measures.candles
    rows = rows[rows["known_at"] + REACHED_IN < len(bars)]
    window = rows["known_at"][:, None] + 1 + np.arange(REACHED_IN)
    above = bars.high[window].max(1) > rows["top"]
    below = bars.low[window].min(1) < rows["bottom"]
    true = np.where(rows["direction"] < 0, above, below)
    return cases_of(measures, odds.level_figures(measures.bars, measures.long_atr, rows), true, rows["known_at"])


def sweep_cases(measures: Measures, rows: Rows) -> Cases:
    """Sweeps; price went one ATR from the close before it passed the wick's end."""
    bars, chosen, true = measures.candles, [], []
    for i, row in enumerate(rows):
        at, up = row["at"], row["direction"] > 0
        after = slice(at + 1, at + 1 + TURNS_IN)
        goal = bars.close[at] + (1 if up else -1) * measures.bars.atr[at]
        tip = bars.low[at] if up else bars.high[at]
        won = bars.high[after] >= goal if up else bars.low[after] <= goal
        lost = bars.low[after] < tip if up else bars.high[after] > tip
        if won.any() or lost.any():
            chosen.append(i)
            true.append(bool(won.any()) and (not lost.any() or won.argmax() < lost.argmax()))
    rows = rows[chosen]
    return cases_of(measures, odds.sweep_figures(measures.bars, measures.long_atr, rows), np.array(true), rows["at"])


def collect(candles: Candles) -> tuple[dict[str, Cases], Rows]:
    """Cases of every event in these bars, and the gaps."""
    s, m = StructureSettings(), measure(candles)
    swings = [find_swings(m, reach, s.equal_tolerance, s.max_age) for reach in (s.internal, s.external)]
    breaks = [find_breaks(m, found, s.break_by, s.fail_within) for found in swings]
    blocks = find_order_blocks(
        m,
        merged(breaks[1], breaks[0]),
        find_dealing_ranges(m, swings[1]),
        impulse=s.impulse,
        min_displacement=s.min_displacement,
        search=s.block_search,
        max_age=s.max_age,
    )
    gaps = find_fair_value_gaps(m, swings[1], min_size=s.min_gap, max_age=s.max_age)
    levels = find_liquidity(m, swings[0], equal_tolerance=s.equal_tolerance, search=s.pool_search, max_age=s.max_age)
    found = {f"fill_{h}": joined(list(gap_cases(m, gaps.rows, h))) for h in odds.FILL_HORIZONS}
    found["swing_stands"] = joined([swing_cases(m, one.rows) for one in swings])
    found["break_holds"] = joined([break_cases(m, one.rows) for one in breaks])
    found["block_holds"] = block_cases(m, blocks.rows)
    found["level_reached"] = level_cases(m, levels.rows)
    found["sweep_turns"] = sweep_cases(m, find_sweeps(m, levels, swings[1]).rows)
    return found, gaps.rows


def shuffled(candles: Candles, seed: int) -> Candles:
    """The same bars in random order, each from the close of the one before: a market without structure."""
    order = np.random.default_rng(seed).permutation(len(candles))
    before = np.append(candles.open[:1], candles.close[:-1])
    closes = candles.open[0] * np.exp(np.cumsum(np.log(candles.close / before)[order]))
    scale = np.append(candles.open[:1], closes[:-1]) / before[order]
    prices = [series[order] * scale for series in (candles.open, candles.high, candles.low)]
    return Candles(candles.open_time, *prices, closes, candles.volume[order], step=candles.step)


def fitted(event: odds.Event, cases: Cases) -> list[tuple[str, float, float]]:
    """Terms of the logistic model (the first is the intercept), by penalised maximum likelihood."""
    terms = [(name, half) for name in odds.FIGURES[event] for half in HALVES[name]]
    columns = [np.ones(len(cases.true))]
    for name, half in terms:
        x = cases.figures[:, odds.FIGURES[event].index(name)]
        columns.append(np.maximum(x, 0) / (np.maximum(x, 0) + half) if half else x)
    x = np.column_stack(columns)

    def loss(weights: Floats) -> tuple[float, Floats]:
        logit = x @ weights
        cost = np.mean(np.logaddexp(0, logit) - cases.true * logit) + 1e-5 * weights[1:] @ weights[1:]
        slope = x.T @ (1 / (1 + np.exp(-logit)) - cases.true) / len(x)
        return float(cost), slope + 2e-5 * np.append(0, weights[1:])

    found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 2000}).x
    weights = [round(float(weight), 3) for weight in found]
    return [("", 0.0, weights[0]), *((*term, weight) for term, weight in zip(terms, weights[1:], strict=True))]


def base_rates(cases: Cases) -> Floats:
    return np.array([cases.true[cases.base == group].mean() for group in range(cases.base.max() + 1)])


def survival(rows: Rows, ages: tuple[int, ...], bars: int) -> Floats:
    """Share of gaps not yet filled by each age (Kaplan & Meier 1958; the end of the data censors)."""
    filled, last = first(rows["filled_at"]), bars - 1 - rows["known_at"]
    followed = np.minimum(last, StructureSettings().max_age)
    at_risk_until = np.minimum(filled - rows["known_at"], followed)
    share, shares = 1.0, []
    for age in range(1, max(ages) + 1):
        at_risk = np.count_nonzero(at_risk_until >= age)
        events = np.count_nonzero(filled - rows["known_at"] == age)
        share *= 1 - events / at_risk if at_risk else 1
        shares.append(share)
    return np.array(shares)[np.array(ages) - 1]


def curve(said: Floats, true: Floats, bins: int = 10) -> tuple[Floats, Floats, Floats]:
    edges = np.unique(np.quantile(said, np.linspace(0, 1, bins + 1)))
    place = np.clip(np.searchsorted(edges, said, side="right") - 1, 0, len(edges) - 2)
    used = [i for i in range(len(edges) - 1) if (place == i).any()]
    return (
        np.array([said[place == i].mean() for i in used]),
        np.array([true[place == i].mean() for i in used]),
        np.array([(place == i).sum() for i in used]),
    )


def draw(curves: dict[str, tuple[Floats, Floats, Floats]], title: str, name: str) -> None:
    figure, axes = plt.subplots(figsize=(6, 6), dpi=120)
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="said = seen")
    for label, (said, seen, count) in curves.items():
        error = 1.96 * np.sqrt(seen * (1 - seen) / count)
        axes.errorbar(said, seen, yerr=error, marker="o", markersize=4, capsize=3, linewidth=1, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="chance said", ylabel="share that came true", title=title)
    axes.legend(loc="upper left")
    figure.tight_layout()
    target = ROOT / "docs" / "images" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target)
    plt.close(figure)


def report(event: str, model: odds.Model, rates: Floats, groups: dict[str, Cases]) -> None:
    for name, cases in groups.items():
        said = model.chances(cases.figures)
        brier, base = np.mean((said - cases.true) ** 2), np.mean((rates[cases.base] - cases.true) ** 2)
        print(
            f"| {event} | {name} | {len(said):,} | {100 * cases.true.mean():.1f} % | {100 * said.mean():.1f} % "
            f"| {brier:.4f} | {base:.4f} | {100 * (1 - brier / base):+.1f} % |"
        )


def main() -> None:
    collected: dict[str, list[dict[str, Cases]]] = {}
    gaps: list[tuple[Rows, int]] = []
    for symbol in FIT + HELD_OUT:
        hourly = recorded(symbol)
        for candles in (hourly, resample(hourly, 4)):
            found, rows = collect(candles)
            collected.setdefault(symbol, []).append(found)
            if symbol in FIT:
                gaps.append((rows, len(candles)))
    models, reliability = {}, {}
    print(
        "| event | bars | cases | came true | said | Brier | base rate's | skill |\n|---|---|---|---|---|---|---|---|"
    )
    for event in collected[FIT[0]][0]:
        fit = joined([found[event] for symbol in FIT for found in collected[symbol]])
        held = joined([found[event] for symbol in HELD_OUT for found in collected[symbol]])
        early = fit.where(fit.time < SPLIT_MS)
        (_, _, intercept), *terms = fitted(event, early)
        model, rates = odds.Model.of(event, intercept, terms), base_rates(early)
        groups = {
            "fitted on": early,
            "same symbols, later years": fit.where(fit.time >= SPLIT_MS),
            "held-out symbols, same years": held.where(held.time < SPLIT_MS),
            "held-out symbols, later years": held.where(held.time >= SPLIT_MS),
        }
        report(event, model, rates, groups)
        reliability[event] = curve(model.chances(held.figures), held.true)
        base = round(float(early.true.mean()), 4)
        models[event] = {"cases": len(early.true), "base": base, "intercept": intercept, "terms": terms}
    stored = "{\n" + ",\n".join(f' "{event}": {json.dumps(model)}' for event, model in models.items()) + "\n}\n"
    (ROOT / "crypto_mcp" / "analysis" / "odds.json").write_text(stored)
    fills = {f"{h} bars": reliability[f"fill_{h}"] for h in odds.FILL_HORIZONS}
    draw(fills, "Fair value gaps filled within ... (SOL, LINK, DOGE)", "odds-fill.png")
    others = {event: points for event, points in reliability.items() if not event.startswith("fill")}
    draw(others, "Confidence of findings (SOL, LINK, DOGE)", "odds-findings.png")
    print_survival(gaps)
    print_placebo(collected)


def print_placebo(collected: dict[str, list[dict[str, Cases]]]) -> None:
    placebo = [collect(shuffled(recorded(symbol), seed))[0] for seed, symbol in enumerate(FIT + HELD_OUT)]
    print("\n| event | hourly bars | the same bars shuffled |\n|---|---|---|")
    for event in placebo[0]:
        real = np.concatenate([found[0][event].true for found in collected.values()])
        chance = np.concatenate([found[event].true for found in placebo])
        print(f"| {event} | {100 * real.mean():.1f} % | {100 * chance.mean():.1f} % |")


def print_survival(gaps: list[tuple[Rows, int]]) -> None:
    ages = (1, 5, 10, 20, 50, 100, 200, 500)
    print("\n| height | gaps | " + " | ".join(f"{age} bars" for age in ages) + " |\n|---|---|" + "---|" * len(ages))
    for low, high in pairwise(SIZES):
        chosen = [(rows[(rows["size_atr"] >= low) & (rows["size_atr"] < high)], bars) for rows, bars in gaps]
        weights = np.array([len(rows) for rows, _ in chosen], dtype=float)
        shares = np.average([survival(rows, ages, bars) for rows, bars in chosen], axis=0, weights=weights)
        name = f"{low:g} to {high:g} ATR" if np.isfinite(high) else f"from {low:g} ATR"
        print(f"| {name} | {int(weights.sum()):,} | " + " | ".join(f"{100 * s:.0f} %" for s in shares) + " |")


if __name__ == "__main__":
    main()
