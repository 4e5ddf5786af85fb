"""`analyze_crypto`: parameters and result."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, field_validator

from crypto_mcp.models.answers import Contract, absent, only_full
from crypto_mcp.models.brevity import KEPT, Brief
from crypto_mcp.models.structure import Gap, OrderBlock, StructureDetails
from crypto_mcp.models.symbols import SymbolName
from crypto_mcp.models.timeframes import Timeframe

Trend = Literal["bullish_strong", "bullish", "neutral", "bearish", "bearish_strong"]
Volatility = Literal["low", "moderate", "high", "extreme"]
Mood = Literal["bearish", "slightly_bearish", "neutral", "slightly_bullish", "bullish"]
Movement = Literal["trend", "range", "breakout"]
Energy = Literal["calm", "normal", "wild"]
Side = Literal["long", "short"]
Detail = Literal["summary", "full"]
Action = Literal["STRONG_BUY", "BUY", "HOLD", "SELL", "STRONG_SELL"]


CONFIDENCE = (
    "Percent of like calls on past bars that reached target 1 before the stop within 48 bars; for HOLD, of trades to "
    "the leaning side that would not have. 50 is a coin toss."
)


class AnalyzeParams(Contract):
    """What to analyse."""

    symbol: SymbolName
    timeframe: Timeframe = Field(Timeframe.H1, description="Length of a bar.")
    bars: int = Field(500, ge=100, le=1000, description="Closed bars to look at.")
    detail: Detail = Field("summary", description="`full` adds the readings.")
    compare: list[Timeframe] = Field([], max_length=4, description="Timeframes to hold against it: adds a confluence.")

    chart: bool = Field(False, description="Also draws the chart.")

    @field_validator("compare", mode="before")
    @classmethod
    def _listed(cls, compare: object) -> object:
        return compare.replace(",", " ").split() if isinstance(compare, str) else compare

    @field_validator("compare")
    @classmethod
    def _each_once(cls, compare: list[Timeframe]) -> list[Timeframe]:
        return sorted(set(compare), key=lambda timeframe: timeframe.milliseconds)


class Provenance(Contract):
    """Where the data of a result comes from. No result without it."""

    source: str = Field(description="`binance`, or `sandbox` for replayed and generated data.")
    symbol: str = Field(description="As the exchange spells it.")
    timeframe: Timeframe = Field(description="Length of a bar.")
    bars: int = Field(description="Closed bars used.")
    first_bar: datetime = Field(description="Start of the oldest bar, UTC.")
    last_bar: datetime = Field(description="Start of the newest closed bar, UTC.")
    last_bar_closed: bool = Field(description="Always true: a bar still open is dropped.")
    age_seconds: Annotated[float, KEPT] = Field(description="From the close of the last bar to the calculation.")
    note: Annotated[str | None, KEPT] = Field(
        None, exclude_if=absent, description="What else a reader must know of the data, such as a time shift."
    )


class AnalysisSummary(Contract):
    """The figures that are looked at first."""

    trend: Trend = Field(description="Over 20, 50 and 90 bars together.")
    volatility: Volatility = Field(description="Against its own history in these bars.")
    confidence: float = Field(ge=0, le=100, description=CONFIDENCE)
    intelligent_score: float = Field(ge=0, le=10, description="0 bearish, 5 neutral, 10 bullish.")
    sentiment: Mood = Field(description="What buyers and sellers did lately.")
    movement: Movement = Field(description="How price moves, the likeliest of three.")
    energy: Energy = Field(description="How wildly, against its own history in these bars.")


class TrendHorizon(Contract):
    """The trend over one window of bars."""

    bars: int = Field(description="Length of the window.")
    change_percent: float = Field(description="Close now against the close that many bars ago.")
    slope_z: float = Field(description="Regression slope in standard errors of a driftless random walk.")
    direction: float = Field(ge=-1, le=1, description="Slope and moving averages together, -1 down to 1 up.")


class TrendReading(Contract):
    """What the trend class is read from."""

    value: float = Field(ge=-1, le=1, description="-1 strongest downtrend, 1 strongest uptrend.")
    horizons: list[TrendHorizon] = Field(description="Short, medium, long.")
    adx: float = Field(description="Average directional index, 14 bars, 0 to 100; above 25 a trend is usual.")
    swings: Literal["rising", "falling", "mixed"] = Field(description="Last two swing highs and lows.")


class VolatilityReading(Contract):
    """What the volatility class is read from."""

    annual_percent: float = Field(description="Yang-Zhang realised volatility over 20 bars, a year, percent.")
    percentile: float = Field(ge=0, le=100, description="Its rank among its own values in the bars looked at.")
    parkinson_percent: float = Field(description="Parkinson (high-low) realised volatility, a year, percent.")
    atr: float = Field(description="Average true range over 14 bars, quote asset.")
    atr_percent: float = Field(description="ATR as percent of the last close.")


class Regime(Contract):
    """How price moves at present."""

    movement: Movement = Field(description="The likeliest of the three.")
    energy: Energy = Field(description="The likeliest of the three, by realised volatility against its own history.")
    movement_probabilities: dict[Movement, float] = Field(description="Adding up to 1.")
    energy_probabilities: dict[Energy, float] = Field(description="Adding up to 1.")
    efficiency_ratio: float = Field(description="Net move over path walked, 30 bars, 0 to 1 (Kaufman).")
    variance_ratio: float = Field(description="Variance of 5-bar returns against 5 times that of 1-bar; walk: 1.")
    range_break: float = Field(description="Distance outside the range of the bars before, in ATR; 0 inside.")


class MarketMood(Contract):
    """What is known of the market beside the bars; any of it may be missing."""

    funding_percent: float | None = Field(None, description="Funding of perpetuals for 8 hours, percent.")
    open_interest_percent: float | None = Field(None, description="Change of open interest over 24 hours, percent.")
    fear_greed: float | None = Field(None, ge=0, le=100, description="Fear and greed index, 100 greedy.")


class MoodPart(Contract):
    """One ingredient of sentiment."""

    name: str = Field(description="`price`, `volume`, `funding`, `open_interest` or `fear_greed`.")
    value: float = Field(ge=-1, le=1, description="-1 bearish to 1 bullish.")
    share: float = Field(ge=0, le=1, description="Part it has in the whole.")
    reading: str = Field(description="The figure in words.")
    source: str = Field("bars", description="Who told it: the bars, or a source beside them.")


class Sentiment(Contract):
    """What buyers and sellers did lately, apart from where the trend points."""

    value: float = Field(ge=-1, le=1, description="-1 bearish to 1 bullish.")
    parts: list[MoodPart] = Field(description="Those that something was known of.")
    missing: dict[str, str] = Field(
        description="Parts that nothing was known of, and why; their shares went to the others."
    )


class Factor(Contract):
    """One reason behind the score."""

    name: str = Field(description="Of the seven in docs/analysis-score.md.")
    weight: float = Field(ge=0, le=1, description="Share of the score, by how price moves.")
    contribution: float = Field(description="Points it moved the score from neutral, on the 0-10 scale.")
    reading: str | None = only_full("The figures it is read from, in words.")
    value: float | None = only_full("The figure itself.")
    unit: str | None = only_full("Of the value.")


class Level(Contract):
    """A price that was turned at before."""

    level: float = Field(description="Mean price of its swings, quote asset.")
    touches: int = Field(description="Swings that turned there.")
    distance_percent: float = Field(description="From the last close; negative below it.")
    last_touch: datetime | None = only_full("Start of the bar of the newest swing, UTC.")


class Recommendation(Contract):
    """What the figures add up to. Not financial advice, and never an order."""

    action: Action = Field(description="From the score: BUY from 6, STRONG_BUY from 7.5, mirrored below 5.")
    confidence: float = Field(ge=0, le=100, description=CONFIDENCE)
    reasoning: str = Field(description="What speaks for a rise and a fall, and how like calls fared.")


class TradePlan(Contract):
    """How the recommendation would be traded; prices in quote asset."""

    side: Side = Field(description="The way price is to go.")
    entry_low: float = Field(description="Entry zone from here.")
    entry_high: float = Field(description="To here.")
    stop: float = Field(description="Behind the nearest structure that is 0.75 to 3 ATR away, else at 2 ATR.")
    target_1: float = Field(description="As far from the last close as the stop. Confidence is about this one.")
    target_2: float = Field(description="At the next structure 1.5 to 4 risks away, else at 2 risks.")
    risk_percent: float = Field(description="From the last close to the stop.")
    reward_risk: float = Field(description="Way to target 2 over way to the stop.")
    invalidation: str = Field(description="What ends the idea, in words.")
    valid_for_bars: int = Field(description="Look again after so many bars at the latest.")


class Flip(Contract):
    """A close of the next bar that would change the action."""

    action: Action = Field(description="What it would be then.")
    price: float = Field(description="Close of the next bar, quote asset.")
    distance_percent: float = Field(description="From the last close; negative below it.")


class TimeframeView(Contract):
    """What one timeframe says."""

    timeframe: Timeframe = Field(description="Length of a bar.")
    action: Action = Field(description="Of this timeframe alone.")
    intelligent_score: float = Field(ge=0, le=10, description="Of this timeframe alone.")
    trend: Trend = Field(description="Trend class.")
    movement: Movement = Field(description="How price moves there.")
    weight: float = Field(ge=0, le=1, description="Share of the joint score.")


class Confluence(Contract):
    """Several timeframes held against each other."""

    intelligent_score: float = Field(ge=0, le=10, description="Weighted mean of the scores.")
    action: Action = Field(description="Of the joint score.")
    agreement: float = Field(ge=0, le=100, description="100 when all lean one way, 0 when they cancel out.")
    views: list[TimeframeView] = Field(description="Shortest timeframe first.")
    reading: str = Field(description="Who leans which way, in words.")


class Details(Contract):
    """The readings behind the figures."""

    trend: TrendReading = Field(description="Behind the trend class.")
    volatility: VolatilityReading = Field(description="Behind the volatility class.")
    regime: Regime = Field(description="Behind movement and energy.")
    sentiment: Sentiment = Field(description="Behind the mood.")
    structure: StructureDetails = Field(description="Behind structure and zones.")
    indicators: dict[str, float | None] = Field(
        description=(
            "Last value of every indicator of docs/conditions.md at its usual settings, by its name there, with its "
            "unit there; conditions are 1 or 0. Null where history is too short."
        )
    )


class Assessment(Contract):
    """What the bars alone say: an analysis without its symbol, clock and source."""

    price: float = Field(description="Close of the last closed bar, quote asset.")
    analysis: AnalysisSummary = Field(description="The figures that are looked at first.")
    recommendation: Annotated[Recommendation, KEPT] = Field(description="What they add up to.")
    plan: Annotated[TradePlan | None, KEPT] = Field(None, exclude_if=absent, description="Absent for HOLD.")
    flips: list[Flip] = Field(description="What would change the action, nearest first, within 2 ATR.")
    factors: Annotated[list[Factor], Brief(only=("name", "contribution"))] = Field(
        description="intelligent_score is 5 plus their contributions."
    )
    support: list[Level] = Field(description="Below the price, nearest first.")
    resistance: list[Level] = Field(description="Above the price, nearest first.")
    order_blocks: Annotated[list[OrderBlock], Brief(only=("type", "top", "bottom", "strength", "state"))] = Field(
        description="The nearest of each side that no close has broken."
    )
    gaps: Annotated[list[Gap], Brief(only=("type", "top", "bottom", "fill_probability", "state"))] = Field(
        description="The nearest fair value gap of each side."
    )
    indicators: dict[str, float | None] = Field(
        description="Last value of the usual indicators, prices in quote asset; null where history is too short."
    )
    details: Details | None = only_full("The readings behind the figures.")


class Header(Contract):
    """What of an analysis the bars do not tell."""

    symbol: str = Field(description="As the exchange spells it.")
    timestamp: datetime = Field(description="When it was calculated, UTC.")
    timeframe: Timeframe = Field(description="Length of a bar.")
    data: Provenance = Field(description="Where the bars come from.")


class Analysis(Assessment, Header):
    """An analysis of one symbol on one timeframe, in the shape in which MongoDB keeps it."""

    confluence: Confluence | None = Field(
        None, exclude_if=absent, description="Only where `compare` named other timeframes."
    )

    @classmethod
    def of(
        cls, assessment: Assessment, *, timestamp: datetime, data: Provenance, confluence: Confluence | None = None
    ) -> Analysis:
        """The assessment under its header."""
        parts = {name: getattr(assessment, name) for name in Assessment.model_fields}
        header = {"symbol": data.symbol, "timestamp": timestamp, "timeframe": data.timeframe, "data": data}
        return cls(**header, **parts, confluence=confluence)
