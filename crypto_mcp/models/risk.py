"""`risk_assessment`: parameters and result. Amounts are decimals as strings, quote asset unless said otherwise."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from crypto_mcp.models.analysis import Detail, Provenance, Side
from crypto_mcp.models.answers import UNLISTED, Contract, unit
from crypto_mcp.models.brevity import KEPT
from crypto_mcp.models.money import Exact, Positive
from crypto_mcp.models.symbols import SymbolName
from crypto_mcp.models.timeframes import Timeframe

MarketKind = Literal["spot", "perpetual"]
SizingMethod = Literal["risk", "volatility", "kelly"]
Severity = Literal["info", "caution", "danger"]
PortfolioId = r"^[A-Za-z0-9_.\-]{1,64}$"


class RiskParams(Contract):
    """The trade that is thought of. Four fields are enough; the rest has stated defaults."""

    symbol: SymbolName
    entry: Positive = Field(description="Entry price.", json_schema_extra=unit("quote asset"))
    stop: Positive = Field(description="Stop price.", json_schema_extra=unit("quote asset"))
    account_size: Positive = Field(description="Account, quote asset.")
    side: Side | None = Field(None, description="Default: by the side of the stop.")
    target: Positive | None = Field(None, description="Take-profit price.", json_schema_extra=unit("quote asset"))
    quantity: Positive | None = Field(
        None, description="Assess this size instead of computing one.", json_schema_extra=unit("base asset")
    )
    risk_percent: float = Field(1.0, gt=0, le=100, description="Of the account, lost if the stop is hit.")
    max_loss: Positive | None = Field(
        None, description="Lost at most at the stop, quote asset; instead of risk_percent.", json_schema_extra=UNLISTED
    )
    method: SizingMethod = Field("risk", description="What sizes the position.")
    target_volatility_percent: float = Field(20.0, gt=0, le=500, description="A year, for method volatility.")
    market: MarketKind | None = Field(None, description="Default: spot; perpetual for shorts and leverage.")
    leverage: float = Field(1.0, ge=1, le=125, description="Notional over margin.")
    fee_percent: float = Field(0.1, ge=0, le=5, description="Of the notional, each way.")
    slippage_percent: float = Field(0.05, ge=0, le=10, description="Of the price, each way.")
    win_rate: float | None = Field(None, gt=0, lt=1, description="Share of trades won, for Kelly and drawdowns.")
    payoff: float | None = Field(None, gt=0, le=1000, description="Mean win over mean loss; default: the target's R.")
    trades_seen: int | None = Field(
        None, ge=1, le=10**6, description="Trades behind win_rate.", json_schema_extra=UNLISTED
    )
    kelly_fraction: float = Field(0.25, gt=0, le=1, description="Part of full Kelly.", json_schema_extra=UNLISTED)
    trades_ahead: int = Field(
        100, ge=1, le=500, description="Trades of the drawdown projection.", json_schema_extra=UNLISTED
    )
    ruin_percent: float = Field(
        50.0, gt=0, lt=100, description="Loss of the account that counts as ruin.", json_schema_extra=UNLISTED
    )
    portfolio_id: str | None = Field(None, pattern=PortfolioId, description="What it does to this portfolio.")
    backtest_job_id: str | None = Field(
        None, max_length=64, description="Take the edge from this backtest.", json_schema_extra=UNLISTED
    )
    timeframe: Timeframe = Field(Timeframe.H1, description="Bars of ATR and volatility.")
    seed: int = Field(1, ge=0, lt=2**32, description="Of simulations.", json_schema_extra=UNLISTED)
    detail: Detail = Field("summary", description="`full` adds every sizing method and the assumptions.")

    @model_validator(mode="after")
    def _stop_on_its_side(self) -> RiskParams:
        if self.stop == self.entry:
            raise ValueError("stop: must differ from the entry price")
        if self.side is not None and self.side != self.direction:
            below = "below" if self.side == "long" else "above"
            raise ValueError(f"stop: is on the wrong side; the stop of a {self.side} lies {below} its entry")
        if self.target is not None and (self.target > self.entry) != (self.direction == "long"):
            raise ValueError("target: is on the side of the stop")
        if self.market == "spot" and (self.direction == "short" or self.leverage > 1):
            raise ValueError("market: shorts and leverage need `perpetual`")
        return self

    @property
    def direction(self) -> Side:
        """The side the stop implies."""
        return "long" if self.stop < self.entry else "short"

    @property
    def venue(self) -> MarketKind:
        """Where it would be traded."""
        if self.market is not None:
            return self.market
        return "perpetual" if self.direction == "short" or self.leverage > 1 else "spot"


class SizeView(Contract):
    """A position size in the exchange's steps."""

    method: Literal["risk", "volatility", "kelly", "given", "least"] = Field(description="What sized it.")
    quantity: Exact = Field(description="Base asset, rounded down to the exchange's step; 0 if none is possible.")
    notional: Exact = Field(description="At the entry price.")
    loss: Exact = Field(description="If the stop is hit, fees and slippage included.")
    loss_percent: float = Field(description="Of the account.")
    capped_by: str | None = Field(None, description="`account`, `exchange_minimum` or `exchange_maximum`.")


