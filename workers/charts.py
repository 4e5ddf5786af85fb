"""Handlers of `draw_chart` and `draw_scan`, on `analysis:queue` like what they draw."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from crypto_mcp.analysis.assess import LEAST_BARS, assess
from crypto_mcp.analysis.market_structure import find_structure
from crypto_mcp.errors import NotEnoughData
from crypto_mcp.market.candles import MarketCandles
from crypto_mcp.models.analysis import Analysis
from crypto_mcp.models.charts import Chart, ChartParams, ChartTheme
from crypto_mcp.models.scans import MarketScan, ScanPicture, ScanPictureParams
from crypto_mcp.models.timeframes import Timeframe
from workers.analysis import provenance, sample_candles

if TYPE_CHECKING:
    from workers.job import Job


async def draw_chart(job: Job, params: ChartParams) -> Chart:
    """Fetches the bars, analyses them as `analyze_crypto` did, and draws what it found."""
    await job.progress(0.1, f"fetching bars of {params.symbol}")
    market = await _bars(job, params)
    now = datetime.now(UTC)
    analysis = Analysis.of(
        await asyncio.to_thread(assess, market.candles), timestamp=now, data=provenance(market, params.timeframe)
    )
    await job.progress(0.4, "drawing")
    png = await asyncio.to_thread(_drawn, market, analysis, params.theme)
    return Chart(
        data=analysis.data,
        theme=params.theme,
        newest=params.last_bar is None,
        drawn_at=now,
        png=b64encode(png).decode(),
    )


async def draw_scan(job: Job, params: ScanPictureParams) -> ScanPicture:
    """Draws what a scan answered."""
    await job.progress(0.1, "drawing")
    png = await asyncio.to_thread(_scan_drawn, params.scan, params.theme)
    return ScanPicture(
        scan_type=params.scan.scan_type,
        theme=params.theme,
        drawn_at=datetime.now(UTC),
        png=b64encode(png).decode(),
    )


WORKS_COLD = True


def warm_up() -> None:
    """Draws once: the first picture of a process takes seconds, for fonts and caches."""
    market = MarketCandles("warm-up", sample_candles(), "none", datetime.now(UTC))
    data = provenance(market, Timeframe.H1)
    _drawn(market, Analysis.of(assess(market.candles), timestamp=market.observed_at, data=data), "dark")


async def _bars(job: Job, params: ChartParams) -> MarketCandles:
    candles = job.services.candles
    if params.first_bar is None or params.last_bar is None:
        return await candles.newest(params.symbol, params.timeframe, params.bars, least=LEAST_BARS)
    end = params.last_bar + timedelta(milliseconds=params.timeframe.milliseconds)
    market = await candles.between(params.symbol, params.timeframe, params.first_bar, end)
    if len(market.candles) < LEAST_BARS:
        raise NotEnoughData(
            f"{len(market.candles)} closed bars between first_bar and last_bar, a chart needs {LEAST_BARS}",
            hint="Move first_bar back.",
        )
    return market


# The library that draws takes a third of a second to import, which the first analyses of a process need not wait for.
def _drawn(market: MarketCandles, analysis: Analysis, theme: ChartTheme) -> bytes:
    from crypto_mcp.charts.analysis_chart import draw_analysis

    return draw_analysis(market.candles, find_structure(market.candles), analysis, theme=theme)


def _scan_drawn(scan: MarketScan, theme: ChartTheme) -> bytes:
    from crypto_mcp.charts.scan_chart import draw_scan

    return draw_scan(scan, theme=theme)
