"""Findings as an answer lists them: those that still hold, the nearest first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np

from crypto_mcp.analysis.findings import NEVER, Finding, Findings
from crypto_mcp.analysis.market_structure import Structure
from crypto_mcp.analysis.order_blocks import OrderBlock as Block
from crypto_mcp.analysis.rounding import decimals, significant
from crypto_mcp.analysis.structure import Break
from crypto_mcp.models.analysis import (
    Bounds,
    Gap,
    Liquidity,
    OrderBlock,
    StructureBreak,
    StructureDetails,
    Sweep,
    VolumeArea,
)

LISTED, RECENT = 12, 8

F = TypeVar("F", bound=Finding)


def list_structure(found: Structure) -> StructureDetails:
    """Everything that still holds, at most 12 of a kind, and the last 8 events of a kind."""
    return StructureDetails(
        dealing_range=_bounds(found),
        breaks=_breaks(found),
        order_blocks=list_order_blocks(found, LISTED),
        gaps=list_gaps(found, LISTED),
        liquidity=_liquidity(found),
        sweeps=[
            Sweep(
                kind=sweep.kind,
                direction=sweep.direction,
                level=significant(sweep.level),
                timestamp=_time(found, sweep.at),
            )
            for sweep in reversed(found.sweeps[-RECENT:])
        ],
        volume=_volume(found),
    )


def list_order_blocks(found: Structure, each_side: int) -> list[OrderBlock]:
    """The nearest demand and supply zones that no close has broken."""
    blocks = found.order_blocks
    holds = blocks.where((blocks.rows["broken_at"] == NEVER) & (blocks.rows["expired_at"] == NEVER))
    return [_order_block(found, block) for block in _nearest(found, holds, each_side)]


def list_gaps(found: Structure, each_side: int) -> list[Gap]:
    """The nearest gaps up and down that price has not traded through."""
    gaps, odds = found.fair_value_gaps, found.fill_odds()[:, 1]
    is_open = np.isfinite(odds)
    chance = dict(zip(gaps.rows["at"][is_open].tolist(), odds[is_open].tolist(), strict=True))
    return [
        Gap(
            type=gap.direction,
            top=significant(gap.top),
            bottom=significant(gap.bottom),
            strength=decimals(gap.strength, 1),
            fill_probability=decimals(100 * chance[gap.at], 1),
            entry=significant(gap.entry),
            stop=significant(gap.stop),
            target=significant(gap.target),
            reward_risk=decimals(gap.reward_risk),
            state=gap.state,
            timestamp=_time(found, gap.at),
        )
        for gap in _nearest(found, gaps.where(is_open), each_side)
    ]


def _nearest(found: Structure, findings: Findings[F], each_side: int) -> Iterable[F]:
    """So many of either direction, the nearest to the last close first."""
    close = float(found.measures.candles.close[-1])
    rows = findings.rows
    away = np.maximum(np.maximum(rows["bottom"] - close, close - rows["top"]), 0.0)
    order = np.argsort(away, kind="stable")
    chosen = [place for side in (1, -1) for place in order[rows["direction"][order] == side][:each_side]]
    return [findings[int(place)] for place in sorted(chosen, key=lambda place: away[place])]


def _order_block(found: Structure, block: Block) -> OrderBlock:
    return OrderBlock(
        level=significant(block.top if block.type == "demand" else block.bottom),
        top=significant(block.top),
        bottom=significant(block.bottom),
        type=block.type,
        strength=decimals(block.strength, 1),
        confidence=decimals(block.confidence, 1),
        state=block.state,
        timestamp=_time(found, block.at),
    )


def _breaks(found: Structure) -> list[StructureBreak]:
    newest: list[tuple[Break, str]] = [(broken, "external") for broken in found.external_breaks[-RECENT:]]
    newest += [(broken, "internal") for broken in found.internal_breaks[-RECENT:]]
    newest.sort(key=lambda item: -item[0].at)
    return [
        StructureBreak(
            kind=broken.kind,
            scope="external" if scope == "external" else "internal",
            direction=broken.direction,
            level=significant(broken.level),
            state=broken.state,
            timestamp=_time(found, broken.at),
        )
        for broken, scope in newest[:RECENT]
    ]


def _liquidity(found: Structure) -> list[Liquidity]:
    return [
        Liquidity(
            kind=level.kind,
            side="high" if level.direction == "bearish" else "low",
            level=significant(level.top if level.direction == "bearish" else level.bottom),
            touches=level.touches,
            swept=any(change.state == "swept" for change in level.changes),
            timestamp=_time(found, level.at),
        )
        for level in _nearest(found, found.liquidity.alive(), LISTED // 2)
    ]


def _bounds(found: Structure) -> Bounds | None:
    bounds = found.dealing_range
    if bounds is None:
        return None
    return Bounds(
        top=significant(bounds.top),
        bottom=significant(bounds.bottom),
        position=decimals(bounds.position),
        place=bounds.place,
        ote_low=significant(bounds.ote_low),
        ote_high=significant(bounds.ote_high),
    )


def _volume(found: Structure) -> VolumeArea | None:
    profile = found.profile
    if profile is None:
        return None
    return VolumeArea(
        point_of_control=significant(profile.poc),
        value_area_low=significant(profile.value_area_low),
        value_area_high=significant(profile.value_area_high),
    )


def _time(found: Structure, bar: int) -> datetime:
    return datetime.fromtimestamp(int(found.measures.candles.open_time[bar]) / 1000, UTC)
