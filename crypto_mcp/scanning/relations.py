"""The two scans that the language has no words for: a symbol against bitcoin, and what holding a perpetual costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from crypto_mcp.models.candles import Candles, Floats
from crypto_mcp.scanning.matching import Match

USUAL_BARS, RECENT_BARS = 168, 24
_USUALLY, _NOW = 0.5, 0.2

EXTREME_FUNDING = 0.05
"""Percent for 8 hours, either way; 0.01 is the rate at which most perpetuals rest."""


def correlation_breaks(
    candles: Mapping[str, Candles], symbols: Sequence[str], reference: Candles
) -> Iterator[Match | None]:
    """Symbols that usually go with the reference (0.5 over 168 returns) and lately do not (0.2 over 24).

    It points the way in which the symbol has left the reference over those 24 bars.
    """
    for symbol in symbols:
        own, theirs = _returns(candles[symbol], reference)
        if len(own) < USUAL_BARS:
            yield None
            continue
        usual = _correlation(own[-USUAL_BARS:-RECENT_BARS], theirs[-USUAL_BARS:-RECENT_BARS])
        now = _correlation(own[-RECENT_BARS:], theirs[-RECENT_BARS:])
        if not (usual > _USUALLY and now < _NOW):
            yield None
            continue
        apart = 100 * float(own[-RECENT_BARS:].sum() - theirs[-RECENT_BARS:].sum())
        yield Match(
            symbol,
            "long" if apart > 0 else "short",
            round(min(10.0, 5 + 5 * (usual - now - (_USUALLY - _NOW)) / 1.2), 2),
            (
                f"correlation with bitcoin {now:.2f} over {RECENT_BARS} bars, {usual:.2f} over the {USUAL_BARS} before",
                f"{apart:+.1f} % against bitcoin in {RECENT_BARS} bars",
            ),
        )


def breaks_on_all(timeframes: Sequence[tuple[Mapping[str, Candles], Candles]], symbols: Sequence[str]) -> list[Match]:
    """What has left the reference on every timeframe, as the first one ranks it.

    Args:
        timeframes: of each the bars by symbol, and those of the reference.
        symbols: to look at.
    """
    found: list[Match] = []
    for candles, reference in reversed(timeframes):
        found = [match for match in correlation_breaks(candles, symbols, reference) if match is not None]
        symbols = [match.symbol for match in found]
    return found


def funding_extremes(rates: Mapping[str, float], symbols: Sequence[str]) -> Iterator[Match | None]:
    """Symbols whose perpetual costs at least 0.05 % for 8 hours; it points against the crowd that pays.

    Args:
        rates: funding for 8 hours, percent, by symbol; a symbol without a perpetual is absent.
        symbols: to look at.
    """
    for symbol in symbols:
        rate = rates.get(symbol, 0.0)
        if abs(rate) < EXTREME_FUNDING:
            yield None
            continue
        pays = "buyers pay sellers" if rate > 0 else "sellers pay buyers"
        yield Match(
            symbol,
            "short" if rate > 0 else "long",
            round(min(10.0, 5 + 5 * (abs(rate) - EXTREME_FUNDING) / 0.25), 2),
            (f"funding {rate:+.3f} % for 8 hours: {pays}",),
        )


def _returns(candles: Candles, reference: Candles) -> tuple[Floats, Floats]:
    """Log returns of the bars that both have."""
    _, own, theirs = np.intersect1d(candles.open_time, reference.open_time, assume_unique=True, return_indices=True)
    return np.diff(np.log(candles.close[own])), np.diff(np.log(reference.close[theirs]))


def _correlation(one: Floats, other: Floats) -> float:
    """0 where one of them does not move."""
    spread = float(one.std() * other.std())
    return float(((one - one.mean()) * (other - other.mean())).mean() / spread) if spread > 0 else 0.0
