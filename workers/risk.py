"""`risk_assessment`: fetches what the assessment of a trade needs and hands it to the engine."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.errors import InvalidRequest
from crypto_mcp.models.risk import RiskAssessment, RiskParams
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.risk import assessment
from crypto_mcp.risk.assessment import Trade
from crypto_mcp.risk.drawdowns import project
from crypto_mcp.risk.present import LEAST_BARS, present
from crypto_mcp.risk.tail import DEFAULT_METHOD, scenarios, tail
from crypto_mcp.risk.warnings import worst_first
from workers.analysis import provenance
from workers.risk_edges import NoEdge, edge_of
from workers.risk_portfolio import effect_on

if TYPE_CHECKING:
    from crypto_mcp.market.candles import MarketCandles
    from crypto_mcp.models.candles import Floats
    from crypto_mcp.models.risk import SizeView
    from crypto_mcp.risk.sizing import Size
    from workers.job import Job

BARS = 300
DAYS = 366
"""Closes behind 365 daily returns, the window the VaR methods were tested with."""


class SizeBeyondBalance(InvalidRequest):
    """The quantity asked for costs more than the account holds."""

    code = "size_beyond_balance"


async def risk_assessment(job: Job, params: RiskParams) -> RiskAssessment:
    """Sizes a trade and says what it risks."""
    candles = job.services.candles
    rules, market, days, edge = await asyncio.gather(
        job.services.rules.of(params.symbol),
        candles.newest(params.symbol, params.timeframe, BARS, least=LEAST_BARS),
        candles.newest(params.symbol, Timeframe.D1, DAYS),
        edge_of(job, params),
    )
    trade = Trade.of(params, rules, present(market.candles), edge)
    size = _size(trade)
    # In a thread: before the kernels are compiled it takes seconds, and the loop has heartbeats to send.
    found = await asyncio.to_thread(_assessed, trade, size, market, days.candles.close)
    if params.portfolio_id is not None:
        found.portfolio, more = await effect_on(job, params, size)
        found.warnings = worst_first([*found.warnings, *more])
    return found


def _assessed(trade: Trade, size: Size, market: MarketCandles, closes: Floats) -> RiskAssessment:
    """All but what it does to a portfolio. Pure. `closes` are the symbol's daily closes."""
    params = trade.params
    margin = assessment.margin_of(trade, size)
    gap = assessment.gap_of(trade, size)
    return RiskAssessment(
        symbol=market.symbol,
        timestamp=datetime.now(UTC),
        side=params.direction,
        entry=params.entry,
        stop=params.stop,
        account_size=params.account_size,
        size=trade.view(size, "given" if params.quantity is not None else params.method),
        acceptable=assessment.acceptable_size(trade, size),
        margin=margin,
        stop_percent=round(100 * float(trade.idea.stop_distance / params.entry), 3),
        stop_atr=round(float(trade.idea.stop_distance) / trade.now.atr, 2) if trade.now.atr > 0 else 0.0,
        break_even=trade.idea.break_even.quantize(params.entry / 10**7),
        targets=assessment.targets_of(trade, size),
        gap=gap,
        tail=assessment.tail_of(trade, size, np.diff(closes) / closes[:-1]),
        kelly=assessment.kelly_of(trade),
        projection=assessment.projection_of(trade, size),
        warnings=assessment.warnings_of(trade, size, margin, gap),
        other_sizes=_others(trade) if params.detail == "full" else [],
        assumptions=_assumptions(trade) if params.detail == "full" else [],
        data=provenance(market, params.timeframe),
    )


def _size(trade: Trade) -> Size:
    params = trade.params
    if params.quantity is not None:
        try:
            return assessment.size_given(trade, params.quantity)
        except assessment.SizeBeyondBalance as error:
            raise SizeBeyondBalance(
                f"the account cannot pay for {params.quantity} {trade.rules.base} at {params.leverage:g}x",
                hint=f"At most {error} is affordable; leave out `quantity` to have it sized.",
            ) from None
    size = assessment.size_by(trade, params.method)
    if size is None:
        raise NoEdge("Kelly needs to know the edge", hint="Give `win_rate` and `payoff`, or use method `risk`.")
    return size


def _others(trade: Trade) -> list[SizeView]:
    chosen = None if trade.params.quantity is not None else trade.params.method
    sizes = ((method, assessment.size_by(trade, method)) for method in ("risk", "volatility", "kelly"))
    return [trade.view(size, method) for method, size in sizes if size is not None and method != chosen]


def _assumptions(trade: Trade) -> list[str]:
    params = trade.params
    said = [
        f"Fee {params.fee_percent:g} %, slippage {params.slippage_percent:g} %, each way, of notional and price.",
        "Quantities are rounded down to the exchange's step.",
        f"VaR and ES by {DEFAULT_METHOD} from up to {DAYS - 1} daily returns.",
    ]
    if params.venue == "perpetual":
        said.append(
            "Isolated margin; maintenance by an assumed ladder: the exchange's own needs a signed request. "
            "Quantity and price steps are those of the spot pair."
        )
    return said


WORKS_COLD = True


def warm_up() -> None:
    """Has the kernels compiled, or read from the disk where they are kept."""
    returns: Floats = np.sin(np.arange(120, dtype=np.float64)) / 50
    one = np.ones(1)
    tail(scenarios(returns[:, np.newaxis], one, DEFAULT_METHOD), one, 0.95)
    project(0.5, 1.5, 0.01, trades=10, ruin_at=0.5, seed=1, paths=10)
