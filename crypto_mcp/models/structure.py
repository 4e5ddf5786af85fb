"""Market structure in an answer of `analyze_crypto`; docs/analysis.md defines each kind."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from crypto_mcp.models.answers import Contract, only_full


class OrderBlock(Contract):
    """A supply or demand zone. Those that a close has broken are listed apart, with the role they have from there."""

    level: float = Field(description="The edge that price meets first.")
    top: float = Field(description="Upper bound, quote asset.")
    bottom: float = Field(description="Lower bound, quote asset.")
    type: Literal["demand", "supply"] = Field(
        description="`demand` is expected to hold from below, `supply` from above."
    )
    strength: float = Field(ge=0, le=100, description="From displacement, volume and rejection.")
    confidence: float = Field(ge=0, le=100, description="Percent of like zones that held when price came back.")
    state: str = Field(description="`active`, `tested`, `mitigated` (price was at its middle), `broken` or `inverted`.")
    timestamp: datetime = Field(description="Start of the candle it is made of, UTC.")
    known_at: datetime | None = only_full("Start of the bar at whose close it was known, UTC.")
    freshness: float | None = only_full("1 when formed, halved every 200 bars and once price was back in it.")
    role: Literal["breaker", "mitigation"] | None = only_full("Of a broken one, which then works the other way round.")
    why: str | None = only_full("The figures behind it, in words.")


class Gap(Contract):
    """A fair value gap that price has not traded through."""

    type: Literal["bullish", "bearish"] = Field(description="Of the move that left it.")
    top: float = Field(description="Upper bound, quote asset.")
    bottom: float = Field(description="Lower bound, quote asset.")
    strength: float = Field(ge=0, le=100, description="From height, volume and displacement.")
    fill_probability: float = Field(ge=0, le=100, description="Percent of like gaps filled within 50 bars from now.")
    entry: float = Field(description="Its near edge.")
    stop: float = Field(description="Behind its far edge.")
    target: float = Field(description="At the newest swing beyond, else at two risks.")
    reward_risk: float = Field(description="Way to the target over way to the stop.")
    state: str = Field(description="`active`, `tested` or `mitigated` (half filled).")
    timestamp: datetime = Field(description="Start of its middle bar, UTC.")
    known_at: datetime | None = only_full("Start of the bar at whose close it was known, UTC.")
    fill_within: dict[str, float] | None = only_full("Percent of like gaps filled within 10, 50, 200 bars from now.")
    why: str | None = only_full("The figures behind it, in words.")


class SwingPoint(Contract):
    """A high or low that the bars on either side did not pass."""

    side: Literal["high", "low"] = Field(description="Of price.")
    scope: Literal["internal", "external"] = Field(description="Reach: internal 3 bars on either side, external 10.")
    label: str = Field(description="Against the one before on its side: `higher_high`, `equal_low` and so on.")
    level: float = Field(description="Its price, quote asset.")
    strength: float = Field(ge=0, le=100, description="From its prominence in ATR.")
    confidence: float = Field(ge=0, le=100, description="Percent of like swings that no wick passed for 20 bars.")
    state: str = Field(description="`active`, `swept`, `broken` or `expired`.")
    timestamp: datetime = Field(description="Start of its bar, UTC.")
    known_at: datetime = Field(description="Start of the bar at whose close it was known, UTC.")


class StructureBreak(Contract):
    """A break of structure (`bos`) or change of character (`choch`)."""

    kind: Literal["bos", "choch"] = Field(description="With the trend before it, or against it.")
    scope: Literal["internal", "external"] = Field(
        description="Size of the swing that was broken: internal 3 bars, external 10 on either side."
    )
    direction: Literal["bullish", "bearish"] = Field(description="The way price broke.")
    level: float = Field(description="Price that was broken, quote asset.")
    strength: float = Field(ge=0, le=100, description="From the way beyond the level, volume and the bar's body.")
    confidence: float = Field(ge=0, le=100, description="Percent of like breaks with no close back within 5 bars.")
    state: str = Field(description="`active`, `held`, or `failed` (price closed back).")
    timestamp: datetime = Field(description="Start of the bar that broke it and made it known, UTC.")


class Liquidity(Contract):
    """A price behind which stops are likely to rest."""

    kind: str = Field(description="`pool` of equal highs or lows, or the period whose high or low it is.")
    side: Literal["high", "low"] = Field(description="Of price on which stops rest.")
    level: float = Field(description="Price that must be passed, quote asset.")
    touches: int = Field(description="Swings in a pool; 1 for a period.")
    swept: bool = Field(description="Whether a wick has passed it.")
    strength: float = Field(ge=0, le=100, description="How many stops are likely to rest there, by its kind.")
    confidence: float = Field(ge=0, le=100, description="Percent of like levels that were reached within 50 bars.")
    timestamp: datetime = Field(description="Start of the bar of its extreme, UTC.")
    known_at: datetime = Field(description="Start of the bar at whose close it was known, UTC.")


class Sweep(Contract):
    """A wick beyond such a price on a bar that closed back."""

    kind: str = Field(description="Of the level that was swept.")
    direction: Literal["bullish", "bearish"] = Field(description="The way price is expected to turn.")
    level: float = Field(description="Its price, quote asset.")
    strength: float = Field(ge=0, le=100, description="From the way back, volume and the way beyond.")
    confidence: float = Field(ge=0, le=100, description="Percent of like sweeps that turned by one ATR.")
    timestamp: datetime = Field(description="Start of the bar that made it known, UTC.")


class Bounds(Contract):
    """The dealing range between the last swing high and low."""

    top: float = Field(description="Quote asset.")
    bottom: float = Field(description="Quote asset.")
    position: float = Field(description="Of the last close, 0 at the bottom, 1 at the top.")
    place: Literal["premium", "equilibrium", "discount"] = Field(description="Upper half premium, lower half discount.")
    ote_low: float = Field(description="Optimal trade entry: 62 to 79 % retraced.")
    ote_high: float = Field(description="Upper bound of it.")


class VwapBand(Contract):
    """The average price paid since a swing."""

    anchor: Literal["high", "low"] = Field(description="The newest known external swing it counts from.")
    since: datetime = Field(description="Start of that swing's bar, UTC.")
    vwap: float = Field(description="Volume-weighted average price since then, quote asset.")
    lower_2: float = Field(description="Two volume-weighted standard deviations below it.")
    upper_2: float = Field(description="Two above it.")


class VolumeReading(Contract):
    """Where and how volume was traded over the bars looked at."""

    point_of_control: float = Field(description="Price with the most volume, quote asset.")
    value_area_low: float = Field(description="Lower bound of the 70 % around it, quote asset.")
    value_area_high: float = Field(description="Upper bound, quote asset.")
    high_volume_nodes: list[float] = Field(description="Prices that stand out, the largest volume first, quote asset.")
    low_volume_nodes: list[float] = Field(description="Prices that were passed fast, quote asset.")
    relative_volume: float = Field(description="Volume of the newest bar over the mean of the 50 before.")
    delta_percent: float = Field(
        description=(
            "Bought less sold over the last 20 bars in percent of their volume. An approximation of the cumulative "
            "volume delta: candles do not say who crossed the spread."
        )
    )
    anchored_vwap: list[VwapBand] = Field(description="From the newest swing high and low.")


class DivergenceSign(Contract):
    """Two swings of price that an indicator did not follow."""

    gauge: Literal["rsi", "macd", "obv"] = Field(description="RSI 14, MACD 12/26 or on-balance volume.")
    kind: Literal["regular", "hidden"] = Field(description="Against the swings' trend, or with it.")
    direction: Literal["bullish", "bearish"] = Field(description="The way it points for price.")
    strength: float = Field(ge=0, le=100, description="From the distance of the swings and of the readings.")
    first: datetime = Field(description="Start of the first swing's bar, UTC.")
    timestamp: datetime = Field(description="Start of the second swing's bar, UTC.")
    known_at: datetime = Field(description="Start of the bar at whose close it was known, UTC.")


class CandlestickSign(Contract):
    """A candlestick pattern."""

    pattern: str = Field(description="As `pattern()` of the condition language names it.")
    direction: Literal["bullish", "bearish"] = Field(description="As its name has it; how often it comes true is open.")
    timestamp: datetime = Field(description="Start of the bar that completed it, UTC.")


class StructureDetails(Contract):
    """Structure as found in the bars; docs/analysis.md defines each kind."""

    dealing_range: Bounds | None = Field(description="Null before a swing high and low are known.")
    swings: list[SwingPoint] = Field(description="Newest first, eight of either scope at most.")
    breaks: list[StructureBreak] = Field(description="Newest first.")
    order_blocks: list[OrderBlock] = Field(description="Those no close has broken, nearest first.")
    breakers: list[OrderBlock] = Field(description="Broken ones that work the other way round, nearest first.")
    gaps: list[Gap] = Field(description="Nearest first.")
    liquidity: list[Liquidity] = Field(description="Nearest first.")
    sweeps: list[Sweep] = Field(description="Newest first.")
    divergences: list[DivergenceSign] = Field(description="Those no close has refuted, newest first.")
    patterns: list[CandlestickSign] = Field(description="Completed by the last three bars, newest first.")
    volume: VolumeReading | None = Field(description="Null where nothing was traded.")
