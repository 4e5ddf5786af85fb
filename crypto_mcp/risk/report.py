"""Figures of a portfolio, as the answer shows them."""

from __future__ import annotations

import math
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.models.portfolio import (
    CorrelationView,
    ExposureView,
    MonteCarloView,
    PerformanceView,
    PositionView,
    ProfitView,
    RiskView,
    StressView,
)
from crypto_mcp.risk import crashes
from crypto_mcp.risk.concentration import beta, herfindahl
from crypto_mcp.risk.covariance import ledoit_wolf
from crypto_mcp.risk.performance import (
    YEAR,
    Sample,
    drawdowns,
    growth_factors,
    money_weighted,
    sharpe,
    sortino,
    time_weighted,
)
from crypto_mcp.risk.rounding import ZERO
from crypto_mcp.risk.simulation import PATHS, simulate, tail_freedom
from crypto_mcp.risk.tail import DEFAULT_METHOD, METHODS
from crypto_mcp.risk.volatility import ewma_volatility

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from crypto_mcp.risk.book import Book
    from crypto_mcp.risk.exposures import Exposures
    from crypto_mcp.risk.tail import Tail
    from crypto_mcp.risk.valuation import Priced, Valuation

    Floats = NDArray[np.float64]

PERCENT = Decimal(100)
TAKEN_OF_VOLUME = 0.1
"""Share of a day's volume that can be sold without moving the market much; a rule of thumb of execution desks."""

_DAYS_SHOWN = 5
_LEAST_HISTORY_DAYS = 30


def shown(value: Decimal | float) -> Decimal:
    """An amount in cents of the quote asset; more digits below one."""
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    places = Decimal("0.01") if abs(exact) >= 1 else Decimal("1e-8")
    return exact.quantize(places).normalize() + 0


def percent(part: Decimal | float, whole: Decimal | float) -> float:
    """A share as percent, two decimals; 0 of nothing."""
    return round(100 * float(part) / float(whole), 2) if whole else 0.0


def positions_of(
    valuation: Valuation, tails: Mapping[int, float], volumes: Mapping[str, float], *, full: bool, most: int
) -> list[PositionView]:
    """Positions, the largest first; unpriced ones last, with what is known of them."""
    shown_ones = valuation.priced if full else valuation.priced[:most]
    views = [_view(each, valuation.equity, tails.get(id(each)), volumes, full=full) for each in shown_ones]
    unpriced = valuation.unpriced if full else valuation.unpriced[: max(0, most - len(views))]
    views.extend(
        PositionView(
            symbol=position.symbol,
            market=position.market,
            side="long" if position.quantity > 0 else "short",
            size=abs(position.quantity),
            entry_price=price_shown(position.entry_price),
        )
        for position in unpriced
    )
    return views


def price_shown(price: Decimal) -> Decimal:
    """A price with twelve significant digits at most."""
    digits = 12 - price.adjusted() - 1 if price else 0
    return round(price, max(0, digits)).normalize() + 0


def _view(
    each: Priced, equity: Decimal, share: float | None, volumes: Mapping[str, float], *, full: bool
) -> PositionView:
    held = each.position
    volume = volumes.get(held.symbol, 0.0)
    liquidation = each.liquidation
    perpetual = held.market == "perpetual"
    return PositionView(
        symbol=held.symbol,
        market=held.market,
        side="long" if held.quantity > 0 else "short",
        size=abs(held.quantity),
        entry_price=price_shown(held.entry_price),
        current_price=price_shown(each.price),
        value=shown(each.value),
        pnl=shown(each.gain),
        pnl_percent=round(each.gain_percent, 2),
        weight_percent=percent(each.value, equity) if equity > 0 else None,
        var_percent=None if share is None else round(100 * share, 1),
        leverage=held.leverage if perpetual else None,
        liquidation_price=None if liquidation is None else price_shown(liquidation),
        liquidation_percent=None if liquidation is None else percent(liquidation - each.price, each.price),
        days_to_exit=days_to_exit(each, volume) if full else None,
        realised=shown(held.realised) if full and held.realised else None,
        fees=shown(held.fees) if full and held.fees else None,
        funding=shown(held.funding) if full and held.funding else None,
        sector=held.sector,
    )


