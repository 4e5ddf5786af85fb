"""`analyze_crypto`: parameters and result."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, field_validator

from crypto_mcp.models.answers import Contract
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
    detail: Detail = Field("summary", description="`full` adds the readings behind the figures.")
    compare: list[Timeframe] = Field(
        [], max_length=4, description="Other timeframes to hold against this one; the answer gets a confluence."
    )

    @field_validator("compare")
    @classmethod
    def _each_once(cls, compare: list[Timeframe]) -> list[Timeframe]:
        return sorted(set(compare), key=lambda timeframe: timeframe.milliseconds)


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
    confidence: float = Field(ge=0, le=100, description=CONFIDENCE)
    intelligent_score: float = Field(ge=0, le=10, description="0 bearish, 5 neutral, 10 bullish.")
    sentiment: Mood
    movement: Movement = Field(description="How price moves, the likeliest of three.")
    energy: Energy = Field(description="How wildly, against its own history in these bars.")


class TrendHorizon(Contract):
    """The trend over one window of bars."""

    bars: int
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

    name: str
    value: float = Field(ge=-1, le=1, description="-1 bearish to 1 bullish.")
    share: float = Field(ge=0, le=1, description="Part it has in the whole.")
    reading: str


class Sentiment(Contract):
    """What buyers and sellers did lately, apart from where the trend points."""

    value: float = Field(ge=-1, le=1, description="-1 bearish to 1 bullish.")
    parts: list[MoodPart]
    missing: list[str] = Field(description="Parts that nothing was known of; their shares went to the others.")


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
    """A supply or demand zone that no close has broken."""

    level: float = Field(description="The edge that price meets first.")
    top: float
    bottom: float
    type: Literal["demand", "supply"]
    strength: float = Field(ge=0, le=100, description="From displacement, volume and rejection.")
    confidence: float = Field(ge=0, le=100, description="Percent of like zones that held when price came back.")
    state: str = Field(description="`active`, `tested` or `mitigated` (price was at its middle).")
    timestamp: datetime = Field(description="Start of the candle it is made of.")


class Gap(Contract):
    """A fair value gap that price has not traded through."""

    type: Literal["bullish", "bearish"]
    top: float
    bottom: float
    strength: float = Field(ge=0, le=100, description="From height, volume and displacement.")
    fill_probability: float = Field(ge=0, le=100, description="Percent of like gaps filled within 50 bars from now.")
    entry: float = Field(description="Its near edge.")
    stop: float
    target: float
    reward_risk: float
    state: str = Field(description="`active`, `tested` or `mitigated` (half filled).")
    timestamp: datetime = Field(description="Start of its middle bar.")


class StructureBreak(Contract):
    """A break of structure (`bos`) or change of character (`choch`)."""

    kind: Literal["bos", "choch"]
    scope: Literal["internal", "external"]
    direction: Literal["bullish", "bearish"]
    level: float
    state: str = Field(description="`active`, `held`, or `failed` (price closed back).")
    timestamp: datetime


class Liquidity(Contract):
    """A price behind which stops are likely to rest."""

    kind: str = Field(description="`pool` of equal highs or lows, or the period whose high or low it is.")
    side: Literal["high", "low"]
    level: float
    touches: int
    swept: bool
    timestamp: datetime


class Sweep(Contract):
    """A wick beyond such a price on a bar that closed back."""

    kind: str
    direction: Literal["bullish", "bearish"] = Field(description="The way price is expected to turn.")
    level: float
    timestamp: datetime


class Bounds(Contract):
    """The dealing range between the last swing high and low."""

    top: float
    bottom: float
    position: float = Field(description="Of the last close, 0 at the bottom, 1 at the top.")
    place: Literal["premium", "equilibrium", "discount"]
    ote_low: float = Field(description="Optimal trade entry: 62 to 79 % retraced.")
    ote_high: float


class VolumeArea(Contract):
    """Where volume was traded."""

    point_of_control: float
    value_area_low: float
    value_area_high: float


class StructureDetails(Contract):
    """Structure as found in the bars; docs/analysis.md defines each kind."""

    dealing_range: Bounds | None
    breaks: list[StructureBreak] = Field(description="Newest first.")
    order_blocks: list[OrderBlock] = Field(description="Nearest first.")
    gaps: list[Gap] = Field(description="Nearest first.")
    liquidity: list[Liquidity] = Field(description="Nearest first.")
    sweeps: list[Sweep] = Field(description="Newest first.")
    volume: VolumeArea | None


class Recommendation(Contract):
    """What the figures add up to. Not financial advice, and never an order."""

    action: Action
    confidence: float = Field(ge=0, le=100, description=CONFIDENCE)
    reasoning: str


class TradePlan(Contract):
    """How the recommendation would be traded; prices in quote asset."""

    side: Side
    entry_low: float
    entry_high: float
    stop: float = Field(description="Behind the nearest structure that is 0.75 to 3 ATR away, else at 2 ATR.")
    target_1: float = Field(description="As far from the last close as the stop. Confidence is about this one.")
    target_2: float = Field(description="At the next structure 1.5 to 4 risks away, else at 2 risks.")
    risk_percent: float = Field(description="From the last close to the stop.")
    reward_risk: float = Field(description="Way to target 2 over way to the stop.")
    invalidation: str
    valid_for_bars: int = Field(description="Look again after so many bars at the latest.")


class Flip(Contract):
    """A close of the next bar that would change the action."""

    action: Action
    price: float
    distance_percent: float = Field(description="From the last close; negative below it.")


class TimeframeView(Contract):
    """What one timeframe says."""

    timeframe: Timeframe
    action: Action
    intelligent_score: float = Field(ge=0, le=10)
    trend: Trend
    movement: Movement
    weight: float = Field(ge=0, le=1, description="Share of the joint score.")


class Confluence(Contract):
    """Several timeframes held against each other."""

    intelligent_score: float = Field(ge=0, le=10, description="Weighted mean of the scores.")
    action: Action = Field(description="Of the joint score.")
    agreement: float = Field(ge=0, le=100, description="100 when all lean one way, 0 when they cancel out.")
    views: list[TimeframeView] = Field(description="Shortest timeframe first.")
    reading: str


class Details(Contract):
    """The readings behind the figures."""

    trend: TrendReading
    volatility: VolatilityReading
    regime: Regime
    sentiment: Sentiment
    structure: StructureDetails
    indicators: dict[str, float | None] = Field(
        description="Last value of each indicator; null where history is too short."
    )


class Assessment(Contract):
    """What the bars alone say: an analysis without its symbol, clock and source."""

    price: float = Field(description="Close of the last closed bar, quote asset.")
    analysis: AnalysisSummary
    recommendation: Recommendation
    plan: TradePlan | None = Field(description="Absent for HOLD.")
    flips: list[Flip] = Field(description="What would change the action, nearest first, within 2 ATR.")
    factors: list[Factor] = Field(description="intelligent_score is 5 plus their contributions.")
    support: list[Level] = Field(description="Below the price, nearest first.")
    resistance: list[Level] = Field(description="Above the price, nearest first.")
    order_blocks: list[OrderBlock] = Field(description="The nearest three at most.")
    gaps: list[Gap] = Field(description="The nearest fair value gap of each side.")
    indicators: dict[str, float | None] = Field(
        description="Last value of the usual indicators; null where history is too short."
    )
    details: Details | None = Field(None, description="Only with `detail` full.")


class Header(Contract):
    """What of an analysis the bars do not tell."""

    symbol: str
    timestamp: datetime = Field(description="When it was calculated, UTC.")
    timeframe: Timeframe
    data: Provenance


class Analysis(Assessment, Header):
    """An analysis of one symbol on one timeframe, in the shape in which MongoDB keeps it."""

    confluence: Confluence | None = Field(None, description="Only where `compare` named other timeframes.")

    @classmethod
    def of(
        cls, assessment: Assessment, *, timestamp: datetime, data: Provenance, confluence: Confluence | None = None
    ) -> Analysis:
        """The assessment under its header."""
        parts = {name: getattr(assessment, name) for name in Assessment.model_fields}
        header = {"symbol": data.symbol, "timestamp": timestamp, "timeframe": data.timeframe, "data": data}
        return cls(**header, **parts, confluence=confluence)
