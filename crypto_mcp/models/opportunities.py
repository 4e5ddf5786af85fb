"""`detect_opportunities`: parameters and result."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from crypto_mcp.models.analysis import Detail, Provenance, Side
from crypto_mcp.models.answers import Contract
from crypto_mcp.models.brevity import KEPT, ON_REQUEST
from crypto_mcp.models.scans import LeftOut, ScanSide, Timeframes, UniverseParams, UniverseRules
from crypto_mcp.models.symbols import SymbolName
from crypto_mcp.models.timeframes import Timeframe

Profile = Literal["conservative", "balanced", "aggressive"]
ZoneKind = Literal["order block", "gap", "level"]
Standing = Literal["in_zone", "waiting"]


class OpportunityParams(Contract):
    """Where to look for trades, and which are wanted."""

    symbols: list[SymbolName] = Field([], max_length=50, description="The whole universe if empty.")
    timeframes: Timeframes = Field(
        [Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1],
        min_length=2,
        max_length=4,
        description="Held against each other; the shortest is traded.",
    )
    side: ScanSide = Field("any", description="Of the trade.")
    min_reward_risk: float = Field(1.5, ge=0.5, le=10, description="Least way to a target over way to the stop.")
    profile: Profile = Field(
        "balanced",
        description="How picky.",
    )
    universe: UniverseRules = Field(default_factory=UniverseParams, description="As of market_scanner.")
    limit: int = Field(3, ge=1, le=30, description="Listed at most.")
    detail: Detail = Field("summary", description="`full` adds readings and every zone.")

    @field_validator("timeframes")
    @classmethod
    def _each_once(cls, timeframes: list[Timeframe]) -> list[Timeframe]:
        ordered = sorted(set(timeframes), key=lambda timeframe: timeframe.milliseconds)
        if len(ordered) < 2:
            raise ValueError("give at least two different timeframes")
        return ordered


class PriceTarget(Contract):
    """Where profit is taken: a price at which the other side waits."""

    price: float
    reward_risk: float = Field(description="Way to it over way to the stop, from the middle of the entry zone.")
    what: str = Field(description="What waits there.")


class QualityPart(Contract):
    """One reason behind the quality; the parts add up to it."""

    name: str
    points: float
    most: float
    reading: str


class Opportunity(Contract):
    """A trade that several timeframes agree on. Never an order, and not financial advice."""

    symbol: str
    side: Side
    standing: Standing = Field(description="Whether price is in the entry zone, or has yet to come back to it.")
    quality: float = Field(ge=0, le=10, description="The sum of its parts; docs/scanner.md.")
    probability: float = Field(ge=0, le=100, description="Percent, counted on past bars; `basis` says of what.")
    basis: str
    price: float = Field(description="Last close.")
    entry_low: float
    entry_high: float
    stop: float
    targets: list[PriceTarget] = Field(description="The nearest first.")
    reward_risk: float = Field(description="Of the first target that pays what was asked for.")
    risk_percent: float = Field(description="From the middle of the entry zone to the stop.")
    invalidation: str
    expires_at: datetime = Field(description="Look again by then, UTC.")
    zones: list[str] = Field(description="What the entry is made of, the longest timeframe first.")
    trends: Annotated[dict[Timeframe, Literal["up", "down", "none"]], ON_REQUEST] = Field(description="Of structure.")
    conflicts: Annotated[list[str], KEPT] = Field(description="What speaks against it.")
    quality_parts: list[QualityPart] | None = Field(None, description="Only with `detail` full.")
    alert: dict[str, str] = Field(description="Symbol, timeframe and condition for alert_manager.")
    backtest: Annotated[dict[str, Any], ON_REQUEST] = Field(
        description="Parameters for historical_backtest: trades of this kind on the past."
    )


class Opportunities(Contract):
    """The answer: what was found, and what was not taken and why."""

    timestamp: datetime
    timeframes: list[Timeframe]
    profile: Profile
    data: list[Provenance] | None = Field(None, description="Bars of each opportunity's symbol; with `detail` full.")
    source: str = Field(description="`binance`, or `sandbox` for replayed and generated data.")
    note: Annotated[str | None, KEPT] = Field(None, description="What else a reader must know of the data.")
    last_bar: datetime = Field(description="Close of the newest bar of the shortest timeframe, UTC.")
    looked_at: int = Field(description="Symbols whose bars of one timeframe were looked at.")
    examined: int = Field(description="Symbols that were looked at on all timeframes.")
    found: int = Field(description="Opportunities; the best are listed.")
    rejected: dict[str, int] = Field(description="Setups that were not taken, by reason.")
    left_out: list[LeftOut] = Field(description="Symbols that were not looked at, and why.")
    opportunities: list[Opportunity] = Field(description="The best first.")