def days_to_exit(each: Priced, volume: float) -> float | None:
    """Days to leave a position at a tenth of the mean daily volume (quote asset); None if that is not known."""
    return round(abs(float(each.value)) / (TAKEN_OF_VOLUME * volume), 3) if volume > 0 else None


def profit_of(valuation: Valuation, *, full: bool) -> ProfitView:
    """Gains since the beginning."""
    book = valuation.book
    total = book.realised + valuation.unrealised - book.fees + book.funding
    days = dict(sorted(book.by_day.items())[-(366 if full else _DAYS_SHOWN) :])
    return ProfitView(
        realised=shown(book.realised),
        unrealised=shown(valuation.unrealised),
        fees=shown(book.fees),
        funding=shown(book.funding),
        total=shown(total),
        total_percent=percent(total, book.contributions) if book.contributions > 0 else None,
        by_day={day: shown(amount) for day, amount in days.items()},
        by_symbol={symbol: shown(amount) for symbol, amount in _by_symbol(valuation).items()} if full else {},
    )


def _by_symbol(valuation: Valuation) -> dict[str, Decimal]:
    """What every symbol gained on both markets, costs and funding included, the best first; they add up to `total`."""
    gained: dict[str, Decimal] = defaultdict(Decimal)
    for position in valuation.book.positions.values():
        gained[position.symbol] += position.realised - position.fees + position.funding
    for each in valuation.priced:
        gained[each.position.symbol] += each.gain
    return dict(sorted(gained.items(), key=lambda pair: -pair[1]))


def exposure_of(valuation: Valuation, held: Exposures | None) -> ExposureView | None:
    """How much is in the market; None where nothing priced is held or equity is not above zero."""
    equity = valuation.equity
    if not valuation.priced or equity <= 0:
        return None
    values = [each.value for each in valuation.priced]
    long = sum((value for value in values if value > 0), ZERO)
    short = -sum((value for value in values if value < 0), ZERO)
    sectors: dict[str, Decimal] = defaultdict(Decimal)
    for each in valuation.priced:
        if each.position.sector:
            sectors[each.position.sector] += each.value
    index = herfindahl(np.array([float(value) for value in values]))
    bets = None if held is None else round(held.effective_bets, 2)
    return ExposureView(
        gross_percent=percent(long + short, equity),
        net_percent=percent(long - short, equity),
        long_percent=percent(long, equity),
        short_percent=percent(short, equity),
        by_sector={name: percent(value, equity) for name, value in sectors.items()},
        hhi=round(index, 4),
        effective_positions=round(1 / index, 2),
        effective_bets=bets,
    )


def risk_of(
    held: Exposures, tails: Sequence[Tail], equity: Decimal, bitcoin: Floats | None, *, methods: bool
) -> RiskView:
    """One-day risk of what is held; `bitcoin` are BTC's returns of the same days."""
    at_95, at_99 = tails
    profit = held.profit
    slope = None if bitcoin is None or equity <= 0 else beta(profit, bitcoin)
    singles = held.single_losses(0.95).sum()
    others = {}
    if methods:
        for method in METHODS:
            one, two = held.tails(method=method)
            figures = {"var_95": one.var, "es_95": one.es, "var_99": two.var, "es_99": two.es}
            others[method] = {name: str(shown(max(0.0, figure))) for name, figure in figures.items()}
    return RiskView(
        method=DEFAULT_METHOD,
        var_95=shown(max(0.0, at_95.var)),
        es_95=shown(max(0.0, at_95.es)),
        var_99=shown(max(0.0, at_99.var)),
        es_99=shown(max(0.0, at_99.es)),
        var_95_percent=percent(max(0.0, at_95.var), equity),
        volatility_percent=percent(float(ewma_volatility(profit)[-1]) * math.sqrt(YEAR), equity),
        beta_btc=None if slope is None else round(slope / float(equity), 3),
        diversification=round(float(singles) / at_95.var, 2) if at_95.var > 0 else None,
        days=len(profit),
        methods=others,
    )


