"""Events as a full answer lists them, the newest first, and the whole of its structure."""

from __future__ import annotations

from itertools import islice
from typing import Literal, TypeVar

from crypto_mcp.analysis.findings import Finding, Findings
from crypto_mcp.analysis.indicators import PATTERNS, find_divergences, pattern
from crypto_mcp.analysis.indicators.candlesticks import PATTERN_BARS
from crypto_mcp.analysis.listing import bounds, list_breakers, list_gaps, list_liquidity, list_order_blocks, moment
from crypto_mcp.analysis.market_structure import Structure
from crypto_mcp.analysis.rounding import decimals, significant
from crypto_mcp.analysis.structure import Break
from crypto_mcp.analysis.swings import Swing
from crypto_mcp.analysis.volume_reading import read_volume
from crypto_mcp.models.structure import (
    CandlestickSign,
    DivergenceSign,
    StructureBreak,
    StructureDetails,
    Sweep,
    SwingPoint,
)

# Zones and levels of a side, and events of a kind.
LISTED, RECENT = 8, 8
# Bars in which a candlestick pattern is news.
PATTERNS_OF = 3

Scope = Literal["internal", "external"]
F = TypeVar("F", bound=Finding)


def list_structure(found: Structure) -> StructureDetails:
    """Everything that still holds, at most 8 of a side, and the last 8 events of a kind."""
    return StructureDetails(
        dealing_range=bounds(found),
        swings=_swings(found),
        breaks=_breaks(found),
        order_blocks=list_order_blocks(found, LISTED, full=True),
        breakers=list_breakers(found, LISTED // 2),
        gaps=list_gaps(found, LISTED, full=True),
        liquidity=list_liquidity(found, LISTED // 2),
        sweeps=_sweeps(found),
        divergences=_divergences(found),
        patterns=_patterns(found),
        volume=read_volume(found),
    )


def _of_both_scopes(internal: Findings[F], external: Findings[F]) -> list[tuple[F, Scope]]:
    newest: list[tuple[F, Scope]] = [(finding, "external") for finding in external[-RECENT:]]
    newest += [(finding, "internal") for finding in internal[-RECENT:]]
    return sorted(newest, key=lambda item: -item[0].at)


def _swings(found: Structure) -> list[SwingPoint]:
    both: list[tuple[Swing, Scope]] = _of_both_scopes(found.internal_swings, found.external_swings)
    return [
        SwingPoint(
            side="high" if swing.direction == "bearish" else "low",
            scope=scope,
            label=swing.label,
            level=significant(swing.top),
            strength=decimals(swing.strength, 1),
            confidence=decimals(swing.confidence, 1),
            state=swing.state,
            timestamp=moment(found, swing.at),
            known_at=moment(found, swing.known_at),
        )
        for swing, scope in both
    ]


def _breaks(found: Structure) -> list[StructureBreak]:
    both: list[tuple[Break, Scope]] = _of_both_scopes(found.internal_breaks, found.external_breaks)
    return [
        StructureBreak(
            kind=broken.kind,
            scope=scope,
            direction=broken.direction,
            level=significant(broken.level),
            strength=decimals(broken.strength, 1),
            confidence=decimals(broken.confidence, 1),
            state=broken.state,
            timestamp=moment(found, broken.at),
        )
        for broken, scope in both[:RECENT]
    ]


def _sweeps(found: Structure) -> list[Sweep]:
    return [
        Sweep(
            kind=sweep.kind,
            direction=sweep.direction,
            level=significant(sweep.level),
            strength=decimals(sweep.strength, 1),
            confidence=decimals(sweep.confidence, 1),
            timestamp=moment(found, sweep.at),
        )
        for sweep in reversed(found.sweeps[-RECENT:])
    ]


def _divergences(found: Structure) -> list[DivergenceSign]:
    standing = find_divergences(found.measures.candles).alive()
    return [
        DivergenceSign(
            gauge=sign.gauge,
            kind=sign.kind,
            direction=sign.direction,
            strength=decimals(sign.strength, 1),
            first=moment(found, sign.first_at),
            timestamp=moment(found, sign.at),
            known_at=moment(found, sign.known_at),
        )
        for sign in reversed(standing[-RECENT:])
    ]


def _patterns(found: Structure) -> list[CandlestickSign]:
    candles = found.measures.candles
    recent = candles[-PATTERN_BARS - PATTERNS_OF :]
    signs = {name: pattern(recent, name)[: -PATTERNS_OF - 1 : -1].tolist() for name in PATTERNS}
    completed = (
        CandlestickSign(
            pattern=name,
            direction="bullish" if signs[name][ago] > 0 else "bearish",
            timestamp=moment(found, len(candles) - 1 - ago),
        )
        for ago in range(PATTERNS_OF)
        for name in signs
        if signs[name][ago]
    )
    return list(islice(completed, LISTED))
