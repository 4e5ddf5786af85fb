"""What one more trade does to a portfolio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.models.risk import RiskWarning
from crypto_mcp.risk.tail import DEFAULT_METHOD, scenarios, tail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crypto_mcp.risk.exposures import Exposures, Returns

CORRELATED = 0.7
VAR_PERCENT = (5.0, 10.0)
GROSS_PERCENT = (150.0, 300.0)
DRAWDOWN_BUDGET = 20.0


@dataclass(frozen=True, slots=True)
class Effect:
    """Before and after; VaR and ES at 95 % of one day in quote asset, exposure in percent of equity.

    `correlation` is that of the trade's daily profit with the portfolio's; None where one of them does not move.
    """

    var_before: float
    var_after: float
    es_before: float
    es_after: float
    gross_before: float
    gross_after: float
    correlation: float | None


def added(held: Exposures, returns: Returns, symbol: str, amount: float, equity: float) -> Effect | None:
    """The effect of an exposure of `amount` (negative for a short); None where the symbol has no returns."""
    if symbol not in returns.index or equity <= 0:
        return None
    column = returns.column(symbol)
    profit = held.profit if len(held.amounts) else np.zeros(len(column))
    amounts = np.append(held.amounts, amount)
    table = np.column_stack([held.returns, column]) if len(held.amounts) else column[:, np.newaxis]
    after = tail(scenarios(table, amounts, DEFAULT_METHOD), amounts, 0.95)
    before = held.tails((0.95,))[0] if np.any(held.amounts) else None
    moves = float(profit.std()) > 0 and float(column.std()) > 0 and amount
    gross = float(np.abs(held.amounts).sum())
    by_symbol = sum(
        float(value) for value, each in zip(held.amounts, held.positions, strict=True) if each.position.symbol == symbol
    )
    reduced = gross - abs(by_symbol) + abs(by_symbol + amount)
    return Effect(
        var_before=0.0 if before is None else max(0.0, before.var),
        var_after=max(0.0, after.var),
        es_before=0.0 if before is None else max(0.0, before.es),
        es_after=max(0.0, after.es),
        gross_before=100 * gross / equity,
        gross_after=100 * reduced / equity,
        correlation=float(np.corrcoef(profit, column * amount)[0, 1]) if moves else None,
    )


def warnings_of(
    effect: Effect, equity: float, loss_percent: float, drawdown_percent: float | None
) -> Iterator[RiskWarning]:
    """What speaks against the trade in this portfolio. `loss_percent` of equity is lost at its stop."""
    var = 100 * effect.var_after / equity
    if effect.var_after > effect.var_before and var > VAR_PERCENT[0]:
        yield RiskWarning(
            code="portfolio_var",
            severity="danger" if var > VAR_PERCENT[1] else "caution",
            message=f"VaR 95 of the portfolio rises to {var:.1f} % of equity a day; {VAR_PERCENT[0]:g} % is much.",
        )
    if effect.correlation is not None and effect.correlation > CORRELATED:
        yield RiskWarning(
            code="correlated_add",
            severity="caution",
            message=f"It moves with the portfolio (correlation {effect.correlation:.2f}): more of the same risk.",
        )
    if effect.gross_after > max(effect.gross_before, GROSS_PERCENT[0]):
        yield RiskWarning(
            code="exposure",
            severity="danger" if effect.gross_after > GROSS_PERCENT[1] else "caution",
            message=f"Gross exposure rises to {effect.gross_after:.0f} % of equity.",
        )
    if drawdown_percent is not None and drawdown_percent + loss_percent > DRAWDOWN_BUDGET:
        yield RiskWarning(
            code="drawdown_budget",
            severity="caution",
            message=f"The drawdown is {drawdown_percent:.1f} %; the stop would take it past {DRAWDOWN_BUDGET:g} %.",
        )
