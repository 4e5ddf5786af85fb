"""What buyers and sellers did over the last bars, and what is known of their mood beside the bars."""

from __future__ import annotations

import numpy as np

from crypto_mcp.analysis.registry import causal
from crypto_mcp.analysis.rounding import clipped, decimals
from crypto_mcp.models.analysis import MarketMood, Mood, MoodPart, Sentiment
from crypto_mcp.models.candles import Candles, Floats

WINDOW = 20
DAY_MS = 24 * 3_600_000
SHARES = {"price": 0.3, "volume": 0.3, "funding": 0.15, "open_interest": 0.1, "fear_greed": 0.15}
UNKNOWN = MarketMood()

Part = tuple[float, str]


@causal("closing_places")
def closing_places(candles: Candles) -> Floats:
    """Where each bar closed in its range, -1 at its low to 1 at its high; 0 for a bar without range."""
    span = candles.high - candles.low
    place = (candles.close - candles.low) - (candles.high - candles.close)
    return np.divide(place, span, out=np.zeros(len(span)), where=span > 0)


def money_flow(candles: Candles, window: int = WINDOW) -> float:
    """Chaikin money flow of the last `window` bars, -1 to 1: closing places weighted by volume; 0 without volume."""
    volume = candles.volume[-window:]
    total = float(volume.sum())
    return float((closing_places(candles[-window:]) * volume).sum() / total) if total > 0 else 0.0


def read_sentiment(candles: Candles, market: MarketMood = UNKNOWN) -> Sentiment:
    """All parts that are known, each by its share (the shares of unknown ones go to the others in proportion)."""
    parts = {"price": _price(candles), "volume": _volume(candles)} | _beside_the_bars(candles, market)
    known = sum(SHARES[name] for name in parts)
    shown = [
        MoodPart(name=name, value=decimals(value, 3), share=decimals(SHARES[name] / known, 3), reading=words)
        for name, (value, words) in parts.items()
    ]
    value = sum(SHARES[name] / known * value for name, (value, _) in parts.items())
    return Sentiment(
        value=decimals(value, 3), parts=shown, missing={name: "not given" for name in SHARES if name not in parts}
    )


def _price(candles: Candles) -> Part:
    """Closing places averaged, and the balance of rising against falling bars."""
    recent = candles[-WINDOW:]
    change = np.sign(recent.close - recent.open)
    risen = int(np.count_nonzero(change > 0))
    value = clipped(float(closing_places(recent).mean()) + float(change.mean()))
    return value, f"{risen} of the last {len(recent)} bars closed above their open"


def _volume(candles: Candles) -> Part:
    """Money flow, and the balance of volume on rising against falling bars."""
    recent = candles[-WINDOW:]
    total = float(recent.volume.sum())
    balance = float((np.sign(recent.close - recent.open) * recent.volume).sum() / total) if total > 0 else 0.0
    flow = money_flow(candles)
    words = f"{50 * (1 + balance):.0f} % of volume on rising bars, money flow {flow:+.2f}"
    return clipped(flow + balance), words


def _beside_the_bars(candles: Candles, market: MarketMood) -> dict[str, Part]:
    """Funding is full at 0.05 % for 8 hours; open interest, at 10 % in a day, takes the side price moved to."""
    parts: dict[str, Part] = {}
    if (funding := market.funding_percent) is not None:
        payer = "longs pay shorts" if funding >= 0 else "shorts pay longs"
        parts["funding"] = clipped(funding / 0.05), f"{payer} {abs(funding):.4f} % for 8 hours"
    if (change := market.open_interest_percent) is not None:
        bars = min(len(candles) - 1, max(1, DAY_MS // candles.step))
        side = float(np.sign(candles.close[-1] - candles.close[-1 - bars]))
        parts["open_interest"] = side * clipped(change / 10), f"open interest {change:+.1f} % in 24 hours"
    if (index := market.fear_greed) is not None:
        parts["fear_greed"] = (index - 50) / 50, f"fear and greed index {index:.0f} of 100"
    return parts


def mood(value: float) -> Mood:
    """Within 0.1 of zero neutral, from 0.35 outright."""
    if abs(value) < 0.1:
        return "neutral"
    if value > 0:
        return "bullish" if value >= 0.35 else "slightly_bullish"
    return "bearish" if value <= -0.35 else "slightly_bearish"
