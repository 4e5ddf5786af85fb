"""Generated candles: seeded, and as trending, reverting or wild as asked."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from crypto_mcp.models.candles import Candles, Floats

HOUR_MS = 3_600_000
START_MS = 1_700_006_400_000  # a multiple of four hours


def from_closes(closes: Floats, *, seed: int = 0, wick: float = 0.5, step: int = HOUR_MS) -> Candles:
    """Candles that open at the close before, with wicks of about `wick` usual moves, and volume around 1000."""
    rng = np.random.default_rng(seed)
    opens = np.concatenate((closes[:1], closes[:-1]))
    usual = np.abs(np.diff(np.log(closes))).mean() if len(closes) > 1 else 0.0
    wicks = 1 + np.abs(rng.normal(0, wick * usual, (2, len(closes))))
    return Candles(
        open_time=START_MS + step * np.arange(len(closes), dtype=np.int64),
        open=opens,
        high=np.maximum(opens, closes) * wicks[0],
        low=np.minimum(opens, closes) / wicks[1],
        close=closes,
        volume=rng.lognormal(6.9, 0.4, len(closes)),
        step=step,
    )


def random_walk(bars: int, *, seed: int, drift: float = 0.0, sigma: float = 0.01, start: float = 100.0) -> Candles:
    """Log price with independent normal steps; `drift` and `sigma` a bar."""
    steps = np.random.default_rng(seed).normal(drift, sigma, bars)
    return from_closes(start * np.exp(np.cumsum(steps)), seed=seed)


def mean_reverting(bars: int, *, seed: int, pull: float = 0.25, sigma: float = 0.01) -> Candles:
    """Log price pulled back to its mean by `pull` of the distance a bar (Ornstein-Uhlenbeck)."""
    steps = np.random.default_rng(seed).normal(0, sigma, bars)
    log_price = np.zeros(bars)
    for before, now in pairwise(range(bars)):
        log_price[now] = (1 - pull) * log_price[before] + steps[now]
    return from_closes(100 * np.exp(log_price), seed=seed)
