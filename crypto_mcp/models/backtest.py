"""`historical_backtest`: parameters and result."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from crypto_mcp.models.analysis import Detail, Provenance
from crypto_mcp.models.answers import UNLISTED, Contract, unit
from crypto_mcp.models.backtest_statistics import Drawdown, Statistics, Year
from crypto_mcp.models.brevity import KEPT, ON_REQUEST, Brief
from crypto_mcp.models.charts import ChartTheme
from crypto_mcp.models.luck import MonteCarlo, SearchReport, SearchSpec, Verdict, WalkForwardReport, WalkForwardSpec
from crypto_mcp.models.strategy import ParameterName, Strategy
from crypto_mcp.models.symbols import SymbolName
from crypto_mcp.models.timeframes import Timeframe

MOST_SYMBOLS, MOST_BARS, MOST_LEVERAGE = 20, 600_000, 125.0

Market = Literal["spot", "perpetual"]
ReportForm = Literal["html", "trades", "equity"]
Reason = Literal["signal", "reverse", "stop", "trailing", "break_even", "target", "time", "liquidation", "end"]


def _in_utc(moment: object) -> object:
    """A day, or a time without its zone, is UTC as everything here is."""
    try:
        at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    except ValueError:
        return moment
    return at.replace(tzinfo=UTC) if isinstance(at, datetime) and at.tzinfo is None else moment


Moment = Annotated[AwareDatetime, BeforeValidator(_in_utc)]


class Costs(Contract):
    """What trading costs. Percentages of the traded amount unless said otherwise."""

    maker_fee: float = Field(0.1, ge=0, le=5, description="Of targets, which rest as limit orders.")
    taker_fee: float = Field(0.1, ge=0, le=5, description="Of everything else.")
    spread: float = Field(0.0, ge=0, le=5, description="Between bid and ask; half of it is paid each way.")
    slippage: float = Field(0.02, ge=0, le=5, description="Fixed, of market orders and stops.")
    slippage_atr: float = Field(0.0, ge=0, le=100, description="By volatility: percent of the ATR besides.")
    impact: float = Field(
        0.0, ge=0, le=100, description="By volume: percent, times the root of the order's share of the bar's volume."
    )
    funding: float | None = Field(
        None, ge=-1, le=1, description="On perpetuals: as it was paid; or a constant percent at 0, 8 and 16 h UTC."
    )
    maintenance_margin: float = Field(
        0.5, gt=0, le=50, description="Percent of the position below which it is liquidated."
    )


# Written out, these two would be most of what a model reads of all tools; docs/backtesting.md has every field.
_NAME_OR_OBJECT, _OBJECT = {"anyOf": [{"type": "string"}, {"type": "object"}]}, {"type": "object"}
_STRATEGY = (
    "ema_cross (moving averages), rsi_reversal, turtle, bollinger_squeeze, supertrend, order_block_retest, fvg_fill, "
    "choch_reversal, vwap_reversion, buy_and_hold; or {entry, exit, short_entry, short_exit: conditions such as "
    "'crosses_above(ema({fast}), ema(21))'; stop: '3%', '2 atr' or 'structure'; trailing: '5%'; break_even: '1R'; "
    "max_bars; targets: [{at: '2R', share: 50}]; sizing: {method: equity, fixed, risk, volatility or kelly, amount}; "
    "max_open; cooldown; session: {from_hour, to_hour, weekdays}; parameters: {fast: 9}}"
)
_SEARCH = (
    "{parameters: [{name, low, high, step}], method: grid, random or bayesian, trials, objective: sharpe, sortino, "
    "calmar or total_return, ordered: [['fast', 'slow']]}: the best, and whether it is luck."
)
_WALK_FORWARD = "{windows: 10, anchored: false, past: 4}: trades what the past chose; needs `search`."
_COSTS = (
    "Percent: maker_fee, taker_fee 0.1, slippage 0.02; spread, slippage_atr, impact, maintenance_margin, funding (as "
    "paid if left out)."
)


class BacktestParams(Contract):
    """What to test, on which bars, under which rules."""

    symbols: list[SymbolName] = Field(
        ..., min_length=1, max_length=MOST_SYMBOLS, description="One, or several that share the cash."
    )
    timeframe: Timeframe = Field(Timeframe.H1, description="Length of a bar.")
    start: Moment | None = Field(None, description="UTC; a year before the end by default.")
    end: Moment | None = Field(None, description="Now by default.")
    strategy: Annotated[str | Strategy, WithJsonSchema(_NAME_OR_OBJECT)] = Field("ema_cross", description=_STRATEGY)
    parameters: Annotated[dict[ParameterName, float], WithJsonSchema(_OBJECT)] = Field(
        {}, description="In place of its usual ones."
    )
    capital: float = Field(10_000, gt=0, le=1e12, description="Quote asset.")
    market: Market = Field("spot", description="Shorts and leverage: perpetual only.")
    leverage: float = Field(
        1, ge=1, le=MOST_LEVERAGE, description="Isolated margin.", json_schema_extra=unit("times the margin")
    )
    costs: Annotated[Costs, WithJsonSchema(_OBJECT)] = Field(default_factory=Costs, description=_COSTS)
    lookahead_check: bool | None = Field(
        None, description="Replay of truncated data; default: for your own.", json_schema_extra=UNLISTED
    )
    search: Annotated[SearchSpec, WithJsonSchema(_OBJECT)] | None = Field(None, description=_SEARCH)
    walk_forward: Annotated[WalkForwardSpec, WithJsonSchema(_OBJECT)] | None = Field(None, description=_WALK_FORWARD)
    monte_carlo: bool = Field(False, description="Simulates; a search always does.")
    chart: bool = Field(False, description="Also draws it.")
    detail: Detail = Field("summary", description="`full`: 200 trades, months, drawdowns.")

    @field_validator("symbols", mode="before")
    @classmethod
    def _one_or_several(cls, symbols: object) -> object:
        return [symbols] if isinstance(symbols, str) else symbols

    @field_validator("symbols")
    @classmethod
    def _each_once(cls, symbols: list[str]) -> list[str]:
        return list(dict.fromkeys(symbols))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.market == "spot" and self.leverage > 1:
            raise ValueError("spot has no leverage: give market perpetual")
        if isinstance(self.strategy, Strategy):
            if self.market == "spot" and self.strategy.short_entry is not None:
                raise ValueError("spot cannot be sold short: give market perpetual")
            searched = {parameter.name for parameter in self.search.parameters} if self.search else set()
            unknown = sorted((self.parameters.keys() | searched) - self.strategy.parameters.keys())
            if unknown:
                raise ValueError(f"the strategy has no parameter {unknown[0]}")
        if self.walk_forward is not None and self.search is None:
            raise ValueError("walk_forward needs a search: it says what is chosen from")
        return self._check_range()

    def _check_range(self) -> Self:
        if self.start is not None and self.end is not None:
            if self.start >= self.end:
                raise ValueError("start is not before end")
            bars = (self.end - self.start) / timedelta(milliseconds=self.timeframe.milliseconds)
            if bars * len(self.symbols) > MOST_BARS:
                raise ValueError(
                    f"{bars * len(self.symbols):,.0f} bars are asked for, at most {MOST_BARS:,} are tested"
                )
        if self.start is not None and self.start >= datetime.now(UTC):
            raise ValueError("start lies in the future")
        return self


class Trade(Contract):
    """A position from its opening to its end."""

    symbol: str
    side: Literal["long", "short"]
    opened: datetime = Field(description="Start of the bar at whose open it was entered, UTC.")
    closed: datetime = Field(description="Start of the bar in which it ended, UTC.")
    bars: int = Field(description="Bars from the one to the other.")
    entry: float = Field(description="Price paid, spread and slippage included.")
    exit: float = Field(description="Mean price of its exits.")
    quantity: float = Field(description="Base asset.")
    pnl: float = Field(description="Net of fees and funding, quote asset.")
    pnl_percent: float = Field(description="Of what was put up.")
    fees: float = Field(description="Quote asset.")
    funding: float = Field(description="Paid; negative: received. Quote asset.")
    r: float | None = Field(description="Net result over what the stop risked; null without a stop.")
    mae_percent: float = Field(description="Worst price while open, against the entry.")
    mfe_percent: float = Field(description="Best price while open, against the entry.")
    opened_by: str = Field(description="The condition that opened it.")
    closed_by: Reason


class BacktestSummary(Contract):
    """The figures that are looked at first."""

    final_equity: float = Field(description="Quote asset.")
    return_percent: float = Field(description="On the capital.")
    buy_and_hold_percent: float = Field(description="Of the symbols, held from the first open to the last close.")
    max_drawdown_percent: float = Field(description="Deepest fall of equity from a peak, at closes.")
    trades: int
    win_rate_percent: float | None = Field(description="Trades with a net gain; null without trades.")
    fees: float = Field(description="Quote asset.")
    funding: float = Field(description="Paid; negative: received. Quote asset.")
    exposure_percent: float = Field(description="Share of bars with a position open.")
    liquidations: int


class TestRules(Contract):
    """On what, and under which rules of the market, it was tested."""

    __test__ = False

    start: datetime = Field(description="First bar that was traded, UTC.")
    end: datetime = Field(description="Bars that had closed by then.")
    capital: float
    market: Market
    leverage: float
    costs: Costs


class BacktestResult(Contract):
    """What became of the capital, and what was assumed."""

    backtest_job_id: str = Field(description="Job that tested it, whose report, picture and trades there are.")
    timestamp: datetime = Field(description="When it was calculated, UTC.")
    strategy: Strategy = Field(description="As tested; built-in ones written out.")
    parameters: dict[str, float] = Field(description="Values that the strategy was tested with.")
    rules: TestRules
    data: Annotated[list[Provenance], Brief(rows=1)] = Field(description="Where the bars come from, a symbol each.")
    summary: Annotated[BacktestSummary, KEPT]
    statistics: Annotated[
        Statistics, Brief(only=("cagr", "volatility", "sharpe", "sortino", "profit_factor", "expectancy_r"))
    ]
    verdict: Annotated[
        Verdict, Brief(only=("finding", "sentence", "reasons", "chance", "trials", "probability_of_overfitting"))
    ]
    monte_carlo: MonteCarlo | None = Field(None, description="Where it was asked for, and of every search.")
    search: Annotated[SearchReport | None, KEPT] = Field(None, description="The heat map only with detail full.")
    walk_forward: Annotated[WalkForwardReport | None, KEPT] = None
    trades: Annotated[list[Trade], ON_REQUEST] = Field(description="The newest, oldest of them first.")
    drawdowns: list[Drawdown] | None = Field(None, description="The deepest, with detail full.")
    months: list[Year] | None = Field(None, description="Returns by month, with detail full.")
    lookahead_replays: Annotated[int, KEPT] = Field(
        description="Replays on data that ends earlier, all with the same decisions."
    )
    assumptions: Annotated[list[str], ON_REQUEST] = Field(description="Every rule of the market that was played by.")
    warnings: Annotated[list[str], KEPT] = Field(description="What weakens the result.")


BacktestJob = Annotated[str, Field(max_length=64, description="Job of historical_backtest whose result it is.")]


class BacktestPictureParams(Contract):
    """Which backtest to draw."""

    job_id: BacktestJob
    theme: ChartTheme = Field("dark", description="Background of the picture.")


class BacktestPicture(Contract):
    """A picture of a backtest."""

    data: Provenance = Field(description="Where the bars come from; of several symbols the first.")
    theme: ChartTheme = Field(description="Background of the picture.")
    drawn_at: datetime = Field(description="When it was drawn, UTC.")
    png: str = Field(description="The picture, 1080 x 1350 pixels, base64.")


class BacktestReportParams(Contract):
    """Which backtest to report on, and how."""

    job_id: BacktestJob
    form: ReportForm = Field("html", description="One page for a browser; or tables of all trades, of every bar.")


class BacktestReport(Contract):
    """A report as a file."""

    name: str = Field(description="Of the file.")
    media_type: str
    text: str


class BacktestPart(Contract):
    """A part of a search, made by the job it belongs to and worked by whichever worker is free."""

    parent: str = Field(description="Job that waits for it.")
    params: BacktestParams = Field(description="Of the parent, with its range of time fixed.")
    data: str = Field(description="Digest of the bars: every part must see the same.")
    what: Literal["trials", "windows"] = Field(description="Rows of the search, or windows of the walk-forward.")
    first: int = Field(ge=0, description="First of them.")
    last: int = Field(ge=1, description="The one after the last.")


class BacktestPartResult(Contract):
    """What a part found."""

    packed: str = Field(description="Arrays in base64, as `crypto_mcp.backtest.parts` packs them.")
