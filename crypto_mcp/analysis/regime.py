"""How price moves: in a trend, in a range or out of one; and with how much energy.

The probabilities of trend, range and breakout are those of a stated model, not of the market: among generated series
of these three kinds (tests/calibration/fit_regime.py), the share that had such figures. Energy compares realised
volatility with its own history in the same bars.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import mul

import numpy as np

from crypto_mcp.analysis.rounding import decimals, mean
from crypto_mcp.models.analysis import Energy, Movement, Regime
from crypto_mcp.models.candles import Candles, Floats

EFFICIENCY_WINDOW = 30
VARIANCE_LAG, VARIANCE_WINDOW = 5, 80
RANGE_WINDOW, BREAK_WINDOW = 40, 5

MOVEMENTS: tuple[Movement, ...] = ("trend", "range", "breakout")
FEATURES = ("adx", "efficiency", "persistence", "outside", "widening")
# Constant, then one coefficient a feature; fitted by tests/calibration/fit_regime.py.
COEFFICIENTS: dict[Movement, tuple[float, ...]] = {
    "trend": (-2.7, 0.9, -0.23, 1.66, 0.18, -0.18),
    "breakout": (0.59, -0.74, 0.65, -0.48, 1.29, 1.55),
}


@dataclass(frozen=True, slots=True)
class MovementFeatures:
    """What tells movements apart.

    Attributes:
        adx: average directional index over 10.
        efficiency: efficiency ratio, 0 to 1.
        persistence: logarithm of the variance ratio.
        outside: distance outside the range of the bars before, in ATR, at most 4.
        widening: logarithm of the last 5 ranges over those of 50 bars.
    """

    adx: float
    efficiency: float
    persistence: float
    outside: float
    widening: float


def efficiency_ratio(log_price: Floats, window: int = EFFICIENCY_WINDOW) -> float:
    """Net move over path walked in the last `window` bars, 0 to 1 (Kaufman 1995, Smarter Trading); 0 without moves."""
    recent = log_price[-window - 1 :]
    path = float(np.abs(recent[1:] - recent[:-1]).sum())
    return min(1.0, abs(float(recent[-1] - recent[0])) / path) if path > 1e-10 else 0.0


def variance_ratio(log_price: Floats, lag: int = VARIANCE_LAG, window: int = VARIANCE_WINDOW) -> float:
    """Mean square of the last `window` returns over `lag` bars, over `lag` times that of the last over one bar.

    1 for a random walk, more for moves that go on, less for moves that come back (Lo & MacKinlay 1988, Review of
    Financial Studies 1(1), with overlapping returns and no drift taken off); 1 where price does not move.
    """
    recent = log_price[-window - lag :]
    single = recent[-window:] - recent[-window - 1 : -1]
    several = recent[lag:] - recent[:-lag]
    short = float(single @ single)
    return float(several @ several) / (lag * short) if short > 1e-18 else 1.0


def range_break(candles: Candles, atr: float) -> float:
    """How far the close lies outside the range of the 40 bars that ended 5 bars ago, in ATR; signed, 0 inside."""
    before = slice(-RANGE_WINDOW - BREAK_WINDOW, -BREAK_WINDOW)
    close = float(candles.close[-1])
    above, below = close - float(candles.high[before].max()), close - float(candles.low[before].min())
    outside = max(above, 0.0) + min(below, 0.0)
    return outside / atr if atr > 0 else 0.0


def movement_features(candles: Candles, atr: float, adx: float) -> MovementFeatures:
    """The figures at the newest bar, from the present ATR and ADX."""
    log_price = np.log(candles.close[-VARIANCE_WINDOW - VARIANCE_LAG :])
    ranges = candles.high[-50:] - candles.low[-50:]
    usual = mean(ranges)
    return MovementFeatures(
        adx=adx / 10,
        efficiency=efficiency_ratio(log_price),
        persistence=math.log(max(variance_ratio(log_price), 0.05)),
        outside=min(abs(range_break(candles, atr)), 4.0),
        widening=math.log(max(mean(ranges[-5:]) / usual, 0.1)) if usual > 0 else 0.0,
    )


def movement_probabilities(features: MovementFeatures) -> dict[Movement, float]:
    """Trend, range and breakout as shares that add up to 1: a multinomial logistic model, range the reference."""
    figures = (1.0, *(getattr(features, name) for name in FEATURES))
    evidence = {"range": 0.0} | {
        name: sum(map(mul, coefficients, figures)) for name, coefficients in COEFFICIENTS.items()
    }
    top = max(evidence.values())
    odds = {name: math.exp(evidence[name] - top) for name in MOVEMENTS}
    total = sum(odds.values())
    return {name: decimals(share / total, 3) for name, share in odds.items()}


def energy_probabilities(sigma: Floats, window: int) -> dict[Energy, float]:
    """Chance that true volatility is under the lower, between, or over the upper quartile of its own history.

    The estimate over `window` bars is taken as log-normal with the standard error of Yang & Zhang's estimator, about
    1 / sqrt(2 * 8 * window) of its size.
    """
    known = sigma[np.isfinite(sigma)]
    ordered = np.sort(known)
    low, high, newest = (float(x) for x in (ordered[len(known) // 4], ordered[3 * len(known) // 4], known[-1]))
    if newest <= 0 or low <= 0:
        return {"calm": 1.0, "normal": 0.0, "wild": 0.0} if newest <= low else {"calm": 0.0, "normal": 0.0, "wild": 1.0}
    error = math.sqrt(1 / (16 * window))
    calm = _normal_cdf(math.log(low / newest) / error)
    wild = _normal_cdf(math.log(newest / high) / error)
    calm, wild = decimals(calm, 3), decimals(wild, 3)
    return {"calm": calm, "normal": decimals(max(0.0, 1 - calm - wild), 3), "wild": wild}


def _normal_cdf(z: float) -> float:
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


def read_regime(candles: Candles, sigma: Floats, window: int, atr: float, movement: dict[Movement, float]) -> Regime:
    """The regime at the newest bar, from `yang_zhang(candles, window)`, ATR and the movement probabilities."""
    energy = energy_probabilities(sigma, window)
    log_price = np.log(candles.close)
    return Regime(
        movement=max(movement, key=lambda name: movement[name]),
        energy=max(energy, key=lambda name: energy[name]),
        movement_probabilities=movement,
        energy_probabilities=energy,
        efficiency_ratio=decimals(efficiency_ratio(log_price), 3),
        variance_ratio=decimals(variance_ratio(log_price), 3),
        range_break=decimals(range_break(candles, atr), 2),
    )
