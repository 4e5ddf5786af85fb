"""Findings as an answer lists them: zones and levels that still hold, the nearest first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal, TypeVar

import numpy as np

from crypto_mcp.analysis.findings import NEVER, Finding, Findings
from crypto_mcp.analysis.market_structure import Structure
from crypto_mcp.analysis.order_blocks import OrderBlock as Block
from crypto_mcp.analysis.rounding import decimals, significant
from crypto_mcp.models.structure import Bounds, Gap, Liquidity, OrderBlock

F = TypeVar("F", bound=Finding)


def list_order_blocks(found: Structure, each_side: int, *, full: bool = False) -> list[OrderBlock]:
    """The nearest demand and supply zones that no close has broken."""
    blocks = found.order_blocks
    holds = blocks.where((blocks.rows["broken_at"] == NEVER) & (blocks.rows["expired_at"] == NEVER))
    return [_order_block(found, block, full=full) for block in nearest(found, holds, each_side)]


def list_breakers(found: Structure, each_side: int) -> list[OrderBlock]:
    """The nearest zones that a close has broken and none has taken back."""
    blocks = found.order_blocks
    works = blocks.where((blocks.rows["broken_at"] != NEVER) & (blocks.rows["spent_at"] == NEVER))
    return [_order_block(found, block, full=True) for block in nearest(found, works, each_side)]


def list_gaps(found: Structure, each_side: int, *, full: bool = False) -> list[Gap]:
    """The nearest gaps up and down that price has not traded through."""
    gaps, odds = found.fair_value_gaps, found.fill_odds()
    is_open = np.isfinite(odds[:, 1])
    chance = dict(zip(gaps.rows["at"][is_open].tolist(), odds[is_open].tolist(), strict=True))
    return [
        Gap(
            type=gap.direction,
            top=significant(gap.top),
            bottom=significant(gap.bottom),
            strength=decimals(gap.strength, 1),
            fill_probability=decimals(100 * chance[gap.at][1], 1),
            entry=significant(gap.entry),
            stop=significant(gap.stop),
            target=significant(gap.target),
            reward_risk=decimals(gap.reward_risk),
            state=gap.state,
            timestamp=moment(found, gap.at),
            known_at=moment(found, gap.known_at) if full else None,
            fill_within=_fill_within(chance[gap.at]) if full else None,
            why=gap.why if full else None,
        )
        for gap in nearest(found, gaps.where(is_open), each_side)
    ]


def _fill_within(chances: Iterable[float]) -> dict[str, float]:
    return {bars: decimals(100 * chance, 1) for bars, chance in zip(("10", "50", "200"), chances, strict=True)}


def list_liquidity(found: Structure, each_side: int) -> list[Liquidity]:
    """The nearest pools and levels that no close has passed."""
    return [
        Liquidity(
            kind=level.kind,
            side=_side(level),
            level=significant(level.top if level.direction == "bearish" else level.bottom),
            touches=level.touches,
            swept=any(change.state == "swept" for change in level.changes),
            strength=decimals(level.strength, 1),
            confidence=decimals(level.confidence, 1),
            timestamp=moment(found, level.at),
            known_at=moment(found, level.known_at),
        )
        for level in nearest(found, found.liquidity.alive(), each_side)
    ]


def _side(level: Finding) -> Literal["high", "low"]:
    return "high" if level.direction == "bearish" else "low"


def nearest(found: Structure, findings: Findings[F], each_side: int) -> Iterable[F]:
    """So many of either direction, the nearest to the last close first."""
    close = float(found.measures.candles.close[-1])
    rows = findings.rows
    away = np.maximum(np.maximum(rows["bottom"] - close, close - rows["top"]), 0.0)
    order = np.argsort(away, kind="stable")
    chosen = [place for side in (1, -1) for place in order[rows["direction"][order] == side][:each_side]]
    return [findings[int(place)] for place in sorted(chosen, key=lambda place: away[place])]


def _order_block(found: Structure, block: Block, *, full: bool) -> OrderBlock:
    newest = len(found.measures.candles) - 1
    return OrderBlock(
        level=significant(block.top if block.type == "demand" else block.bottom),
        top=significant(block.top),
        bottom=significant(block.bottom),
        type=block.type,
        strength=decimals(block.strength, 1),
        confidence=decimals(block.confidence, 1),
        state=block.state,
        timestamp=moment(found, block.at),
        known_at=moment(found, block.known_at) if full else None,
        freshness=decimals(block.freshness(newest), 3) if full else None,
        role=(block.role or None) if full else None,
        why=block.why if full else None,
    )


def bounds(found: Structure) -> Bounds | None:
    """The dealing range and the optimal trade entry in it."""
    ranged = found.dealing_range
    if ranged is None:
        return None
    return Bounds(
        top=significant(ranged.top),
        bottom=significant(ranged.bottom),
        position=decimals(ranged.position),
        place=ranged.place,
        ote_low=significant(ranged.ote_low),
        ote_high=significant(ranged.ote_high),
    )


def moment(found: Structure, bar: int) -> datetime:
    """Start of a bar, UTC."""
    return datetime.fromtimestamp(int(found.measures.candles.open_time[bar]) / 1000, UTC)
