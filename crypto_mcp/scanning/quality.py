"""What a setup is worth, 0 to 10, and how often the like came true."""

from __future__ import annotations

import math
from collections.abc import Sequence

from crypto_mcp.analysis.confidence import table
from crypto_mcp.models.opportunities import QualityPart
from crypto_mcp.scanning.setups import Setup
from crypto_mcp.scanning.views import View

# Points that each part can give; they add up to 10.
ZONE, STACK, TREND, REWARD, PLACE, SCORE = 2.5, 2.0, 2.0, 1.5, 1.0, 1.0


def quality(setup: Setup, views: Sequence[View], reward_risk: float) -> list[QualityPart]:
    """The parts, whose points add up to the quality."""
    return [
        _zone(setup),
        _stack(setup),
        _trend(setup, views),
        _part("reward", REWARD, (reward_risk - 1) / 3, f"{reward_risk:.1f} times the risk to the target"),
        _place(setup, views),
        _score(setup, views),
    ]


def alignment(side: int, views: Sequence[View]) -> float:
    """How far structure trends the same way: 1 all, -1 all the other way; a day counts 1.6 times an hour."""
    weights = [weight(view) for view in views]
    return side * sum(w * view.trend for w, view in zip(weights, views, strict=True)) / sum(weights)


def weight(view: View) -> float:
    """Of a timeframe: 1 + ln(minutes of a bar)."""
    return 1 + math.log(view.timeframe.milliseconds / 60_000)


def probability(setup: Setup, views: Sequence[View]) -> tuple[float, str]:
    """Percent, and of what: an order block's odds to hold, else those of calls with this score."""
    blocks = [band for band in (setup.base, *setup.stack) if band.holds is not None]
    if blocks:
        block = blocks[0]
        assert block.holds is not None
        return block.holds, f"like order blocks on {block.timeframe} that held when price came back"
    verdict = views[0].verdict
    movement = max(verdict.movement, key=lambda name: verdict.movement[name])
    chance = 100 * table().cell(movement, verdict.score).chance
    leans = (verdict.score - 5) * setup.side
    return (chance if leans > 0 else 100 - chance), "calls with this score that reached one risk before the stop"


def _part(name: str, most: float, share: float, reading: str) -> QualityPart:
    return QualityPart(name=name, points=round(most * min(1.0, max(0.0, share)), 2), most=most, reading=reading)


def _zone(setup: Setup) -> QualityPart:
    base = setup.base
    share = base.strength / 100 * (1.0 if base.fresh else 0.7)
    words = "not been tested yet" if base.fresh else "been tested"
    return _part("zone", ZONE, share, f"{base.timeframe} {base.kind}, strength {base.strength:.0f}, has {words}")


def _stack(setup: Setup) -> QualityPart:
    """A zone of another timeframe counts one half, another zone of the same a fifth."""
    others = {band.timeframe for band in setup.stack} - {setup.base.timeframe}
    more = len(setup.stack) - 1 - len(others)
    ordered = sorted(others, key=lambda timeframe: -timeframe.milliseconds)
    frames = ", ".join(str(timeframe) for timeframe in ordered) or "no other timeframe"
    return _part("stack", STACK, 0.5 * len(others) + 0.2 * more, f"{len(setup.stack)} zones; besides from {frames}")


def _trend(setup: Setup, views: Sequence[View]) -> QualityPart:
    agree = alignment(setup.side, views)
    with_it = [str(view.timeframe) for view in views if view.trend == setup.side]
    return _part("trend", TREND, (agree + 1) / 2, f"structure with it on {', '.join(with_it) or 'no timeframe'}")


def _place(setup: Setup, views: Sequence[View]) -> QualityPart:
    """Cheap for a long, dear for a short, in the dealing range of the second timeframe."""
    bounds = views[1].landscape.range
    if bounds is None or bounds.top <= bounds.bottom:
        return _part("place", PLACE, 0.5, "no dealing range")
    place = min(1.0, max(0.0, (setup.middle - bounds.bottom) / (bounds.top - bounds.bottom)))
    share = 1 - place if setup.side > 0 else place
    return _part("place", PLACE, share, f"entry {100 * place:.0f} % up the dealing range of {views[1].timeframe}")


def _score(setup: Setup, views: Sequence[View]) -> QualityPart:
    total = sum(weight(view) for view in views)
    score = sum(weight(view) * view.verdict.score for view in views) / total
    share = 0.5 + setup.side * (score - 5) / 5
    return _part("score", SCORE, share, f"joint score {score:.1f} of 10")
