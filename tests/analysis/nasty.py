"""Candles that break careless code: one bar, no movement, no volume, holes, jumps, extreme prices."""

from __future__ import annotations

import numpy as np

from crypto_mcp.models.candles import Candles
from tests.analysis.drawn import HOUR, MONDAY, drawn
from tests.analysis.walks import random_walk


def scaled(candles: Candles, factor: float) -> Candles:
    """The same candles at another price."""
    prices = (factor * series for series in (candles.open, candles.high, candles.low, candles.close))
    return Candles(candles.open_time, *prices, candles.volume, step=candles.step)


def with_holes(candles: Candles, seed: int) -> Candles:
    """A third of the bars left out."""
    keep = np.random.default_rng(seed).random(len(candles)) > 0.33
    columns = (getattr(candles, name)[keep] for name in ("open_time", "open", "high", "low", "close", "volume"))
    return Candles(*columns, step=candles.step)


def jumping(bars: int, seed: int) -> Candles:
    """Bars that open anywhere between a tenth and ten times the close before."""
    rng = np.random.default_rng(seed)
    opens = 100 * np.exp(np.cumsum(np.where(rng.random(bars) < 0.05, rng.uniform(-2, 2, bars), 0)))
    closes = opens * np.exp(rng.normal(0, 0.01, bars))
    high, low = np.maximum(opens, closes) * 1.001, np.minimum(opens, closes) / 1.001
    return Candles(MONDAY + HOUR * np.arange(bars), opens, high, low, closes, rng.lognormal(3, 3, bars), step=HOUR)


def flat_then_moving(bars: int) -> Candles:
    """Half without any movement or volume, then a walk."""
    walk = random_walk(bars // 2, seed=9, start=5.0)
    flat = drawn(*[(5, 5, 5, 5, 0)] * (bars - bars // 2))
    columns = (np.concatenate((getattr(flat, n), getattr(walk, n))) for n in ("open", "high", "low", "close", "volume"))
    return Candles(MONDAY + HOUR * np.arange(bars), *columns, step=HOUR)


def silent(candles: Candles) -> Candles:
    """Without volume."""
    return Candles(
        candles.open_time, candles.open, candles.high, candles.low, candles.close, 0 * candles.volume, candles.step
    )


def sparse(candles: Candles, seed: int) -> Candles:
    """Traded now and then, by anything from dust to whales."""
    rng = np.random.default_rng(seed)
    volume = rng.lognormal(0, 12, len(candles)) * (rng.random(len(candles)) > 0.95)
    return Candles(candles.open_time, candles.open, candles.high, candles.low, candles.close, volume, candles.step)


NASTY: dict[str, Candles] = {
    "no bar": random_walk(5, seed=1)[:0],
    "one bar": random_walk(1, seed=1),
    "two bars": random_walk(2, seed=1),
    "flat": drawn(*[(5, 5, 5, 5, 0)] * 300),
    "flat, then moving": flat_then_moving(400),
    "no volume": silent(random_walk(400, seed=2)),
    "sparse volume": sparse(random_walk(600, seed=10), 10),
    "holes": with_holes(random_walk(600, seed=3), 3),
    "jumps": jumping(400, seed=4),
    "1e-8": scaled(random_walk(400, seed=5), 1e-10),
    "1e8": scaled(random_walk(400, seed=6), 1e6),
    "only up": random_walk(400, seed=7, drift=0.02, sigma=0.001),
    "only down": random_walk(400, seed=8, drift=-0.02, sigma=0.001),
}
