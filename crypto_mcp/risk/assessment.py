"""One trade assessed: its size, what it can lose, what it needs, and what speaks against it."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.models.risk import (
    GapView,
    KellyView,
    MarginView,
    ProjectionView,
    RiskWarning,
    SizeView,
    TailView,
    TargetView,
)
from crypto_mcp.risk.drawdowns import project, project_from
from crypto_mcp.risk.kelly import kelly_stake
from crypto_mcp.risk.margin import ASSUMED_TIERS, liquidation_price, maintenance_margin, max_leverage
from crypto_mcp.risk.rounding import ZERO, floor_to_step, nearest_tick
from crypto_mcp.risk.sizing import (
    Costs,
    Idea,
    Size,
    affordable,
    least_size,
    quantity_for_loss,
    quantity_for_volatility,
    sized,
)
from crypto_mcp.risk.tail import DEFAULT_METHOD, LEAST_BARS, scenarios, tail
from crypto_mcp.risk.warnings import LIQUIDATION_ATR, Facts, warnings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crypto_mcp.models.markets import SymbolRules
    from crypto_mcp.models.risk import RiskParams, SizingMethod
    from crypto_mcp.risk.present import Present

    Floats = NDArray[np.float64]

PERCENT = Decimal(100)
_SHOWN_R = (1, 2, 3)
_ACCEPTABLE_LOSS_PERCENT = Decimal(2)


class SizeBeyondBalance(ValueError):
    """The quantity given costs more than the account holds."""


@dataclass(frozen=True, slots=True)
class Edge:
    """What is known of the trades to come: a win rate and payoff, or results of past trades in R.

    `source` says where it comes from; `trades` how many are behind it.
    """

    win_rate: float
    payoff: float
    trades: int | None
    source: str
    multiples: tuple[float, ...] = ()

    @classmethod
    def of_results(cls, multiples: tuple[float, ...], source: str) -> Edge | None:
        """The edge that past results show; None where they show no win or no loss."""
        wins = [r for r in multiples if r > 0]
        losses = [-r for r in multiples if r < 0]
        if not wins or not losses:
            return None
        mean_loss = sum(losses) / len(losses)
        payoff = sum(wins) / len(wins) / mean_loss
        scaled = tuple(r / mean_loss for r in multiples)
        return cls(len(wins) / len(multiples), payoff, len(multiples), source, scaled)


@dataclass(frozen=True, slots=True)
class Trade:
    """The parameters with the market they meet."""

    params: RiskParams
    rules: SymbolRules
    now: Present
    idea: Idea
    edge: Edge | None

    @classmethod
    def of(cls, params: RiskParams, rules: SymbolRules, now: Present, edge: Edge | None) -> Trade:
        """The trade of these parameters."""
        fee, slippage = (Decimal(repr(value)) / PERCENT for value in (params.fee_percent, params.slippage_percent))
        idea = Idea(params.direction == "long", params.entry, params.stop, Costs(fee, slippage))
        return cls(params, rules, now, idea, edge)

    @property
    def leverage(self) -> Decimal:
        """As a decimal."""
        return Decimal(repr(self.params.leverage))

    @property
    def most(self) -> Decimal:
        """The quantity the account can pay for."""
        return affordable(self.params.account_size, self.idea, self.leverage)

    def view(self, size: Size, method: str) -> SizeView:
        """A size as it is shown."""
        return SizeView.model_validate(
            {
                "method": method,
                "quantity": size.quantity,
                "notional": money(size.notional),
                "loss": money(size.loss),
                "loss_percent": round(float(size.loss / self.params.account_size * PERCENT), 4),
                "capped_by": size.capped_by,
            }
        )


def money(value: Decimal) -> Decimal:
    """Quote asset with eight decimals, as exchanges keep it."""
    return value.quantize(Decimal("1e-8")).normalize() + 0


def size_by(trade: Trade, method: SizingMethod) -> Size | None:
    """The size by one method; None where it lacks what it needs."""
    params, idea = trade.params, trade.idea
    if method == "risk":
        share = params.account_size * Decimal(repr(params.risk_percent)) / PERCENT
        wish = quantity_for_loss(idea, share if params.max_loss is None else params.max_loss)
    elif method == "volatility":
        target = params.target_volatility_percent / 100
        wish = quantity_for_volatility(params.account_size, params.entry, target, trade.now.annual_volatility)
    else:
        stake = kelly_of(trade)
        if stake is None:
            return None
        wish = quantity_for_loss(idea, params.account_size * Decimal(stake.stake_percent) / PERCENT)
    return sized(wish, idea, trade.rules, trade.most)


def size_given(trade: Trade, quantity: Decimal) -> Size:
    """The quantity the caller names, rounded down; `SizeBeyondBalance` if the account cannot pay for it."""
    if quantity > trade.most:
        raise SizeBeyondBalance(format(floor_to_step(trade.most, trade.rules.step_size), "f"))
    return sized(quantity, trade.idea, trade.rules, trade.most)


def kelly_of(trade: Trade) -> KellyView | None:
    """Kelly's stake for the edge, if there is one."""
    edge = trade.edge
    if edge is None:
        return None
    found = kelly_stake(edge.win_rate, edge.payoff, trades=edge.trades, fraction=trade.params.kelly_fraction)
    return KellyView(
        full_percent=round(100 * found.full, 4),
        shrunk_percent=round(100 * found.shrunk, 4),
        stake_percent=round(100 * found.stake, 4),
        expectancy_r=round(found.expectancy, 4),
        win_rate=round(edge.win_rate, 4),
        payoff=round(edge.payoff, 4),
        trades=edge.trades,
        source=edge.source,
    )


