"""The whole assessment of one symbol on one timeframe: candles in, findings out."""

from __future__ import annotations

from crypto_mcp.analysis.confidence import confidence
from crypto_mcp.analysis.flips import find_flips, with_next_bar
from crypto_mcp.analysis.plan import trade_plan
from crypto_mcp.analysis.recommendation import reasoning
from crypto_mcp.analysis.regime import read_regime
from crypto_mcp.analysis.score import action_for, weigh
from crypto_mcp.analysis.sentiment import UNKNOWN, mood, read_sentiment
from crypto_mcp.analysis.snapshot import USUAL, indicator_snapshot
from crypto_mcp.analysis.trend import trend_class
from crypto_mcp.analysis.verdict import Landscape, Verdict, judge, survey
from crypto_mcp.analysis.volatility import WINDOW, read_volatility, volatility_class, yang_zhang
from crypto_mcp.errors import NotEnoughData
from crypto_mcp.models.analysis import (
    AnalysisSummary,
    Assessment,
    Detail,
    Details,
    MarketMood,
    Recommendation,
    TradePlan,
)
from crypto_mcp.models.candles import Candles

LEAST_BARS = 100


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
    candles.validated()
    landscape = survey(candles)
    verdict = judge(candles, landscape)
    factors = weigh(verdict.readings, verdict.weights)
    details = _details(candles, verdict, market)
    summary = AnalysisSummary(
        trend=trend_class(verdict.trend.value),
        volatility=volatility_class(details.volatility.percentile, details.volatility.annual_percent),
        confidence=confidence(details.regime.movement, verdict.score),
        intelligent_score=verdict.score,
        sentiment=mood(details.sentiment.value),
        movement=details.regime.movement,
        energy=details.regime.energy,
    )
    price = float(candles.close[-1])
    action = action_for(verdict.score)
    return Assessment(
        price=price,
        analysis=summary,
        recommendation=Recommendation(
            action=action,
            confidence=summary.confidence,
            reasoning=reasoning(summary, factors, details.volatility, landscape.support, landscape.resistance),
        ),
        plan=_plan(price, verdict, landscape),
        flips=find_flips(
            price, verdict.atr, verdict.score, lambda close: judge(with_next_bar(candles, close), landscape).score
        ),
        factors=factors,
        support=landscape.support,
        resistance=landscape.resistance,
        order_blocks=[],
        indicators={name: details.indicators[name] for name in USUAL},
        details=details if detail == "full" else None,
    )


def _details(candles: Candles, verdict: Verdict, market: MarketMood) -> Details:
    sigma = yang_zhang(candles)
    return Details(
        trend=verdict.trend,
        volatility=read_volatility(candles, sigma, verdict.atr),
        regime=read_regime(candles, sigma, WINDOW, verdict.atr, verdict.movement),
        sentiment=read_sentiment(candles, market),
        indicators=indicator_snapshot(candles),
    )


def _plan(price: float, verdict: Verdict, landscape: Landscape) -> TradePlan | None:
    if action_for(verdict.score) == "HOLD" or verdict.atr <= 0:
        return None
    return trade_plan("long" if verdict.score > 5 else "short", price, verdict.atr, landscape.prices)
