"""The whole assessment of one symbol on one timeframe: candles in, findings out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from crypto_mcp.analysis.chronicle import list_structure
from crypto_mcp.analysis.confidence import confidence
from crypto_mcp.analysis.factors import HIGHER
from crypto_mcp.analysis.flips import NextBar, find_flips
from crypto_mcp.analysis.landscape import Landscape, survey
from crypto_mcp.analysis.listing import list_gaps, list_order_blocks
from crypto_mcp.analysis.market_structure import Structure
from crypto_mcp.analysis.plan import trade_plan
from crypto_mcp.analysis.recommendation import reasoning
from crypto_mcp.analysis.regime import read_regime
from crypto_mcp.analysis.score import action_for, weigh
from crypto_mcp.analysis.sentiment import UNKNOWN, mood, read_sentiment
from crypto_mcp.analysis.snapshot import USUAL, every_indicator, indicator_snapshot
from crypto_mcp.analysis.trend import trend_class
from crypto_mcp.analysis.verdict import Verdict, judge
from crypto_mcp.analysis.volatility import WINDOW, read_volatility, volatility_class, yang_zhang
from crypto_mcp.errors import NotEnoughData
from crypto_mcp.models.analysis import (
    AnalysisSummary,
    Assessment,
    Detail,
    Details,
    Factor,
    Flip,
    Level,
    MarketMood,
    Recommendation,
    Regime,
    Sentiment,
    TradePlan,
    VolatilityReading,
)
from crypto_mcp.models.candles import Candles

LEAST_BARS = 100

# A zone pulls from 2 ATR away, and flips are looked for within 2 ATR, which one bar may widen a little.
PULL_REACH = 5.0

Part = TypeVar("Part", Factor, Level)


def assess(candles: Candles, *, detail: Detail = "summary", market: MarketMood = UNKNOWN) -> Assessment:
    """Assess the newest of these closed bars.

    Args:
        candles: at least 100 closed bars. What lies before them is not known to the result.
        detail: `full` adds the readings behind the figures.
        market: funding, open interest, fear and greed, where known; they enter sentiment, not the score.

    Raises:
        NotEnoughData: fewer than 100 bars.
        BadCandles: bars that cannot be.
    """
    if len(candles) < LEAST_BARS:
        raise NotEnoughData(
            f"{len(candles)} closed bars, an assessment needs {LEAST_BARS}",
            hint="Choose a shorter timeframe, or a symbol that has traded for longer.",
        )
    landscape = survey(candles.validated())
    verdict = judge(candles, landscape)
    factors = weigh(verdict.readings, verdict.weights)
    known = _background(candles, verdict, market)
    summary = AnalysisSummary(
        trend=trend_class(verdict.trend.value),
        volatility=volatility_class(known.volatility.percentile, known.volatility.annual_percent),
        confidence=confidence(known.regime.movement, verdict.score),
        intelligent_score=verdict.score,
        sentiment=mood(known.sentiment.value),
        movement=known.regime.movement,
        energy=known.regime.energy,
    )
    price = float(candles.close[-1])
    action = action_for(verdict.score)
    full = detail == "full"
    return Assessment(
        price=price,
        analysis=summary,
        recommendation=Recommendation(
            action=action,
            confidence=summary.confidence,
            reasoning=reasoning(summary, factors, known.volatility, landscape.support, landscape.resistance),
        ),
        plan=_plan(price, verdict, landscape),
        flips=_flips(candles, verdict, landscape),
        factors=factors if full else [_brief(factor, "reading", "value", "unit") for factor in factors],
        support=landscape.support if full else [_brief(level, "last_touch") for level in landscape.support],
        resistance=landscape.resistance if full else [_brief(level, "last_touch") for level in landscape.resistance],
        order_blocks=list_order_blocks(landscape.structure, each_side=1),
        gaps=list_gaps(landscape.structure, each_side=1),
        indicators={name: known.indicators[name] for name in USUAL},
        details=_details(candles, verdict, known, landscape.structure) if full else None,
    )


def _brief(part: Part, *without: str) -> Part:
    """As a summary has it."""
    return part.model_copy(update=dict.fromkeys(without))


def _flips(candles: Candles, verdict: Verdict, landscape: Landscape) -> list[Flip]:
    price, near = float(candles.close[-1]), landscape.near(float(candles.close[-1]), PULL_REACH * verdict.atr)
    ends = int(candles.open_time[-1]) + 2 * candles.step
    # A longer bar counts from its close: until then its reading is that of the bar before.
    higher = None if ends % (HIGHER * candles.step) == 0 else verdict.readings[-1]
    following = NextBar(candles)
    return find_flips(
        price, verdict.atr, verdict.score, lambda close: judge(following.closing_at(close), near, higher).score
    )


@dataclass(frozen=True, slots=True)
class Background:
    """Readings that the score does not need."""

    volatility: VolatilityReading
    regime: Regime
    sentiment: Sentiment
    indicators: dict[str, float | None]


def _background(candles: Candles, verdict: Verdict, market: MarketMood) -> Background:
    sigma = yang_zhang(candles)
    return Background(
        volatility=read_volatility(candles, sigma, verdict.atr),
        regime=read_regime(candles, sigma, WINDOW, verdict.atr, verdict.movement),
        sentiment=read_sentiment(candles, market),
        indicators=indicator_snapshot(candles),
    )


def _details(candles: Candles, verdict: Verdict, known: Background, structure: Structure) -> Details:
    return Details(
        trend=verdict.trend,
        volatility=known.volatility,
        regime=known.regime,
        sentiment=known.sentiment,
        structure=list_structure(structure),
        indicators=known.indicators | every_indicator(candles),
    )


def _plan(price: float, verdict: Verdict, landscape: Landscape) -> TradePlan | None:
    if action_for(verdict.score) == "HOLD" or verdict.atr <= 0:
        return None
    return trade_plan("long" if verdict.score > 5 else "short", price, verdict.atr, landscape)
