"""`portfolio_monitor`: parameters and result. Amounts are decimals as strings, in the portfolio's currency."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, Field, model_serializer, model_validator

from crypto_mcp.models.analysis import Detail
from crypto_mcp.models.answers import UNLISTED, Contract, unit
from crypto_mcp.models.brevity import KEPT, Brief
from crypto_mcp.models.charts import ChartTheme
from crypto_mcp.models.money import Amount, Exact, NotNegative, Positive
from crypto_mcp.models.risk import MarketKind, PortfolioId, Severity
from crypto_mcp.models.symbols import SymbolName

Action = Literal[
    "get", "list", "history", "ledger", "preview_import",
    "create", "deposit", "withdraw", "add_position", "edit_position", "close_position", "record_trade",
    "record_funding", "import_trades", "delete",
]  # fmt: skip
READING: frozenset[Action] = frozenset({"get", "list", "history", "ledger", "preview_import"})

Section = Literal["correlation", "stress", "monte_carlo", "rebalance", "methods"]
Objective = Literal["equal_risk", "min_variance", "hrp"]

_NEEDED: dict[Action, tuple[str, ...]] = {
    "deposit": ("amount",),
    "withdraw": ("amount",),
    "add_position": ("symbol", "quantity", "price"),
    "edit_position": ("symbol",),
    "close_position": ("symbol",),
    "record_trade": ("symbol", "side", "quantity", "price"),
    "record_funding": ("symbol", "amount"),
    "import_trades": ("csv",),
    "preview_import": ("csv",),
}
_CHANGES_OF_EDIT = ("quantity", "price", "leverage", "sector")
_POSITIVE_AMOUNTS: frozenset[Action] = frozenset({"deposit", "withdraw"})


def _each_shock(shocks: dict[str, float]) -> dict[str, float]:
    if len(shocks) > 200:
        raise ValueError("at most 200 shocks")
    for name, shock in shocks.items():
        if not -100 <= shock <= 1000:
            raise ValueError(f"the shock of {name[:20]} must lie from -100 to 1000 percent")
    return shocks


Shocks = Annotated[dict[str, float], AfterValidator(_each_shock)]


class PortfolioParams(Contract):
    """What to do with which portfolio."""

    action: Action = Field("get", description="Reading: get, list, history, ledger, preview_import.")
    portfolio_id: str = Field("default", pattern=PortfolioId, description="Which.")
    version: int | None = Field(None, ge=0, lt=2**53, description="Refuse the change unless it is this.")
    symbol: SymbolName | None = Field(None, description="Of the position.")
    market: MarketKind = Field("spot", description="spot or perpetual.")
    side: Literal["buy", "sell", "long", "short"] | None = Field(None, description="Of trade or position.")
    quantity: Positive | None = Field(None, description="Base asset.")
    price: Positive | None = Field(
        None, description="Of entry or trade; close_position: last price.", json_schema_extra=unit("quote asset")
    )
    fee: NotNegative = Field(Decimal(0), description="Quote asset.")
    leverage: Annotated[Positive, Field(ge=1, le=125)] | None = Field(
        None, description="Of a perpetual.", json_schema_extra=unit("times its margin")
    )
    amount: Amount | None = Field(
        None, description="Of cash; funding paid is negative.", json_schema_extra=unit("the portfolio's currency")
    )
    at: AwareDatetime | None = Field(None, description="Time; default now.")
    trade_id: str | None = Field(None, min_length=1, max_length=64, description="Taken once.")
    sector: str | None = Field(None, max_length=40, description="Group for exposure.", json_schema_extra=UNLISTED)
    name: str | None = Field(None, max_length=100, description="create: a title.", json_schema_extra=UNLISTED)
    currency: str = Field(
        "USDT", pattern=r"^[A-Z0-9]{2,10}$", description="create: it counts in.", json_schema_extra=UNLISTED
    )
    cost_method: Literal["fifo", "lifo", "average"] = Field("fifo", description="create: lots a sale takes.")
    csv: str | None = Field(None, max_length=900_000, description="Trade file's text.")
    file_format: Literal["binance", "coinbase", "kraken", "generic"] | None = Field(
        None, description="Default: seen.", json_schema_extra=UNLISTED
    )
    include: list[Section] = Field([], max_length=5, description="More sections for get.")
    shocks: Shocks = Field({}, description="Stress, % by symbol; `*` the rest.")
    objective: Objective = Field("equal_risk", description="Of rebalance.")
    target_var_percent: float | None = Field(
        None, gt=0, le=100, description="VaR 95 to cut to.", json_schema_extra=unit("percent of the equity, a day")
    )
    detail: Detail = Field("summary", description="`full`: every position.")
    limit: int = Field(50, ge=1, le=1000, description="Of ledger, history.")
    seed: int = Field(1, ge=0, lt=2**32, description="Of simulations.", json_schema_extra=UNLISTED)

    @model_validator(mode="after")
    def _complete(self) -> PortfolioParams:
        missing = [name for name in _NEEDED.get(self.action, ()) if getattr(self, name) is None]
        if missing:
            raise ValueError(f"{self.action} needs {' and '.join(missing)}")
        if self.action in _POSITIVE_AMOUNTS and self.amount is not None and self.amount <= 0:
            raise ValueError("amount: must be above 0")
        if self.action == "edit_position" and all(getattr(self, name) is None for name in _CHANGES_OF_EDIT):
            raise ValueError(f"edit_position needs one of {', '.join(_CHANGES_OF_EDIT)}")
        if self.action == "record_trade" and self.side not in ("buy", "sell"):
            raise ValueError("side: a trade is a buy or a sell")
        if self.market == "spot" and (self.leverage or 1) != 1:
            raise ValueError("leverage: only perpetuals have it")
        if self.market == "spot" and self.action == "add_position" and self.side in ("sell", "short"):
            raise ValueError("side: a short position needs market perpetual")
        return self

    @property
    def reads(self) -> bool:
        """Whether nothing is changed."""
        return self.action in READING


class SampleParams(Contract):
    """Which moment to sample."""

    at: AwareDatetime = Field(description="The sampled moment; one sample a portfolio and moment.")


class SampledEquity(Contract):
    """What became of a sampling."""

    kept: int = Field(description="Portfolios whose equity is kept.")
    skipped: int = Field(description="Portfolios with a position that has no price.")


class PortfolioPictureParams(Contract):
    """Which portfolio to draw."""

    portfolio_id: str = Field("default", pattern=PortfolioId, description="Which.")
    theme: ChartTheme = Field("dark", description="Background of the picture.")


class PortfolioPicture(Contract):
    """A picture of a portfolio."""

    portfolio_id: str = Field(description="Which.")
    version: int = Field(description="Of the portfolio.")
    drawn_at: datetime = Field(description="When it was drawn, UTC.")
    png: str = Field(description="The picture, 1080 x 1350 pixels, base64.")


class Sparse(Contract):
    """A part of an answer that leaves out what has no value."""

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: Any):  # type: ignore[no-untyped-def]
        return {name: value for name, value in serialize(self).items() if value is not None and value not in ([], {})}


class PositionView(Sparse):
    """A position at market."""

    symbol: str = Field(description="As the exchange spells it.")
    market: MarketKind
    side: Literal["long", "short"]
    size: Exact = Field(description="Base asset, above zero.")
    entry_price: Exact = Field(description="Average of what is held.")
    current_price: Exact | None = Field(None, description="Absent where none is known: the position is unpriced.")
    value: Exact | None = Field(None, description="Size times price, negative for a short.")
    pnl: Exact | None = Field(None, description="Unrealised, before fees.")
    pnl_percent: float | None = Field(None, description="Unrealised over cost.")
    weight_percent: float | None = Field(None, description="Value over equity.")
    var_percent: float | None = Field(None, description="Share of the portfolio's VaR 95; negative hedges.")
    leverage: Exact | None = None
    liquidation_price: Exact | None = Field(None, description="By an assumed ladder, isolated.")
    liquidation_percent: float | None = Field(None, description="From the price to it.")
    days_to_exit: float | None = Field(None, description="At a tenth of a day's volume.")
    realised: Exact | None = Field(None, description="Of parts closed, before fees.")
    fees: Exact | None = None
    funding: Exact | None = None
    sector: str | None = None


class ProfitView(Sparse):
    """Gains since the beginning."""

    realised: Exact
    unrealised: Exact = Field(description="Of priced positions.")
    fees: Exact
    funding: Exact
    total: Exact = Field(description="realised + unrealised - fees + funding.")
    total_percent: float | None = Field(None, description="Over contributions.")
    by_day: dict[str, Exact] = Field({}, description="Realised less costs of the last days with any.")
    by_symbol: dict[str, Exact] = Field({}, description="Total of each, closed ones included; with `detail` full.")


class ExposureView(Sparse):
    """How much is in the market, percent of equity."""

    gross_percent: float
    net_percent: float
    long_percent: float
    short_percent: float
    by_sector: dict[str, float] = Field({})
    hhi: float = Field(description="Herfindahl index of absolute weights, 1 / n to 1.")
    effective_positions: float = Field(description="1 / hhi.")
    effective_bets: float | None = Field(None, description="Exponential entropy of the risk by principal portfolios.")


class RiskView(Sparse):
    """One-day risk of what is held now."""

    method: str
    var_95: Exact
    es_95: Exact
    var_99: Exact
    es_99: Exact
    var_95_percent: float = Field(description="Of equity.")
    volatility_percent: float = Field(description="A year, of equity.")
    beta_btc: float | None = None
    diversification: float | None = Field(None, description="Sum of single VaRs over VaR; 1 is none.")
    days: int = Field(description="Daily returns used.")
    methods: dict[str, dict[str, str]] = Field({}, description="VaR and ES of every method.")


class PerformanceView(Sparse):
    """Performance; `basis` says of what."""

    basis: Literal["equity_history", "current_holdings"] = Field(
        description="Sampled equity, or, until there is a month of it, what is held now over the days of returns."
    )
    max_drawdown: float = Field(description="Percent of the peak.")
    drawdown: float = Field(description="Now, percent.")
    sharpe_ratio: float | None = Field(None, description="Of daily returns, a year, riskless rate 0.")
    sortino_ratio: float | None = None
    time_weighted_percent: float | None = Field(None, description="Return without the effect of flows.")
    money_weighted_percent: float | None = Field(None, description="Internal rate of return, a year.")
    days: float


class StressView(Sparse):
    """A crash, applied to what is held now."""

    name: str
    loss: Exact = Field(description="Positive is a loss.")
    loss_percent: float = Field(description="Of equity.")
    worst: str | None = Field(None, description="Position that loses most.")
    proxied: list[str] = Field([], description="Symbols that had no price then: BTC's fall is taken.")


class MonteCarloView(Sparse):
    """Simulated days with fat tails that come together."""

    paths: int
    var_95: Exact
    es_95: Exact
    var_99: Exact
    es_99: Exact
    worst: Exact
    degrees_of_freedom: float
    seed: int


class CorrelationView(Sparse):
    """Correlations of daily returns, shrunk."""

    symbols: list[str]
    matrix: list[list[float]]
    shrinkage: float = Field(description="Weight of the constant-correlation target (Ledoit and Wolf 2004).")
    mean: float


class TradeView(Sparse):
    """A trade of a suggestion."""

    symbol: str
    market: MarketKind
    side: Literal["buy", "sell"]
    quantity: Exact
    notional: Exact


class RebalanceView(Sparse):
    """Weights of an objective, and the trades to them; suggestions, never orders."""

    objective: Objective
    weights_percent: dict[str, float]
    trades: list[TradeView]
    cost: Exact = Field(description="Fees and slippage of all trades, at 0.15 % of notional.")
    var_95_before: Exact
    var_95_after: Exact


class Suggestion(Sparse):
    """Something to consider, with its reason and numbers."""

    code: str
    severity: Severity
    message: str
    trade: TradeView | None = None


class LineProblem(Contract):
    """A line of a file that was not taken."""

    line: int
    code: str
    message: str


class ImportView(Sparse):
    """What a file holds, or what was taken from it."""

    file_format: str
    trades: int = Field(description="Taken, or that would be.")
    symbols: list[str]
    first: datetime | None = None
    last: datetime | None = None
    deposited: Exact = Field(description="Cash the trades needed beyond what there was, booked as deposits.")
    rejected: int = 0
    errors: list[LineProblem] = Field([], description="The first fifty.")
    notes: list[str] = Field([])


class EntryView(Sparse):
    """An entry of the ledger."""

    seq: int
    kind: str
    at: datetime
    job_id: str
    data: dict[str, Any]
    seal: str


class EquityPoint(Sparse):
    """Equity at a time."""

    at: datetime
    equity: Exact
    drawdown: float | None = Field(None, description="Percent of the peak before, flows taken out.")


class HistoryView(Sparse):
    """Equity over time."""

    points: Annotated[list[EquityPoint], Brief(rows=-12)]
    samples: int
    flows: Exact = Field(description="Contributions less withdrawals, all.")


class PortfolioEntry(Sparse):
    """A portfolio in a list."""

    portfolio_id: str
    name: str | None = None
    version: int
    positions: int
    last_updated: datetime


class PricesView(Sparse):
    """Where prices and returns come from."""

    source: str
    at: datetime | None = Field(None, description="Of the oldest price used.")
    age_seconds: Annotated[float | None, KEPT] = None
    returns: str | None = Field(None, description="Daily bars behind the risk figures.")


_OF_A_POSITION = (
    "symbol", "market", "side", "size", "current_price", "pnl", "pnl_percent", "weight_percent", "var_percent",
    "leverage", "liquidation_percent",
)  # fmt: skip


class PortfolioReport(Sparse):
    """The portfolio as it stands, or what an action did to it."""

    action: Action
    portfolio_id: str
    timestamp: datetime
    version: int | None = None
    name: str | None = None
    currency: str | None = None
    equity: Exact | None = Field(None, description="Cash, spot at market, and gains of perpetuals; priced ones only.")
    cash: Exact | None = None
    contributions: Exact | None = None
    positions: Annotated[list[PositionView], Brief(only=_OF_A_POSITION, rows=6)] = Field(
        [], description="Largest first; ten unless `detail` is full."
    )
    positions_total: int | None = None
    pnl: ProfitView | None = None
    exposure: ExposureView | None = None
    risk: Annotated[RiskView | None, KEPT] = None
    performance: PerformanceView | None = None
    suggestions: Annotated[list[Suggestion], KEPT] = Field([])
    unpriced: Annotated[list[str], KEPT] = Field([], description="No price known: not in equity nor in any ratio.")
    left_out: Annotated[list[str], KEPT] = Field([], description="Too short a history for the risk figures.")
    stress: list[StressView] = Field([])
    monte_carlo: MonteCarloView | None = None
    correlation: CorrelationView | None = None
    rebalance: RebalanceView | None = None
    imported: ImportView | None = None
    history: HistoryView | None = None
    entries: Annotated[list[EntryView], Brief(only=("seq", "kind", "at", "data"), rows=-10)] = Field([])
    portfolios: list[PortfolioEntry] = Field([])
    realised: Exact | None = Field(None, description="By this trade.")
    data: PricesView | None = None
