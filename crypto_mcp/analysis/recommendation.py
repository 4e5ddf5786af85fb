"""The reasons of a recommendation, in plain sentences that name the figures."""

from __future__ import annotations

from collections.abc import Sequence

from crypto_mcp.analysis.confidence import table
from crypto_mcp.analysis.score import action_for
from crypto_mcp.models.analysis import AnalysisSummary, Factor, Level, VolatilityReading


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
        _past(summary),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _side(opening: str, factors: Sequence[Factor]) -> str:
    reasons = "; ".join(f"{factor.reading} ({factor.contribution:+.1f})" for factor in factors[:2])
    return f"{opening}: {reasons}." if reasons else ""


def _bounds(support: Sequence[Level], resistance: Sequence[Level]) -> str:
    sides = [f"support {support[0].level:.6g}"] if support else []
    sides += [f"resistance {resistance[0].level:.6g}"] if resistance else []
    return f"Nearest {' and '.join(sides)}." if sides else ""


def _past(summary: AnalysisSummary) -> str:
    cell = table().cell(summary.movement, summary.intelligent_score)
    counted = f"{cell.hits} of {cell.calls} like calls on past bars reached target 1 before the stop"
    if action_for(summary.intelligent_score) == "HOLD":
        return f"Traded to the leaning side, {counted}."
    return f"{counted}; pooled with others, {100 * cell.chance:.0f} %."
