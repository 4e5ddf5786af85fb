"""`analyze_crypto`: parameters and result."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from crypto_mcp.models.answers import Contract
from crypto_mcp.models.symbols import SymbolName
from crypto_mcp.models.timeframes import Timeframe

Trend = Literal["bullish_strong", "bullish", "neutral", "bearish", "bearish_strong"]
Volatility = Literal["low", "moderate", "high", "extreme"]
Action = Literal["STRONG_BUY", "BUY", "HOLD", "SELL", "STRONG_SELL"]


class AnalyzeParams(Contract):
    """What to analyse."""

    symbol: SymbolName
    timeframe: Timeframe = Field(Timeframe.H1, description="Length of a bar.")
    bars: int = Field(500, ge=100, le=1000, description="Closed bars to look at.")


class Provenance(Contract):
    """Where the data of a result comes from. No result without it."""

    source: str = Field(description="`binance`, or `sandbox` for replayed and generated data.")
    symbol: str
    timeframe: Timeframe
    bars: int = Field(description="Closed bars used.")
    first_bar: datetime = Field(description="Start of the oldest bar, UTC.")
    last_bar: datetime = Field(description="Start of the newest closed bar, UTC.")
    last_bar_closed: bool = Field(description="Always true: a bar still open is dropped.")
    age_seconds: float = Field(description="From the close of the last bar to the calculation.")
    note: str | None = Field(None, description="What else a reader must know of the data, such as a time shift.")


class AnalysisSummary(Contract):
    """The figures that are looked at first."""

    trend: Trend
    volatility: Volatility
    confidence: float = Field(ge=0, le=100, description="How far the factors agree, 0 to 100.")
    intelligent_score: float = Field(ge=0, le=10, description="0 bearish, 5 neutral, 10 bullish.")


class Factor(Contract):
    """One reason behind the score."""

    name: str
    value: float | None = Field(description="The figure the factor is read from.")
    unit: str
    weight: float = Field(ge=0, le=1, description="Share of the score.")
    contribution: float = Field(description="Points it moved the score from neutral, on the 0-10 scale.")
    reading: str = Field(description="The figure in words.")


class Level(Contract):
    """A price that was turned at before."""

    level: float
    touches: int
    distance_percent: float = Field(description="From the last close; negative below it.")
    last_touch: datetime


class OrderBlock(Contract):
    """A supply or demand zone."""

    level: float
    top: float
    bottom: float
    type: Literal["demand", "supply"]
    strength: float = Field(ge=0, le=100)
    timestamp: datetime


class Recommendation(Contract):
    """What the figures add up to. Not financial advice, and never an order."""

    action: Action
    confidence: float = Field(ge=0, le=100)
    reasoning: str


class Analysis(Contract):
    """An analysis of one symbol on one timeframe, in the shape in which MongoDB keeps it."""

    symbol: str
    timestamp: datetime = Field(description="When it was calculated, UTC.")
    timeframe: Timeframe
    price: float = Field(description="Close of the last closed bar, quote asset.")
    analysis: AnalysisSummary
    factors: list[Factor]
    indicators: dict[str, float | None] = Field(
        description="Last value of each indicator; null where history is too short."
    )
    support: list[Level]
    resistance: list[Level]
    order_blocks: list[OrderBlock]
    recommendation: Recommendation
    data: Provenance
