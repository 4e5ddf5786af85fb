"""A portfolio at market: what `get` and `history` answer, and the samples of its equity."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from crypto_mcp.models.money import plain
from crypto_mcp.models.portfolio import EquityPoint, HistoryView, PortfolioParams, PortfolioReport
from crypto_mcp.risk import report as figures
from crypto_mcp.risk.advice import Benchmark, rebalanced, suggestions
from crypto_mcp.risk.allocation import equal_risk
from crypto_mcp.risk.exposures import Exposures, exposures
from crypto_mcp.risk.performance import Sample, drawdowns, growth_factors
from crypto_mcp.risk.tail import DEFAULT_METHOD, scenarios, tail
from crypto_mcp.risk.valuation import value
from workers.portfolio_changes import present_moment
from workers.portfolio_market import market_of, prices_of, rules_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crypto_mcp.models.markets import SymbolRules
    from crypto_mcp.risk.valuation import Valuation
    from workers.job import Job
    from workers.portfolio_ledger import State
    from workers.portfolio_market import Market
    from workers.services import Services

_SHOWN = 10
_SUGGESTED = 3
_CORRELATED = 10


async def get(job: Job, params: PortfolioParams) -> PortfolioReport:
    """The portfolio at market with its risk."""
    return (await pictured(job, params)).report


async def pictured(job: Job, params: PortfolioParams) -> Picture:
    """The portfolio at market, with what its figures are made of."""
    documents = job.services.mongo.portfolios
    state, samples = await asyncio.gather(
        job.services.portfolios.read(job.client, params.portfolio_id),
        documents.equity(job.client, params.portfolio_id),
    )
    symbols = [position.symbol for position in state.book.held]
    benchmark = f"BTC{state.document['currency']}"
    market, rules = await asyncio.gather(
        market_of(job.services, symbols, benchmark), rules_of(job.services, {*symbols, benchmark})
    )
    picture = await asyncio.to_thread(_pictured, state, market, rules, samples_of(samples), params)
    job.services.valuations.keep(state, picture)
    await job.services.portfolio_watch.say(state.owner, state.name, symbols)
    return picture


@dataclass(slots=True)
class Picture:
    """A reading, and what it was made of; `held` is None where no risk can be computed."""

    report: PortfolioReport
    valuation: Valuation
    held: Exposures | None
    samples: list[Sample]


def _pictured(
    state: State, market: Market, rules: Mapping[str, SymbolRules], samples: list[Sample], params: PortfolioParams
) -> Picture:
    """The whole answer; pure but for its inputs."""
    currency, full = state.document["currency"], params.detail == "full"
    valuation = value(state.book, market.prices)
    returns = market.returns
    held, missing = exposures(valuation.priced, returns)
    some = held if len(held.amounts) and np.any(held.amounts) else None
    benchmark = f"BTC{currency}"
    bitcoin = returns.column(benchmark) if benchmark in returns.index else None
    hedging = None if bitcoin is None else Benchmark(benchmark, bitcoin, market.newest_price(benchmark))
    tails = held.tails() if some is not None else ()
    shares = _shares(held, tails)
    equity, volumes = valuation.equity, market.volumes
    samples = [*samples, _now(valuation)] if not valuation.unpriced else samples
    methods = "methods" in params.include
    advice = suggestions(valuation, some, rules, volumes, params.target_var_percent, hedging)
    report = PortfolioReport(
        action="get",
        portfolio_id=state.name,
        timestamp=present_moment(),
        version=state.version,
        name=state.document.get("name"),
        currency=currency,
        equity=figures.shown(equity),
        cash=figures.shown(state.book.cash),
        contributions=figures.shown(state.book.contributions),
        positions=figures.positions_of(valuation, shares, volumes, full=full, most=_SHOWN),
        positions_total=len(state.book.held),
        pnl=figures.profit_of(valuation, full=full),
        exposure=figures.exposure_of(valuation, some),
        risk=figures.risk_of(held, tails, equity, bitcoin, methods=methods) if some is not None else None,
        performance=figures.performance_of(samples, some, equity),
        suggestions=advice if full else advice[:_SUGGESTED],
        unpriced=sorted({position.symbol for position in valuation.unpriced}),
        left_out=missing,
        data=market.view(),
    )
    return Picture(_with_sections(report, valuation, some, rules, params), valuation, some, samples)


def _with_sections(
    report: PortfolioReport, valuation: Valuation, held: Exposures | None, rules: Mapping[str, SymbolRules],
    params: PortfolioParams,
) -> PortfolioReport:  # fmt: skip
    """The sections that were asked for."""
    if "stress" in params.include or params.shocks:
        report.stress = figures.stress_of(valuation, report.currency or "", params.shocks)
    if held is None:
        return report
    if "correlation" in params.include:
        report.correlation = figures.correlation_of(held, len(held.amounts) if params.detail == "full" else _CORRELATED)
    if "monte_carlo" in params.include:
        report.monte_carlo = figures.monte_carlo_of(held, params.seed)
    if "rebalance" in params.include:
        report.rebalance = rebalanced(held, params.objective, rules)
    return report


def _shares(held: Exposures, tails: Sequence[Any]) -> dict[int, float]:
    """Part of VaR 95 by position (by its identity)."""
    if not tails or tails[0].var <= 0:
        return {}
    parts = tails[0].component_var / tails[0].var
    return {id(each): float(part) for each, part in zip(held.positions, parts, strict=True)}


def _now(valuation: Valuation) -> Sample:
    return Sample(datetime.now(UTC).timestamp() / 86_400, float(valuation.equity), float(valuation.book.contributions))


def samples_of(documents: list[dict[str, Any]]) -> list[Sample]:
    """Stored samples of equity, oldest first."""
    return [
        Sample(each["at"].timestamp() / 86_400, float(each["equity"]), float(each["contributions"]))
        for each in documents
    ]


async def history(job: Job, params: PortfolioParams) -> PortfolioReport:
    """Equity over time with its drawdowns, and what was earned."""
    documents = job.services.mongo.portfolios
    state, stored = await asyncio.gather(
        job.services.portfolios.read(job.client, params.portfolio_id),
        documents.equity(job.client, params.portfolio_id),
    )
    market = await prices_of(job.services, (position.symbol for position in state.book.held))
    valuation = value(state.book, market.prices)
    samples = samples_of(stored)
    if not valuation.unpriced:
        samples.append(_now(valuation))
    falls = drawdowns(growth_factors(samples)) if samples else np.zeros(0)
    picked = sorted(set(np.linspace(0, len(samples) - 1, min(params.limit, len(samples))).astype(int).tolist()))
    points = [
        EquityPoint(
            at=datetime.fromtimestamp(samples[i].day * 86_400, UTC).replace(microsecond=0),
            equity=figures.shown(samples[i].equity),
            drawdown=round(100 * float(falls[i]), 2),
        )
        for i in picked
    ]
    return PortfolioReport(
        action="history",
        portfolio_id=state.name,
        timestamp=present_moment(),
        version=state.version,
        currency=state.document["currency"],
        equity=figures.shown(valuation.equity),
        pnl=figures.profit_of(valuation, full=params.detail == "full"),
        performance=figures.performance_of(samples, None, valuation.equity),
        unpriced=sorted({position.symbol for position in valuation.unpriced}),
        history=HistoryView(points=points, samples=len(samples), flows=figures.shown(state.book.contributions)),
        data=market.view(),
    )


async def sample_all(services: Services, at: datetime) -> tuple[int, int]:
    """Keeps the equity of every portfolio at a moment; how many were kept, and how many lack a price."""
    documents = services.mongo.portfolios
    ledger = services.portfolios
    kept = skipped = 0
    for each in await documents.snapshots(limit=100_000):
        owner, name = each["user_id"], each["portfolio_id"]
        state = await ledger.read(owner, name)
        market = await prices_of(services, (position.symbol for position in state.book.held))
        valuation = value(state.book, market.prices)
        if valuation.unpriced:
            skipped += 1
            continue
        sample = {"equity": plain(valuation.equity), "contributions": plain(state.book.contributions)}
        await documents.keep_equity(owner, name, at, sample)
        kept += 1
    return kept, skipped


def warm_up() -> None:
    """Has the kernels compiled, or read from the disk where they are kept."""
    returns = np.sin(np.arange(240, dtype=np.float64)).reshape(120, 2) / 50
    amounts = np.array([1.0, 2.0])
    tail(scenarios(returns, amounts, DEFAULT_METHOD), amounts, 0.95)
    equal_risk(np.cov(returns.T) + np.eye(2) * 1e-6)
    figures.shown(Decimal(1))
