"""From score to action, in plain sentences that name the figures."""

from __future__ import annotations

from collections.abc import Sequence

from crypto_mcp.models.analysis import Action, AnalysisSummary, Factor, Level, VolatilityReading

# Score from which an action holds, mirrored around 5.
BUY_FROM, STRONG_FROM = 6.0, 7.5


def action_for(score: float) -> Action:
    """`BUY` from 6, `STRONG_BUY` from 7.5, `SELL` up to 4, `STRONG_SELL` up to 2.5, else `HOLD`."""
    if score >= BUY_FROM:
        return "STRONG_BUY" if score >= STRONG_FROM else "BUY"
    if score <= 10 - BUY_FROM:
        return "STRONG_SELL" if score <= 10 - STRONG_FROM else "SELL"
    return "HOLD"


def reasoning(
    summary: AnalysisSummary,
    factors: Sequence[Factor],
    volatility: VolatilityReading,
    support: Sequence[Level],
    resistance: Sequence[Level],
) -> str:
    """What speaks for a rise, what for a fall, how wide price swings, where it turned before."""
    sentences = [
        f"Score {summary.intelligent_score:.1f} of 10 in a {summary.energy} {summary.movement}.",
        _side("For a rise", [factor for factor in factors if factor.contribution > 0.05]),
        _side("For a fall", [factor for factor in factors if factor.contribution < -0.05]),
        f"A bar ranges {volatility.atr_percent:.2f} % on average.",
        _bounds(support, resistance),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _side(opening: str, factors: Sequence[Factor]) -> str:
    reasons = "; ".join(f"{factor.reading} ({factor.contribution:+.1f})" for factor in factors[:2])
    return f"{opening}: {reasons}." if reasons else ""


def _bounds(support: Sequence[Level], resistance: Sequence[Level]) -> str:
    sides = [f"support {support[0].level:.6g}"] if support else []
    sides += [f"resistance {resistance[0].level:.6g}"] if resistance else []
    return f"Nearest {' and '.join(sides)}." if sides else ""
