"""What a chart shows, chosen from the findings and cut to the bars in view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crypto_mcp.analysis.findings import Finding
    from crypto_mcp.analysis.market_structure import Structure
    from crypto_mcp.analysis.structure import Break

ZoneSide = Literal["demand", "supply", "gap"]

_ZONES_SHOWN = 6
_GAPS_SHOWN = 5
_BREAKS_SHOWN = 6
_FEW_BREAKS = 3

_USED = frozenset({"mitigated"})
_ENDED = frozenset({"broken", "filled", "inverted", "spent", "expired"})


@dataclass(frozen=True, slots=True)
class Zone:
    """A price band from a bar on; bars are positions in the view.

    `used` is where price came half-way through it, `ended` where it was passed through or forgotten; None if not yet.
    """

    side: ZoneSide
    top: float
    bottom: float
    start: int
    used: int | None
    ended: int | None


@dataclass(frozen=True, slots=True)
class BreakLine:
    """A level from the swing that made it to the bar that broke it."""

    label: str
    up: bool
    level: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Picture:
    """Zones and breaks in view."""

    zones: tuple[Zone, ...]
    breaks: tuple[BreakLine, ...]


def choose(structure: Structure, first_bar: int, low: float, high: float) -> Picture:
    """The findings that matter for bars from `first_bar` on and prices near `low` to `high`.

    Fresh zones before spent ones and strong before weak, so that a busy market stays readable.
    """
    blocks = _ranked(structure.order_blocks, first_bar, low, high)[:_ZONES_SHOWN]
    gaps = _ranked(structure.fair_value_gaps, first_bar, low, high)[:_GAPS_SHOWN]
    zones = [_zone(b, "demand" if b.direction == "bullish" else "supply", first_bar) for b in blocks]
    zones += [_zone(g, "gap", first_bar) for g in gaps]
    breaks = [_break(b, first_bar) for b in structure.external_breaks if b.at > first_bar]
    if len(breaks) < _FEW_BREAKS:
        breaks += [_break(b, first_bar) for b in structure.internal_breaks if b.at > first_bar]
    return Picture(tuple(zones), tuple(sorted(breaks, key=lambda b: b.end)[-_BREAKS_SHOWN:]))


def _break(found: Break, first_bar: int) -> BreakLine:
    return BreakLine(
        label="BoS" if found.kind == "bos" else "ChoCH",
        up=found.direction == "bullish",
        level=found.level,
        start=max(0, found.swing_at - first_bar),
        end=found.at - first_bar,
    )


def _ranked(findings: Iterable[Finding], first_bar: int, low: float, high: float) -> list[Finding]:
    """Those in sight: unended ones first, then unused ones, then by strength."""
    near = [f for f in findings if f.top >= low and f.bottom <= high and _first(f, _ENDED, first_bar) != 0]
    return sorted(
        near,
        key=lambda f: (
            _first(f, _ENDED, first_bar) is not None,
            _first(f, _USED, first_bar) is not None,
            -f.strength,
        ),
    )


def _first(finding: Finding, states: frozenset[str], first_bar: int) -> int | None:
    """Position in the view of the first change to one of these states, 0 if before it."""
    bars = [change.bar for change in finding.changes if change.state in states]
    return max(0, min(bars) - first_bar) if bars else None


def _zone(finding: Finding, side: ZoneSide, first_bar: int) -> Zone:
    return Zone(
        side=side,
        top=finding.top,
        bottom=finding.bottom,
        start=max(0, finding.at - first_bar),
        used=_first(finding, _USED, first_bar),
        ended=_first(finding, _ENDED, first_bar),
    )