def performance_of(samples: Sequence[Sample], held: Exposures | None, equity: Decimal) -> PerformanceView | None:
    """Of the sampled equity once it spans a month; until then of what is held now over the days of its returns."""
    span = samples[-1].day - samples[0].day if len(samples) > 1 else 0.0
    if span >= _LEAST_HISTORY_DAYS:
        daily = _daily(samples)
        growth = growth_factors(daily)
        weighted = money_weighted(samples)
        return _performance("equity_history", growth, span, time_weighted(samples), weighted)
    if held is None or equity <= 0 or not len(held.amounts):
        return None
    growth = np.maximum(1 + held.profit / float(equity), 0.0)
    return _performance("current_holdings", growth, float(len(growth)), None, None)


def _daily(samples: Sequence[Sample]) -> list[Sample]:
    """The last sample of each day."""
    return list({int(sample.day): sample for sample in samples}.values())


def _performance(
    basis: str, growth: Floats, days: float, weighted: float | None, internal: float | None
) -> PerformanceView:
    fall, returns = drawdowns(growth), growth - 1
    ratios = (sharpe(returns, YEAR), sortino(returns, YEAR))
    return PerformanceView.model_validate(
        {
            "basis": basis,
            "max_drawdown": round(100 * float(fall.max()), 2),
            "drawdown": round(100 * float(fall[-1]), 2),
            "sharpe_ratio": None if ratios[0] is None else round(ratios[0], 3),
            "sortino_ratio": None if ratios[1] is None else round(ratios[1], 3),
            "time_weighted_percent": None if weighted is None else round(100 * weighted, 3),
            "money_weighted_percent": None if internal is None else round(100 * internal, 3),
            "days": round(days, 2),
        }
    )


def stress_of(valuation: Valuation, currency: str, shocks: Mapping[str, float]) -> list[StressView]:
    """Recorded crashes on every priced position, and the caller's own shocks if there are any."""
    bases = [each.position.symbol.removesuffix(currency) for each in valuation.priced]
    amounts = [float(each.value) for each in valuation.priced]
    found = crashes.stress(bases, amounts)
    if shocks:
        by_base = {name.removesuffix(currency) if name != currency else name: shock for name, shock in shocks.items()}
        found.append(crashes.custom_stress(bases, amounts, by_base))
    return [
        StressView(
            name=each.name,
            loss=shown(each.loss),
            loss_percent=percent(each.loss, valuation.equity),
            worst=each.worst,
            proxied=list(each.proxied[:10]),
        )
        for each in found
    ]


def monte_carlo_of(held: Exposures, seed: int) -> MonteCarloView:
    """Simulated days: correlations shrunk, volatilities as EWMA forecasts them, tails as fat as the assets'."""
    logs = np.log1p(np.maximum(held.returns, -0.9999))
    correlation = ledoit_wolf(logs).correlation
    deviation = np.array([ewma_volatility(column)[-1] for column in logs.T])
    freedom = tail_freedom(logs)
    found = simulate(correlation * np.outer(deviation, deviation), held.amounts, freedom, seed=seed)
    return MonteCarloView(
        paths=PATHS,
        var_95=shown(found.var_95),
        es_95=shown(found.es_95),
        var_99=shown(found.var_99),
        es_99=shown(found.es_99),
        worst=shown(found.worst),
        degrees_of_freedom=round(freedom, 2),
        seed=seed,
    )


def correlation_of(held: Exposures, most: int) -> CorrelationView | None:
    """Correlations of the largest positions' symbols; None with fewer than two."""
    columns: dict[str, int] = {}
    for i, each in enumerate(held.positions):
        columns.setdefault(each.position.symbol, i)
    picked = dict(list(columns.items())[:most])
    if len(picked) < 2:
        return None
    found = ledoit_wolf(held.returns[:, list(picked.values())])
    matrix = found.correlation
    n = len(matrix)
    return CorrelationView(
        symbols=list(picked),
        matrix=[[round(float(value), 2) for value in row] for row in matrix],
        shrinkage=round(found.intensity, 3),
        mean=round(float((matrix.sum() - n) / (n * (n - 1))), 3),
    )


def stored_metrics(risk: RiskView | None, performance: PerformanceView | None) -> dict[str, float | None]:
    """The metrics that the specified document names."""
    return {
        "portfolio_var_95": None if risk is None else float(risk.var_95),
        "max_drawdown": None if performance is None else performance.max_drawdown,
        "sharpe_ratio": None if performance is None else performance.sharpe_ratio,
    }


def realised_by(before: Book, after: Book) -> Decimal:
    """What a change realised, before fees."""
    return shown(after.realised - before.realised)
