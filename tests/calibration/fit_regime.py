"""Fit the probabilities of trend, range and breakout on generated series whose movement is known.

    python tests/calibration/fit_regime.py

prints the coefficients that `crypto_mcp/analysis/regime.py` holds, and how well they tell fresh series apart.
Series have fat-tailed steps (Student t, 4 degrees of freedom) with volatility that clusters, like real bars:

- trend: a drift of 0.10 to 0.40 standard deviations a bar for 60 to 150 bars;
- range: half of them pulled to a mean by 3 to 25 % of the distance a bar, half random walks without drift;
- breakout: a range of 80 bars or more, then 2 to 8 bars of drift of 0.7 to 1.5 standard deviations.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "analysis")]

from walks import from_closes  # noqa: E402 - found by the line above

from crypto_mcp.analysis.regime import FEATURES, MOVEMENTS, MovementFeatures, movement_features  # noqa: E402
from crypto_mcp.analysis.trend import movement  # noqa: E402
from crypto_mcp.analysis.volatility import average_true_range  # noqa: E402
from crypto_mcp.models.candles import Candles, Floats  # noqa: E402

BARS = 200


def steps(rng: np.random.Generator) -> Floats:
    """Unit-variance steps whose volatility wanders."""
    log_sigma = np.zeros(BARS)
    for bar in range(1, BARS):
        log_sigma[bar] = 0.95 * log_sigma[bar - 1] + rng.normal(0, 0.12)
    return rng.standard_t(4, BARS) / np.sqrt(2) * np.exp(log_sigma)


def reverting(shocks: Floats, pull: float) -> Floats:
    path = np.zeros(BARS)
    for bar in range(1, BARS):
        path[bar] = (1 - pull) * path[bar - 1] + shocks[bar]
    return path


def generate(kind: str, rng: np.random.Generator) -> Candles:
    """One series of 200 bars that ends in the movement asked for."""
    shocks, side = steps(rng), rng.choice((-1.0, 1.0))
    if kind == "trend":
        drift = np.where(np.arange(BARS) >= BARS - rng.integers(60, 151), side * rng.uniform(0.10, 0.40), 0.0)
        path = np.cumsum(shocks + drift)
    elif kind == "range":
        path = reverting(shocks, rng.uniform(0.03, 0.25)) if rng.random() < 0.5 else np.cumsum(shocks)
    else:
        path = reverting(shocks, rng.uniform(0.05, 0.25))
        length = int(rng.integers(2, 9))
        run = np.cumsum(shocks[-length:] + side * rng.uniform(0.7, 1.5))
        path[-length:] = path[-length - 1] + run
    return from_closes(100 * np.exp(0.008 * path), seed=int(rng.integers(1 << 30)))


def features(candles: Candles) -> MovementFeatures:
    return movement_features(candles, average_true_range(candles), movement(candles)[0])


def sample(size: int, seed: int) -> tuple[Floats, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(MOVEMENTS), size)
    rows = [features(generate(MOVEMENTS[label], rng)) for label in labels]
    return np.array([[getattr(row, name) for name in FEATURES] for row in rows]), labels


def log_shares(flat: Floats, x: Floats) -> Floats:
    """Multinomial logistic; range is the reference, with all its coefficients zero."""
    free = flat.reshape(2, -1)
    logits = np.column_stack((x @ free[0], np.zeros(len(x)), x @ free[1]))
    logits -= logits.max(1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def main() -> None:
    x, labels = sample(12_000, seed=1)
    design = np.column_stack((np.ones(len(x)), x))

    def loss(flat: Floats) -> float:
        return float(-log_shares(flat, design)[np.arange(len(labels)), labels].mean() + 1e-4 * (flat**2).sum())

    fitted = minimize(loss, np.zeros(2 * design.shape[1]), method="L-BFGS-B").x
    for name, row in zip(("trend", "breakout"), fitted.reshape(2, -1), strict=True):
        print(name, [round(float(value), 2) for value in row])

    fresh, truth = sample(4_000, seed=2)
    shares = np.exp(log_shares(fitted, np.column_stack((np.ones(len(fresh)), fresh))))
    guess = shares.argmax(1)
    print("log loss", -np.log(shares[np.arange(len(truth)), truth]).mean(), "of", np.log(3))
    print("confusion (rows: truth)")
    for index, name in enumerate(MOVEMENTS):
        print(f"{name:9}", [int(((truth == index) & (guess == other)).sum()) for other in range(3)])
    top = shares.max(1)
    for low in (0.3, 0.5, 0.7, 0.9):
        inside = (top >= low) & (top < low + 0.2)
        print(
            f"said {low:.1f}-{low + 0.2:.1f}: {top[inside].mean():.2f}, was right {(guess == truth)[inside].mean():.2f}"
        )


if __name__ == "__main__":
    main()
