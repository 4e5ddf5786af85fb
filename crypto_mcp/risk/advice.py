"""What might be done about a portfolio's risk: suggestions with their reasons and numbers, never orders."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.models.portfolio import RebalanceView, Suggestion, TradeView
from crypto_mcp.risk.allocation import weights
from crypto_mcp.risk.concentration import beta
from crypto_mcp.risk.covariance import ledoit_wolf
from crypto_mcp.risk.report import days_to_exit, percent, shown
from crypto_mcp.risk.rounding import ceil_to_step, orderable
from crypto_mcp.risk.tail import tail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from crypto_mcp.models.markets import SymbolRules
    from crypto_mcp.models.portfolio import Objective
    from crypto_mcp.risk.exposures import Exposures
    from crypto_mcp.risk.valuation import Priced, Valuation

    Floats = NDArray[np.float64]

COST = Decimal("0.0015")
"""Fee and slippage of a trade, of its notional."""

DEFAULT_VAR_PERCENT = 5.0
HEAVY_PERCENT = 40.0
NEAR_LIQUIDATION_PERCENT = 15.0
SLOW_DAYS = 3.0
HEDGE_BETA = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Benchmark:
    """Bitcoin: its pair, its returns on the days of the portfolio's, its last price."""

    symbol: str
    returns: Floats
    price: Decimal


def suggestions(
    valuation: Valuation,
    held: Exposures | None,
    rules: Mapping[str, SymbolRules],
    volumes: Mapping[str, float],
    target_var_percent: float | None,
    bitcoin: Benchmark | None = None,
) -> list[Suggestion]:
    """All that apply, the most pressing first."""
    found = [*_liquidations(valuation), *_of_size(valuation, volumes)]
    if held is not None and len(held.amounts) and valuation.equity > 0:
        cut = cut_to(held, valuation.equity, rules, target_var_percent or DEFAULT_VAR_PERCENT)
        if cut is not None:
            found.append(cut)
        hedged = hedge(held, valuation.equity, bitcoin, rules) if bitcoin is not None else None
        if hedged is not None:
            found.append(hedged)
    if valuation.unpriced:
        names = ", ".join(sorted(position.symbol for position in valuation.unpriced)[:5])
        found.append(
            Suggestion(code="unpriced", severity="caution", message=f"No price is known of {names}: left out of all.")
        )
    order = {"danger": 0, "caution": 1, "info": 2}
    return sorted(found, key=lambda suggestion: order[suggestion.severity])


def _liquidations(valuation: Valuation) -> Iterator[Suggestion]:
    for each in valuation.priced:
        price = each.liquidation
        if price is None:
            continue
        away = abs(percent(price - each.price, each.price))
        if away < NEAR_LIQUIDATION_PERCENT:
            yield Suggestion(
                code="near_liquidation",
                severity="danger" if away < NEAR_LIQUIDATION_PERCENT / 3 else "caution",
                message=f"{each.position.symbol} is {away:.1f} % from its liquidation price; add margin or reduce.",
            )


def _of_size(valuation: Valuation, volumes: Mapping[str, float]) -> Iterator[Suggestion]:
    gross = sum(abs(each.value) for each in valuation.priced)
    for each in valuation.priced[:10]:
        weight = percent(abs(each.value), gross)
        if weight > HEAVY_PERCENT and len(valuation.priced) > 1:
            yield Suggestion(
                code="concentration",
                severity="caution",
                message=f"{each.position.symbol} is {weight:.0f} % of all exposure; {HEAVY_PERCENT:g} % is much.",
            )
        days = days_to_exit(each, volumes.get(each.position.symbol, 0.0))
        if days is not None and days > SLOW_DAYS:
            yield Suggestion(
                code="illiquid",
                severity="caution",
                message=f"{each.position.symbol} takes {days:.1f} days to leave at a tenth of its volume.",
            )


def cut_to(
    held: Exposures, equity: Decimal, rules: Mapping[str, SymbolRules], target_percent: float
) -> Suggestion | None:
    """How much of the position with the largest part in VaR 95 to take off so that VaR is at the target.

    None if it is there already. Where that position alone does not suffice, it says how much of everything would.
    """
    limit = float(equity) * target_percent / 100
    found = held.tails((0.95,))[0]
    if found.var <= limit:
        return None
    i = int(np.argmax(found.component_var))
    keep = _kept_share(held, i, limit)
    each = held.positions[i]
    words = f"VaR 95 is {percent(found.var, equity):.1f} % of equity, the limit {target_percent:g} %"
    if keep is None:
        share = 1 - limit / found.var
        return Suggestion(
            code="reduce_all", severity="caution", message=f"{words}: {share:.0%} less of everything brings it there."
        )
    trade = _reducing(each, 1 - keep, rules.get(each.position.symbol))
    return Suggestion(
        code="reduce",
        severity="caution",
        message=f"{words}; {each.position.symbol} carries most of it: {1 - keep:.0%} less brings VaR there.",
        trade=trade,
    )