def projection_of(trade: Trade, size: Size) -> ProjectionView | None:
    """Drawdowns to expect of the edge at this size, if there is one."""
    edge, params = trade.edge, trade.params
    risk = float(size.loss / params.account_size)
    if edge is None or not risk > 0:
        return None
    options = {"trades": params.trades_ahead, "ruin_at": params.ruin_percent / 100, "seed": params.seed}
    found = (
        project_from(edge.multiples, risk, **options)  # type: ignore[arg-type]
        if edge.multiples
        else project(edge.win_rate, edge.payoff, risk, **options)  # type: ignore[arg-type]
    )
    return ProjectionView(
        trades=found.trades,
        paths=found.paths,
        drawdown_median=round(100 * found.drawdown[50], 2),
        drawdown_p95=round(100 * found.drawdown[95], 2),
        drawdown_p99=round(100 * found.drawdown[99], 2),
        losing_streak_p95=found.losing_streak[95],
        loss_probability=round(found.loss_probability, 4),
        ruin_probability=round(found.ruin_probability, 4),
        ruin_bound=round(found.ruin_bound, 6),
    )


def margin_of(trade: Trade, size: Size) -> MarginView:
    """What holding the size takes, and where it is liquidated; spot needs its price and is not liquidated."""
    params = trade.params
    if params.venue == "spot" or size.quantity == 0:
        return MarginView(market=params.venue, leverage=params.leverage, margin=money(size.notional / trade.leverage))
    margin = size.notional / trade.leverage
    signed = size.quantity if params.direction == "long" else -size.quantity
    price = liquidation_price(signed, params.entry, margin)
    away = None if price is None else round(float((price / params.entry - 1) * PERCENT), 4)
    return MarginView(
        market="perpetual",
        leverage=params.leverage,
        max_leverage=float(max_leverage(size.notional)),
        margin=money(margin),
        maintenance=money(maintenance_margin(size.notional)),
        liquidation_price=None if price is None else nearest_tick(price, trade.rules.tick_size).normalize() + 0,
        liquidation_percent=away,
    )


def targets_of(trade: Trade, size: Size) -> list[TargetView]:
    """Exits at whole multiples of the risk, and at the target given."""
    idea, sign = trade.idea, 1 if trade.idea.long else -1
    cost = idea.costs.fee + idea.costs.slippage
    prices = []
    for r in _SHOWN_R:
        # from gain = sign * (x - entry) - cost * (entry + x) = r * loss_per_unit
        exit_price = (r * idea.loss_per_unit + idea.entry * (sign + cost)) / (sign - cost)
        prices.append(nearest_tick(exit_price, trade.rules.tick_size))
    wanted = [price for price in prices if price > 0]
    if trade.params.target is not None:
        wanted.append(trade.params.target)
    return [
        TargetView(
            r=round(float(idea.r_multiple(price)), 2),
            price=price.normalize() + 0,
            gain=money(size.quantity * idea.gain_per_unit(price)),
        )
        for price in wanted
    ]


