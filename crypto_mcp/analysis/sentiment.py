"""What buyers and sellers did over the last bars, read from closes and from volume."""

from __future__ import annotations

import numpy as np

from crypto_mcp.analysis.rounding import clipped, decimals
from crypto_mcp.models.analysis import Mood, MoodPart, Sentiment
from crypto_mcp.models.candles import Candles, Floats

WINDOW = 20


def closing_places(candles: Candles) -> Floats:
    """Where each bar closed in its range, -1 at its low to 1 at its high; 0 for a bar without range."""
    span = candles.high - candles.low
    place = (candles.close - candles.low) - (candles.high - candles.close)
    return np.asarray(np.where(span > 0, place / np.where(span > 0, span, 1.0), 0.0), dtype=np.float64)


def money_flow(candles: Candles, window: int = WINDOW) -> float:
    """Chaikin money flow of the last `window` bars, -1 to 1: closing places weighted by volume; 0 without volume."""
    volume = candles.volume[-window:]
    total = float(volume.sum())
    return float((closing_places(candles[-window:]) * volume).sum() / total) if total > 0 else 0.0


def read_sentiment(candles: Candles) -> Sentiment:
    """Price and volume parts of equal share.

    Price: closing places averaged, and the balance of rising against falling closes. Volume: money flow, and the
    balance of volume on rising against falling bars.
    """
    recent = candles[-WINDOW:]
    change = np.sign(recent.close - recent.open)
    risen = int(np.count_nonzero(change > 0))
    places = float(closing_places(recent).mean())
    price = clipped(places + float(change.mean()))

    total = float(recent.volume.sum())
    balance = float((change * recent.volume).sum() / total) if total > 0 else 0.0
    flow = money_flow(candles)
    volume = clipped(flow + balance)
    parts = [
        MoodPart(
            name="price",
            value=decimals(price, 3),
            share=0.5,
            reading=f"{risen} of the last {len(recent)} bars closed above their open",
        ),
        MoodPart(
            name="volume",
            value=decimals(volume, 3),
            share=0.5,
            reading=f"{50 * (1 + balance):.0f} % of volume on rising bars, money flow {flow:+.2f}",
        ),
    ]
    return Sentiment(value=decimals(sum(part.value * part.share for part in parts), 3), parts=parts)


def mood(value: float) -> Mood:
    """Within 0.1 of zero neutral, from 0.35 outright."""
    if abs(value) < 0.1:
        return "neutral"
    if value > 0:
        return "bullish" if value >= 0.35 else "slightly_bullish"
    return "bearish" if value <= -0.35 else "slightly_bearish"
