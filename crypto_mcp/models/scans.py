"""`market_scanner`: parameters and result."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, WithJsonSchema, field_validator, model_validator

from crypto_mcp.models.analysis import Detail
from crypto_mcp.models.answers import Contract
from crypto_mcp.models.brevity import KEPT, ON_REQUEST, Brief
from crypto_mcp.models.charts import ChartTheme
from crypto_mcp.models.symbols import SymbolName
from crypto_mcp.models.timeframes import Timeframe

ScanType = Literal[
    "opportunities",
    "momentum",
    "breakout",
    "reversal",
    "oversold",
    "overbought",
    "volume_spike",
    "volatility_squeeze",
    "order_block_retest",
    "fvg_open",
    "trend_strength",
    "new_high_low",
    "funding_extreme",
    "correlation_break",
    "custom",
]
ScanSide = Literal["any", "long", "short"]
Bias = Literal["long", "short", "neutral"]


class UniverseParams(Contract):
    """Which symbols to look at."""

    quote: str = Field("USDT", pattern=r"^[A-Za-z0-9]{2,10}$", description="Quote asset.")
    min_volume: float = Field(0, ge=0, description="Least volume of the last 24 hours, quote asset.")
    max_rank: int | None = Field(None, ge=1, le=1000, description="Only coins up to this market cap rank.")
    category: str | None = Field(None, max_length=80, description="Only coins of this CoinGecko category id.")
    only: list[SymbolName] = Field([], max_length=500, description="White list: look at these alone.")
    exclude: list[SymbolName] = Field([], max_length=500, description="Black list.")
    stablecoins: bool = Field(False, description="Also stablecoins and fiat.")
    leveraged: bool = Field(False, description="Also leveraged tokens.")

    @field_validator("quote")
    @classmethod
    def _upper(cls, quote: str) -> str:
        return quote.upper()


Timeframes = Annotated[list[Timeframe], WithJsonSchema({"type": "array", "items": {"type": "string"}})]

# Written out it would be most of what a model reads of two tools; docs/scanner.md has every field.
UniverseRules = Annotated[UniverseParams, WithJsonSchema({"type": "object"})]


class ScanParams(Contract):
    """What to look for, and where."""

    scan_type: ScanType = Field("opportunities", description="What to look for.")
    timeframes: Timeframes = Field(
        [Timeframe.H1], min_length=1, max_length=3, description="A symbol must match on all; the first ranks."
    )
    condition: str | None = Field(
        None,
        max_length=1000,
        description="Must hold too, such as `rsi(14) < 30`, `close > ema(200)`; all there is of `custom`.",
    )
    side: ScanSide = Field("any", description="`long`: only what points up.")
    universe: UniverseRules = Field(
        default_factory=UniverseParams,
        description="{quote, min_volume, max_rank, category, only, exclude, stablecoins, leveraged}",
    )
    limit: int = Field(8, ge=1, le=100, description="Listed at most.")
    detail: Detail = Field("summary", description="`full` adds every fact and the closes.")
    chart: bool = Field(False, description="Also a picture.")

    @model_validator(mode="after")
    def _custom_has_a_condition(self) -> Self:
        if self.scan_type == "custom" and not (self.condition or "").strip():
            raise ValueError("scan_type custom needs a condition, such as rsi(14) < 30")
        return self

    @field_validator("timeframes")
    @classmethod
    def _each_once(cls, timeframes: list[Timeframe]) -> list[Timeframe]:
        return list(dict.fromkeys(timeframes))


class KeyLevels(Contract):
    """Prices that the next bars may turn at, quote asset."""

    support: float | None = Field(None, description="The nearest below.")
    resistance: float | None = Field(None, description="The nearest above.")
    demand: tuple[float, float] | None = Field(None, description="The nearest demand zone, bottom and top.")
    supply: tuple[float, float] | None = Field(None, description="The nearest supply zone, bottom and top.")


class ScanRow(Contract):
    """A symbol that matched."""

    symbol: str = Field(description="As the exchange spells it.")
    side: Bias = Field(description="The way it points.")
    score: float = Field(ge=0, le=10, description="How pronounced it is; the scan's `ranked_by` says of what.")
    price: float = Field(description="Last close, quote asset.")
    change_percent: float | None = Field(None, description="Over 24 hours; null where history is shorter.")
    volume: float = Field(description="Of the last 24 hours, quote asset.")
    why: list[str] = Field(description="The facts that matched.")
    levels: Annotated[KeyLevels, Brief(only=("support", "resistance"))] = Field(
        description="Where the next bars may turn."
    )
    spark: Annotated[str, ON_REQUEST] = Field(description="The last 16 closes as a picture.")
    closes: list[float] | None = Field(None, description="Those closes; only with `detail` full.")


class LeftOut(Contract):
    """Symbols that were not looked at, and why."""

    why: str = Field(description="The reason.")
    count: int = Field(description="How many.")
    symbols: Annotated[list[str], ON_REQUEST] = Field(description="Some of them; all with `detail` full.")


class ScanData(Contract):
    """Where the bars come from."""

    source: str = Field(description="`binance`, or `sandbox` for replayed and generated data.")
    timeframes: list[Timeframe] = Field(description="Lengths of the bars.")
    bars: int = Field(description="Closed bars looked at, of each symbol and timeframe, at most.")
    last_bar: datetime = Field(description="Close of the newest bar of the first timeframe, UTC.")
    age_seconds: Annotated[float, KEPT] = Field(description="From that close to the scan.")
    note: Annotated[str | None, KEPT] = Field(None, description="What else a reader must know of the data.")


class MarketScan(Contract):
    """The answer of a scan."""

    scan_type: ScanType
    timestamp: datetime = Field(description="When it was made, UTC.")
    looks_for: str = Field(description="In words.")
    conditions: dict[str, str] = Field(description="By side, ready for an alert or a backtest; two scans have none.")
    ranked_by: str = Field(description="What the score measures.")
    data: ScanData
    listed: int = Field(description="Symbols on the exchange's list.")
    looked_at: int = Field(description="Symbols whose bars were looked at.")
    matched: int = Field(description="Symbols that matched; the best are in `rows`.")
    left_out: list[LeftOut] = Field(description="The most first.")
    rows: list[ScanRow] = Field(description="The highest score first.")


class ScanPictureParams(Contract):
    """Which scan to draw."""

    scan: MarketScan = Field(description="The answer of market_scanner.")
    theme: ChartTheme = Field("dark", description="Background of the picture.")


class ScanPicture(Contract):
    """A picture of a scan."""

    scan_type: ScanType
    theme: ChartTheme = Field(description="Background of the picture.")
    drawn_at: datetime = Field(description="When it was drawn, UTC.")
    png: str = Field(description="The picture, 1080 x 1350 pixels, base64.")