def gap_of(trade: Trade, size: Size) -> GapView:
    """The loss of a bar like the worst one read, opened at the entry, if that is worse than the stop's."""
    worst = trade.now.worst_against(trade.params.direction)
    lost = max(size.quantity * trade.params.entry * Decimal(worst) + trade.idea.costs.one_way(size.notional), size.loss)
    return GapView(
        move_percent=round(100 * worst, 3),
        loss=money(lost),
        loss_percent=round(float(lost / trade.params.account_size * PERCENT), 3),
    )


def tail_of(trade: Trade, size: Size, daily: Floats) -> TailView | None:
    """VaR and ES of the position over one day, from daily returns of the symbol."""
    if len(daily) < LEAST_BARS or size.notional == 0:
        return None
    exposures = np.array([float(size.notional) * (1 if trade.idea.long else -1)])
    scenes = scenarios(daily[:, np.newaxis], exposures, DEFAULT_METHOD)
    at_95, at_99 = (tail(scenes, exposures, confidence) for confidence in (0.95, 0.99))
    shown = [money(Decimal(f"{max(0.0, value):.2f}")) for value in (at_95.var, at_95.es, at_99.var, at_99.es)]
    return TailView(
        method=DEFAULT_METHOD, var_95=shown[0], es_95=shown[1], var_99=shown[2], es_99=shown[3], days=len(daily)
    )


def warnings_of(trade: Trade, size: Size, margin: MarginView, gap: GapView) -> list[RiskWarning]:
    """What speaks against this size."""
    params, idea, now = trade.params, trade.idea, trade.now
    loss = float(size.loss / params.account_size * PERCENT)
    liquidation = _liquidation_atr(trade, margin.liquidation_price)
    reward = None if params.target is None else float(idea.r_multiple(params.target))
    return warnings(
        Facts(
            loss_percent=loss,
            stop_atr=float(idea.stop_distance) / now.atr if now.atr > 0 else float("inf"),
            day_volume_percent=100 * float(size.notional) / now.day_volume if now.day_volume > 0 else 100.0,
            surge=now.surge,
            cost_share=float(1 - idea.stop_distance / idea.loss_per_unit),
            liquidation_atr=liquidation,
            safe_leverage=_safe_leverage(trade, size)
            if liquidation is not None and liquidation < LIQUIDATION_ATR
            else None,
            leverage_over=None if margin.max_leverage is None else params.leverage / margin.max_leverage,
            reward_r=reward,
            gap_percent=gap.loss_percent,
            possible=size.quantity > 0,
        )
    )


def _liquidation_atr(trade: Trade, liquidation: Decimal | None) -> float | None:
    """From the stop to where it is liquidated, in ATR; negative if that comes first."""
    if liquidation is None:
        return None
    beyond = trade.params.stop - liquidation
    return float(beyond if trade.idea.long else -beyond) / max(trade.now.atr, 1e-12)


def _safe_leverage(trade: Trade, size: Size) -> int | None:
    """The highest whole leverage with which this size is liquidated an ATR behind its stop, or never; None if none."""
    signed = size.quantity if trade.idea.long else -size.quantity
    most = int(trade.leverage)

    def safe(leverage: int) -> bool:
        price = liquidation_price(signed, trade.params.entry, size.notional / leverage)
        away = _liquidation_atr(trade, price)
        return away is None or away >= LIQUIDATION_ATR

    found = bisect.bisect_left(range(1, most + 1), True, key=lambda leverage: not safe(leverage))
    return found or None


def acceptable_size(trade: Trade, size: Size) -> SizeView | None:
    """The nearest size below this one that loses at most 2 % and is at most 1 % of a day's volume.

    None if this one does, or if the exchange takes nothing so small.
    """
    limit = min(
        quantity_for_loss(trade.idea, trade.params.account_size * _ACCEPTABLE_LOSS_PERCENT / PERCENT),
        Decimal(trade.now.day_volume / 100) / trade.params.entry,
        _tier_quantity(trade),
    )
    if size.quantity == 0:
        least = least_size(trade.idea, trade.rules)
        return trade.view(least, "least") if least.quantity <= min(limit, trade.most) else None
    if size.quantity <= limit:
        return None
    nearest = sized(limit, trade.idea, trade.rules, trade.most)
    return trade.view(nearest, "risk") if nearest.quantity > 0 else None


def _tier_quantity(trade: Trade) -> Decimal:
    """The largest quantity at which the ladder allows the leverage asked for."""
    if trade.params.venue == "spot":
        return trade.most
    allowed = [tier.up_to for tier in ASSUMED_TIERS if tier.max_leverage >= trade.leverage]
    return max(allowed, default=ZERO) / trade.params.entry
