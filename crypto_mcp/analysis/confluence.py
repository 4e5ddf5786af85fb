"""Several timeframes held against each other."""

from __future__ import annotations

import math
from collections.abc import Mapping

from crypto_mcp.analysis.rounding import decimals
from crypto_mcp.analysis.score import NEUTRAL, action_for
from crypto_mcp.models.analysis import Assessment, Confluence, TimeframeView
from crypto_mcp.models.timeframes import Timeframe


def confluence(assessments: Mapping[Timeframe, Assessment]) -> Confluence:
    """The joint score and how far the timeframes lean the same way.

    Weights are 1 + ln(minutes of a bar): a day counts 1.6 times an hour.
    """
    ordered = sorted(assessments, key=lambda timeframe: timeframe.milliseconds)
    sizes = [1 + math.log(timeframe.milliseconds / 60_000) for timeframe in ordered]
    views = [
        TimeframeView(
            timeframe=timeframe,
            action=assessments[timeframe].recommendation.action,
            intelligent_score=assessments[timeframe].analysis.intelligent_score,
            trend=assessments[timeframe].analysis.trend,
            movement=assessments[timeframe].analysis.movement,
            weight=decimals(size / sum(sizes), 3),
        )
        for timeframe, size in zip(ordered, sizes, strict=True)
    ]
    leans = [size / sum(sizes) * (view.intelligent_score - NEUTRAL) for view, size in zip(views, sizes, strict=True)]
    score = decimals(NEUTRAL + sum(leans), 2)
    width = sum(abs(lean) for lean in leans)
    return Confluence(
        intelligent_score=score,
        action=action_for(score),
        agreement=decimals(100 * abs(sum(leans)) / width if width > 0 else 0.0, 1),
        views=views,
        reading=_reading(views, score),
    )


def _reading(views: list[TimeframeView], score: float) -> str:
    told = ", ".join(f"{view.timeframe} {view.intelligent_score:.1f}" for view in views)
    against = [view.timeframe for view in views if (view.intelligent_score - NEUTRAL) * (score - NEUTRAL) < 0]
    if not against:
        return f"Scores {told}: all lean the same way."
    verb = "leans" if len(against) == 1 else "lean"
    return f"Scores {told}: {', '.join(against)} {verb} the other way."
