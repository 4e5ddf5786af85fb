"""Handlers of `analysis:queue`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from crypto_mcp.analysis.assess import LEAST_BARS, assess
from crypto_mcp.models.analysis import Analysis, Provenance

if TYPE_CHECKING:
    from crypto_mcp.market.candles import MarketCandles
    from crypto_mcp.models.analysis import AnalyzeParams
    from crypto_mcp.models.timeframes import Timeframe
    from workers.job import Job


async def analyze_crypto(job: Job, params: AnalyzeParams) -> Analysis:
    """Fetches closed bars and assesses them."""
    await job.progress(0.1, f"fetching {params.bars} bars of {params.symbol}")
    market = await job.services.market.candles(params.symbol, params.timeframe, params.bars, least=LEAST_BARS)
    await job.progress(0.6, "assessing")
    assessment = await asyncio.to_thread(assess, market.candles, detail=params.detail)
    return Analysis.of(assessment, timestamp=datetime.now(UTC), data=_provenance(market, params.timeframe))


def _provenance(market: MarketCandles, timeframe: Timeframe) -> Provenance:
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