def hedge(held: Exposures, equity: Decimal, bitcoin: Benchmark, rules: Mapping[str, SymbolRules]) -> Suggestion | None:
    """The bitcoin perpetual that takes the portfolio's beta off, and what VaR 95 is with it.

    None where beta is under one half, or where the hedge would not lower VaR.
    """
    slope = beta(held.profit, bitcoin.returns)
    if slope is None or abs(slope) < HEDGE_BETA * float(equity):
        return None
    scenes = np.column_stack([held.scenes, held.scene_of(bitcoin.returns)])
    before = held.var_with(held.amounts)
    after = max(0.0, tail(scenes, np.append(held.amounts, -slope), 0.95).var)
    quantity = Decimal(abs(slope)) / bitcoin.price
    if bitcoin.symbol in rules:
        quantity = orderable(quantity, bitcoin.price, rules[bitcoin.symbol])
    if after >= before or quantity <= 0:
        return None
    return Suggestion(
        code="hedge",
        severity="info",
        message=(
            f"Beta to bitcoin is {slope / float(equity):.2f}; a {'short' if slope > 0 else 'long'} perpetual of "
            f"{bitcoin.symbol} takes it off, and VaR 95 from {percent(before, equity):.1f} to "
            f"{percent(after, equity):.1f} % of equity."
        ),
        trade=TradeView(
            symbol=bitcoin.symbol,
            market="perpetual",
            side="sell" if slope > 0 else "buy",
            quantity=quantity,
            notional=shown(quantity * bitcoin.price),
        ),
    )


def _kept_share(held: Exposures, i: int, limit: float) -> float | None:
    """The largest share of position i with which VaR is within the limit, to a thousandth; None if none is."""

    def var(share: float) -> float:
        amounts = held.amounts.copy()
        amounts[i] *= share
        return held.var_with(amounts)

    if var(0.0) > limit:
        return None
    low, high = 0.0, 1.0
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if var(middle) <= limit else (low, middle)
    return low


def _reducing(each: Priced, share: float, rules: SymbolRules | None) -> TradeView | None:
    held = abs(each.position.quantity)
    quantity = held * Decimal(share)
    if rules is not None:
        # Up: a step less would leave VaR above what it is to be. Never more than there is.
        quantity = orderable(min(ceil_to_step(quantity, rules.step_size), held), each.price, rules)
    if quantity <= 0:
        return None
    return TradeView(
        symbol=each.position.symbol,
        market=each.position.market,
        side="sell" if each.value > 0 else "buy",
        quantity=quantity,
        notional=shown(quantity * each.price),
    )


def rebalanced(held: Exposures, objective: Objective, rules: Mapping[str, SymbolRules]) -> RebalanceView | None:
    """The same gross exposure by another objective, each position keeping its side; None with fewer than two.

    Trades are rounded down to the exchange's steps, so that weights are reached to within a step.
    """
    if len(held.amounts) < 2:
        return None
    sides = np.sign(held.amounts)
    gross = float(np.abs(held.amounts).sum())
    covariance = ledoit_wolf(held.returns * sides).covariance
    covariance += 1e-10 * np.mean(np.diag(covariance)) * np.eye(len(sides))
    wanted = weights(covariance, objective)
    targets = wanted * gross * sides
    reached = held.amounts.copy()
    trades = []
    for i, each in enumerate(held.positions):
        trade = _towards(each, float(targets[i]), rules.get(each.position.symbol))
        if trade is not None:
            trades.append(trade)
            reached[i] += float(trade.quantity * each.price) * (1 if trade.side == "buy" else -1)
    trades.sort(key=lambda trade: -trade.notional)
    names = _names(held.positions)
    return RebalanceView(
        objective=objective,
        weights_percent={name: round(100 * float(w), 2) for name, w in zip(names, wanted, strict=True)},
        trades=trades,
        cost=shown(sum((trade.notional for trade in trades), Decimal(0)) * COST),
        var_95_before=shown(held.var_with(held.amounts)),
        var_95_after=shown(held.var_with(reached)),
    )


def _names(positions: Sequence[Priced]) -> list[str]:
    """The symbols; one that is held on both markets says which it is."""
    held = Counter(each.position.symbol for each in positions)
    return [
        symbol if held[symbol] == 1 else f"{symbol} {market}"
        for symbol, market in ((each.position.symbol, each.position.market) for each in positions)
    ]


def _towards(each: Priced, target: float, rules: SymbolRules | None) -> TradeView | None:
    change = Decimal(target) - each.value
    quantity = abs(change) / each.price
    if rules is not None:
        quantity = orderable(quantity, each.price, rules)
    if quantity <= 0:
        return None
    return TradeView(
        symbol=each.position.symbol,
        market=each.position.market,
        side="buy" if change > 0 else "sell",
        quantity=quantity,
        notional=shown(quantity * each.price),
    )