class MarginView(Contract):
    """What holding the position takes."""

    market: MarketKind = Field(description="spot or perpetual.")
    leverage: float = Field(description="Asked for.")
    max_leverage: float | None = Field(None, description="By the assumed ladder at this notional.")
    margin: Exact = Field(description="Initial: notional over leverage.")
    maintenance: Exact | None = Field(None, description="Below this it is liquidated.")
    liquidation_price: Exact | None = Field(None, description="None where no price liquidates it.")
    liquidation_percent: float | None = Field(None, description="From entry to liquidation.")


class TargetView(Contract):
    """An exit and what it gains, costs deducted."""

    r: float = Field(description="Gain in units of what the stop loses.")
    price: Exact = Field(description="Exit price.")
    gain: Exact = Field(description="Quote asset.")


class GapView(Contract):
    """What the stop cannot prevent."""

    move_percent: float = Field(description="Worst single-bar move against the position in the bars read.")
    loss: Exact = Field(description="If such a bar opened at the entry and the stop filled at its end.")
    loss_percent: float = Field(description="Of the account.")


class TailView(Contract):
    """Value at risk and expected shortfall of one day."""

    method: str = Field(description="docs/risk.md describes it.")
    var_95: Exact = Field(description="Loss that one day in twenty exceeds.")
    es_95: Exact = Field(description="Mean loss of those days.")
    var_99: Exact = Field(description="Loss that one day in a hundred exceeds.")
    es_99: Exact = Field(description="Mean loss of those days.")
    days: int = Field(description="Days of returns behind it.")


class KellyView(Contract):
    """The stake an edge justifies, percent of the account lost at the stop."""

    full_percent: float = Field(description="If the edge were known.")
    shrunk_percent: float = Field(description="What its uncertainty leaves (Baker and McHale 2013).")
    stake_percent: float = Field(description="Times kelly_fraction.")
    expectancy_r: float = Field(description="Mean gain a trade, in R.")
    win_rate: float = Field(description="Used.")
    payoff: float = Field(description="Used.")
    trades: int | None = Field(None, description="Trades behind it.")
    source: str = Field(description="Where the edge comes from.")


class ProjectionView(Contract):
    """Drawdowns over the next trades, percent."""

    trades: int = Field(description="Trades ahead.")
    paths: int = Field(description="Simulated accounts.")
    drawdown_median: float = Field(description="Deepest fall from a peak: half of the accounts see worse.")
    drawdown_p95: float = Field(description="One in twenty sees worse.")
    drawdown_p99: float = Field(description="One in a hundred sees worse.")
    losing_streak_p95: int = Field(description="Longest run of losses; one in twenty sees longer.")
    loss_probability: float = Field(description="Chance to end below the start.")
    ruin_probability: float = Field(description="Chance to lose ruin_percent within these trades.")
    ruin_bound: float = Field(description="Upper bound of that chance for ever (Lundberg).")


class PortfolioEffect(Contract):
    """What the trade does to a portfolio."""

    portfolio_id: str = Field(description="Which.")
    equity: Exact = Field(description="Before the trade.")
    var_95_before: Exact = Field(description="One day.")
    var_95_after: Exact = Field(description="One day.")
    es_95_before: Exact = Field(description="One day.")
    es_95_after: Exact = Field(description="One day.")
    exposure_percent_before: float = Field(description="Gross exposure over equity.")
    exposure_percent_after: float = Field(description="Gross exposure over equity.")
    correlation: float | None = Field(None, description="Of the trade with the portfolio, daily returns.")
    drawdown_percent: float | None = Field(None, description="Present drawdown of the equity history.")
    left_out: Annotated[list[str], KEPT] = Field([], description="Positions without a price or history, not counted.")


class RiskWarning(Contract):
    """Something to look at before trading."""

    code: str = Field(description="Stable.")
    severity: Severity = Field(description="info, caution or danger.")
    message: str = Field(description="With its figures.")


class RiskAssessment(Contract):
    """What the trade risks, and how large it may be."""

    symbol: str = Field(description="As the exchange spells it.")
    timestamp: datetime = Field(description="When it was calculated, UTC.")
    side: Side = Field(description="long or short.")
    entry: Exact
    stop: Exact
    account_size: Exact
    size: Annotated[SizeView, KEPT] = Field(description="By the method asked for.")
    acceptable: Annotated[SizeView | None, KEPT] = Field(
        None, description="Nearest size without danger; absent if `size` has none."
    )
    margin: Annotated[MarginView, KEPT]
    stop_percent: float = Field(description="From entry to stop.")
    stop_atr: float = Field(description="The same in average true ranges.")
    break_even: Exact = Field(description="Exit price that gains nothing after costs.")
    targets: list[TargetView] = Field(description="1, 2 and 3 R, and the target given.")
    gap: GapView
    tail: TailView | None = Field(None, description="Of the position, one day; absent with under 60 days of history.")
    kelly: KellyView | None = Field(None, description="Only where an edge is known.")
    projection: ProjectionView | None = Field(None, description="Only where an edge is known.")
    portfolio: PortfolioEffect | None = None
    warnings: Annotated[list[RiskWarning], KEPT] = Field(description="Worst first.")
    other_sizes: list[SizeView] = Field([], description="By the other methods; only with `detail` full.")
    assumptions: list[str] = Field([], description="Defaults that were used; only with `detail` full.")
    data: Provenance
