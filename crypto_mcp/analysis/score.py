"""The score: 5 is neutral, and every factor moves it by its weight.

    score = 5 + sum over factors of 5 * weight * direction

with `direction` from -1 (bearish) to 1 (bullish) and weights that add up to 1, so the score lies in 0..10. The
weights depend on how price moves: a trend is followed, a range is faded. docs/analysis-score.md explains each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import mul

from crypto_mcp.analysis.rounding import decimals, significant
from crypto_mcp.models.analysis import Action, Factor, Movement

NEUTRAL, SPAN = 5.0, 5.0

WEIGHTS: Mapping[Movement, Mapping[str, float]] = {
    "trend": {
        "trend": 0.25,
        "structure": 0.15,
        "zones": 0.05,
        "momentum": 0.18,
        "volume": 0.07,
        "volatility": 0.10,
        "higher_timeframe": 0.20,
    },
    "range": {
        "trend": 0.10,
        "structure": 0.12,
        "zones": 0.30,
        "momentum": 0.13,
        "volume": 0.13,
        "volatility": 0.10,
        "higher_timeframe": 0.12,
    },
    "breakout": {
        "trend": 0.15,
        "structure": 0.20,
        "zones": 0.05,
        "momentum": 0.20,
        "volume": 0.10,
        "volatility": 0.20,
        "higher_timeframe": 0.10,
    },
}

_BY_FACTOR = {name: tuple(weights[name] for weights in WEIGHTS.values()) for name in WEIGHTS["trend"]}

# Score from which an action holds, mirrored around 5.
BUY_FROM, STRONG_FROM = 6.0, 7.5
ACTION_EDGES = (10 - STRONG_FROM, 10 - BUY_FROM, BUY_FROM, STRONG_FROM)


@dataclass(frozen=True, slots=True)
class Reading:
    """One factor as read from the bars.

    Attributes:
        name: a key of `WEIGHTS`.
        value: the figure, in `unit`.
        direction: -1 bearish to 1 bullish.
        words: puts the figure in words; a score that only looks for where the action changes does without them.
    """

    name: str
    value: float
    unit: str
    direction: float
    words: Callable[[], str]


def blended_weights(movement: Mapping[Movement, float]) -> dict[str, float]:
    """Weights of each factor, mixed by the probability of each movement; they add up to 1 as these do."""
    shares = [movement[kind] for kind in WEIGHTS]
    return {name: sum(map(mul, shares, weights)) for name, weights in _BY_FACTOR.items()}


def weigh(readings: Sequence[Reading], weights: Mapping[str, float]) -> list[Factor]:
    """The readings as factors, the largest contribution first."""
    factors = [
        Factor(
            name=reading.name,
            value=significant(reading.value, 4),
            unit=reading.unit,
            weight=decimals(weights[reading.name], 3),
            contribution=decimals(SPAN * weights[reading.name] * reading.direction, 3),
            reading=reading.words(),
        )
        for reading in readings
    ]
    return sorted(factors, key=lambda factor: -abs(factor.contribution))


def score_of(readings: Sequence[Reading], weights: Mapping[str, float]) -> float:
    """The score, 0 to 10."""
    moved = sum(SPAN * weights[reading.name] * reading.direction for reading in readings)
    return decimals(min(10.0, max(0.0, NEUTRAL + moved)), 2)


def action_for(score: float) -> Action:
    """`BUY` from 6, `STRONG_BUY` from 7.5, `SELL` up to 4, `STRONG_SELL` up to 2.5, else `HOLD`."""
    if score >= BUY_FROM:
        return "STRONG_BUY" if score >= STRONG_FROM else "BUY"
    if score <= 10 - BUY_FROM:
        return "STRONG_SELL" if score <= 10 - STRONG_FROM else "SELL"
    return "HOLD"
