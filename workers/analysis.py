"""Handlers of `analysis:queue`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.analysis.assess import LEAST_BARS, assess
from crypto_mcp.analysis.confluence import confluence
from crypto_mcp.models.analysis import Analysis, Provenance
from crypto_mcp.models.candles import Candles, Floats
from crypto_mcp.models.timeframes import Timeframe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crypto_mcp.market.candles import MarketCandles
    from crypto_mcp.models.analysis import AnalyzeParams, Assessment
    from workers.job import Job


BESIDE_THE_BARS = 0.2
"""Seconds to wait for what sentiment can do without; what comes later serves the next call."""


async def analyze_crypto(job: Job, params: AnalyzeParams) -> Analysis:
    """Fetches closed bars of every timeframe asked for and assesses them."""
    frames = [params.timeframe, *(other for other in params.compare if other != params.timeframe)]
    await job.progress(0.1, f"fetching {params.bars} bars of {params.symbol}")
    newest = job.services.candles.newest
    beside = asyncio.create_task(job.services.outlook.of(params.symbol, budget=BESIDE_THE_BARS))
    try:
        wanted = (newest(params.symbol, frame, params.bars, least=LEAST_BARS) for frame in frames)
        markets = await asyncio.gather(*wanted)
        known = await beside
    finally:
        beside.cancel()
    await job.progress(0.6, "assessing")
    assessments = [
        await asyncio.to_thread(assess, market.candles, detail=params.detail, market=known.mood) for market in markets
    ]
    return Analysis.of(
        with_sources(assessments[0], known.sources, known.missing),
        timestamp=_now(),
        data=provenance(markets[0], params.timeframe),
        confluence=confluence(dict(zip(frames, assessments, strict=True))) if len(frames) > 1 else None,
    )


def with_sources(assessment: Assessment, sources: Mapping[str, str], missing: Mapping[str, str]) -> Assessment:
    """Says of each part of sentiment who told it, or why it is missing: the engine sees figures only."""
    if assessment.details is None:
        return assessment
    sentiment = assessment.details.sentiment
    told = sentiment.model_copy(
        update={
            "parts": [part.model_copy(update={"source": sources.get(part.name, "bars")}) for part in sentiment.parts],
            "missing": {name: missing.get(name, why) for name, why in sentiment.missing.items()},
        }
    )
    return assessment.model_copy(update={"details": assessment.details.model_copy(update={"sentiment": told})})


def _now() -> datetime:
    """In whole milliseconds, which is what MongoDB keeps: an answer is the same wherever it is read from."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


WORKS_COLD = True


def warm_up() -> None:
    """Has every kernel of the engine compiled, or read from the disk where it was kept, before the first job comes."""
    assess(sample_candles(), detail="full")


def sample_candles() -> Candles:
    """A wave with everything in it that engines look for: to be warm before the first bars come, never to be told."""
    bars = 3 * LEAST_BARS
    time = np.arange(bars + 1, dtype=np.float64)
    wave: Floats = 100 + 10 * np.sin(time / 7) + time % 5
    before, after = wave[:-1], wave[1:]
    return Candles(
        open_time=np.arange(bars, dtype=np.int64) * Timeframe.H1.milliseconds,
        open=before,
        high=np.maximum(before, after) + 1,
        low=np.minimum(before, after) - 1,
        close=after,
        volume=1000 + 100 * (time[:-1] % 7),
        step=Timeframe.H1.milliseconds,
    )


def provenance(market: MarketCandles, timeframe: Timeframe) -> Provenance:
    """Where these bars come from, as an answer says it."""
    candles = market.candles
    first, last = (datetime.fromtimestamp(int(candles.open_time[i]) / 1000, UTC) for i in (0, -1))
    closed_at = int(candles.close_time[-1]) / 1000
    return Provenance(
        source=market.source,
        symbol=market.symbol,
        timeframe=timeframe,
        bars=len(candles),
        first_bar=first,
        last_bar=last,
        last_bar_closed=True,
        age_seconds=round(max(0.0, market.observed_at.timestamp() - closed_at), 1),
        note=market.note,
    )
