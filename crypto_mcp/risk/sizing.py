"""How much to buy or sell: the size a stop, a volatility or an edge allows, in the exchange's steps."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from crypto_mcp.risk.rounding import ZERO, least_orderable, orderable

if TYPE_CHECKING:
    from crypto_mcp.models.markets import SymbolRules


@dataclass(frozen=True, slots=True)
class Costs:
    """What trading costs, as shares: `fee` of the notional each way, `slippage` of the price each way."""

    fee: Decimal
    slippage: Decimal

    def one_way(self, notional: Decimal) -> Decimal:
        """Cost of trading a notional once, quote asset."""
        return notional * (self.fee + self.slippage)


@dataclass(frozen=True, slots=True)
class Idea:
    """A trade that is thought of. `long` says its side; prices in quote asset, above zero, the stop on its side."""

    long: bool
    entry: Decimal
    stop: Decimal
    costs: Costs

    @property
    def stop_distance(self) -> Decimal:
        """From entry to stop, quote asset, above zero."""
        return abs(self.entry - self.stop)

    @property
    def loss_per_unit(self) -> Decimal:
        """What one unit of base asset loses when the stop is hit, fees and slippage of both ways included."""
        return self.stop_distance + self.costs.one_way(self.entry) + self.costs.one_way(self.stop)

    @property
    def break_even(self) -> Decimal:
        """Exit price at which a round trip gains nothing: entry * (1 + c) / (1 - c) for a long, inverse for a short."""
        cost = self.costs.fee + self.costs.slippage
        worse, better = 1 + cost, 1 - cost
        return self.entry * worse / better if self.long else self.entry * better / worse

    def gain_per_unit(self, exit_price: Decimal) -> Decimal:
        """What one unit gains by leaving at a price, costs deducted, quote asset."""
        move = exit_price - self.entry if self.long else self.entry - exit_price
        return move - self.costs.one_way(self.entry) - self.costs.one_way(exit_price)

    def r_multiple(self, exit_price: Decimal) -> Decimal:
        """Gain of an exit in units of what the stop loses."""
        return self.gain_per_unit(exit_price) / self.loss_per_unit


def quantity_for_loss(idea: Idea, loss: Decimal) -> Decimal:
    """The quantity that loses `loss` when the stop is hit, costs included, unrounded."""
    return loss / idea.loss_per_unit


def quantity_for_volatility(account: Decimal, price: Decimal, target: float, asset: float) -> Decimal:
    """The quantity whose value swings like `target` of the account a year, for an asset of annual volatility `asset`.

    Both volatilities are shares a year (0.2 is 20 %). Zero for an asset that did not move.
    """
    return account * Decimal(target / asset) / price if asset > 0 else ZERO


def affordable(account: Decimal, idea: Idea, leverage: Decimal) -> Decimal:
    """The quantity whose margin and entry costs the account can pay: account / (entry * (1 / leverage + c))."""
    return account / (idea.entry / leverage + idea.costs.one_way(idea.entry))


@dataclass(frozen=True, slots=True)
class Size:
    """A quantity the exchange accepts, and what it means.

    Attributes:
        quantity: base asset, in steps; zero if not even the least orderable quantity fits.
        notional: quantity times entry, quote asset.
        loss: when the stop is hit, costs included, quote asset.
        capped_by: what kept it below the quantity wished for; None if nothing did.
    """

    quantity: Decimal
    notional: Decimal
    loss: Decimal
    capped_by: str | None


def sized(wish: Decimal, idea: Idea, rules: SymbolRules, most: Decimal) -> Size:
    """The wish, cut to what is affordable (`most`) and to the exchange's rules; never more than the wish."""
    capped_by = "account" if wish > most else None
    quantity = orderable(min(wish, most), idea.entry, rules)
    if quantity == 0:
        capped_by = "exchange_minimum"
    elif rules.max_quantity > 0 and min(wish, most) > rules.max_quantity:
        capped_by = "exchange_maximum"
    return Size(quantity, quantity * idea.entry, quantity * idea.loss_per_unit, capped_by)


def least_size(idea: Idea, rules: SymbolRules) -> Size:
    """The smallest position the exchange accepts at the entry price."""
    quantity = least_orderable(idea.entry, rules)
    return Size(quantity, quantity * idea.entry, quantity * idea.loss_per_unit, "exchange_minimum")
