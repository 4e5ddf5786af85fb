"""What a trade does to the portfolio it is for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from crypto_mcp.models.risk import PortfolioEffect
from crypto_mcp.risk.addition import added, warnings_of
from crypto_mcp.risk.exposures import exposures
from crypto_mcp.risk.performance import drawdowns, growth_factors
from crypto_mcp.risk.report import shown
from crypto_mcp.risk.valuation import value
from workers.portfolio_figures import samples_of
from workers.portfolio_market import market_of

if TYPE_CHECKING:
    from crypto_mcp.models.risk import RiskParams, RiskWarning
    from crypto_mcp.risk.performance import Sample
    from crypto_mcp.risk.sizing import Size
    from workers.job import Job
    from workers.portfolio_ledger import State
    from workers.portfolio_market import Market


async def effect_on(job: Job, params: RiskParams, size: Size) -> tuple[PortfolioEffect | None, list[RiskWarning]]:
    """VaR, ES, exposure and correlation before and after, with what speaks against it; None without equity.

    Raises `UnknownPortfolio` where the caller has no such portfolio.
    """
    assert params.portfolio_id is not None
    state, stored = await asyncio.gather(
        job.services.portfolios.read(job.client, params.portfolio_id),
        job.services.mongo.portfolios.equity(job.client, params.portfolio_id),
    )
    symbols = [params.symbol, *(position.symbol for position in state.book.held)]
    market = await market_of(job.services, symbols, f"BTC{state.document['currency']}")
    return await asyncio.to_thread(_effect, params, size, state, market, samples_of(stored))


def _effect(
    params: RiskParams, size: Size, state: State, market: Market, samples: list[Sample]
) -> tuple[PortfolioEffect | None, list[RiskWarning]]:
    valuation = value(state.book, market.prices)
    held, missing = exposures(valuation.priced, market.returns)
    equity = float(valuation.equity)
    sign = 1 if params.direction == "long" else -1
    effect = added(held, market.returns, params.symbol, sign * float(size.notional), equity)
    if effect is None:
        return None, []
    fall = round(100 * float(drawdowns(growth_factors(samples))[-1]), 2) if len(samples) > 1 else None
    view = PortfolioEffect(
        portfolio_id=state.name,
        equity=shown(valuation.equity),
        var_95_before=shown(effect.var_before),
        var_95_after=shown(effect.var_after),
        es_95_before=shown(effect.es_before),
        es_95_after=shown(effect.es_after),
        exposure_percent_before=round(effect.gross_before, 2),
        exposure_percent_after=round(effect.gross_after, 2),
        correlation=None if effect.correlation is None else round(effect.correlation, 3),
        drawdown_percent=fall,
        left_out=sorted({*missing, *(position.symbol for position in valuation.unpriced)}),
    )
    return view, list(warnings_of(effect, equity, 100 * float(size.loss) / equity, fall))
