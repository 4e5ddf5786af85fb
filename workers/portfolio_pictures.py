"""Handler of `draw_portfolio`."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.models.portfolio import PortfolioParams, PortfolioPicture, PortfolioPictureParams, PortfolioReport
from crypto_mcp.risk.performance import drawdowns, growth_factors
from workers.portfolio_changes import present_moment
from workers.portfolio_figures import pictured

if TYPE_CHECKING:
    from crypto_mcp.charts.portfolio_chart import Curve
    from crypto_mcp.models.charts import ChartTheme
    from workers.job import Job
    from workers.portfolio_figures import Picture

_DAY = 86_400.0
_SAMPLED_DAYS = 30.0


async def draw_portfolio(job: Job, params: PortfolioPictureParams) -> PortfolioPicture:
    """The portfolio as it is now, drawn."""
    asked = PortfolioParams(portfolio_id=params.portfolio_id, include=["correlation"])
    picture = await pictured(job, asked)
    png = await asyncio.to_thread(_drawn, picture, params.theme)
    return PortfolioPicture(
        portfolio_id=params.portfolio_id,
        version=picture.report.version or 0,
        drawn_at=present_moment(),
        png=b64encode(png).decode(),
    )


WORKS_COLD = True


def warm_up() -> None:
    """Draws once: the first picture of a process takes seconds, for fonts and caches."""
    from crypto_mcp.charts.portfolio_chart import Curve, draw_portfolio

    empty = PortfolioReport(action="get", portfolio_id="warm-up", timestamp=present_moment())
    draw_portfolio(empty, Curve([0.0, _DAY], [1.0, 2.0], [0.0, 0.0], sampled=True))


# The library that draws takes a third of a second to import, which the first jobs of a process need not wait for.
def _drawn(picture: Picture, theme: ChartTheme) -> bytes:
    from crypto_mcp.charts.portfolio_chart import draw_portfolio

    return draw_portfolio(picture.report, curve_of(picture), theme=theme)


def curve_of(picture: Picture) -> Curve | None:
    """The sampled equity once it spans a month, else what is held now over the days of its returns."""
    from crypto_mcp.charts.portfolio_chart import Curve

    samples, equity = picture.samples, float(picture.valuation.equity)
    if len(samples) > 1 and samples[-1].day - samples[0].day >= _SAMPLED_DAYS:
        falls = drawdowns(growth_factors(samples))
        return Curve([s.day * _DAY for s in samples], [s.equity for s in samples], falls.tolist(), sampled=True)
    if picture.held is None or equity <= 0:
        return None
    growth = np.maximum(1 + picture.held.profit / equity, 0.0)
    path = np.concatenate([[1.0], np.cumprod(growth)])
    times = time.time() - _DAY * np.arange(len(path) - 1, -1, -1)
    return Curve(
        times.tolist(), (path / max(path[-1], 1e-12) * equity).tolist(), drawdowns(growth).tolist(), sampled=False
    )
