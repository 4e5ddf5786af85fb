"""Everything structural about a series of bars in one call, sharing the work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crypto_mcp.analysis import odds
from crypto_mcp.analysis.dealing_range import DealingRange, DealingRanges, find_dealing_ranges
from crypto_mcp.analysis.fair_value_gaps import FairValueGap, find_fair_value_gaps
from crypto_mcp.analysis.findings import Bools, Findings, Rows
from crypto_mcp.analysis.kernels import inside_zones, plain
from crypto_mcp.analysis.liquidity import LiquidityLevel, Sweep, find_liquidity, find_sweeps
from crypto_mcp.analysis.measures import Measures, measure
from crypto_mcp.analysis.order_blocks import OrderBlock, ZoneType, find_order_blocks
from crypto_mcp.analysis.registry import causal
from crypto_mcp.analysis.structure import Break, BreakBy, find_breaks, merged, trend_of
from crypto_mcp.analysis.swings import Swing, find_swings
from crypto_mcp.analysis.volume_flow import AnchoredVwap, anchored_vwap, approximate_cvd
from crypto_mcp.analysis.volume_profile import VolumeProfile, volume_profile
from crypto_mcp.errors import InvalidRequest
from crypto_mcp.models.candles import Candles, Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureSettings:
    """Parameters of the definitions; bars unless said otherwise. The odds were counted with these defaults.

    Attributes:
        internal, external: strength of the swings of internal and external structure.
        break_by: what must pass a swing to break it, the bar's `close` or its `wick`.
        fail_within: bars in which a close back makes a break a failed one.
        equal_tolerance: ATR within which highs or lows are equal.
        impulse, min_displacement: bars and ATR in which closes must have left an order block.
        block_search: bars back from the extreme in which an order block's candle is looked for.
        min_gap: ATR that a fair value gap must be high.
        pool_search: bars between two swings of a pool at most.
        max_age: bars for which findings are followed.
        profile_bars, profile_rows, value_area: window and rows of the volume profile, share of its value area.
    """

    internal: int = 3
    external: int = 10
    break_by: BreakBy = "close"
    fail_within: int = 5
    equal_tolerance: float = 0.1
    impulse: int = 5
    min_displacement: float = 1.0
    block_search: int = 5
    min_gap: float = 0.1
    pool_search: int = 200
    max_age: int = 1000
    profile_bars: int = 500
    profile_rows: int = 60
    value_area: float = 0.70

    def __post_init__(self) -> None:
        for name in ("internal", "external", "impulse", "max_age", "profile_bars", "profile_rows"):
            if getattr(self, name) < 1:
                raise InvalidRequest(f"{name} must be at least 1, not {getattr(self, name)}", hint="Give a larger one.")


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """What `find_structure` found. Findings are ordered by `known_at`; series hold one value a bar.

    Attributes:
        measures: ATR and volume measures, by bar.
        internal_swings, external_swings, internal_breaks, external_breaks: of the two scales of structure.
        internal_trend, external_trend: by bar, 1 up, -1 down, 0 before the first break.
        order_blocks: of both scales.
        fair_value_gaps, liquidity, sweeps: as named.
        dealing_ranges: by bar, of external structure.
        profile: volume by price over the last bars; None where nothing was traded.
        vwap_from_high, vwap_from_low: anchored at the newest known swing high and low of external structure; None
            while there is none.
        cvd: approximated cumulative volume delta, by bar.
    """

    measures: Measures
    internal_swings: Findings[Swing]
    external_swings: Findings[Swing]
    internal_breaks: Findings[Break]
    external_breaks: Findings[Break]
    internal_trend: Ints
    external_trend: Ints
    order_blocks: Findings[OrderBlock]
    fair_value_gaps: Findings[FairValueGap]
    liquidity: Findings[LiquidityLevel]
    sweeps: Findings[Sweep]
    dealing_ranges: DealingRanges
    profile: VolumeProfile | None
    vwap_from_high: AnchoredVwap | None
    vwap_from_low: AnchoredVwap | None
    cvd: Floats

    @property
    def dealing_range(self) -> DealingRange | None:
        """The dealing range at the newest bar; None while there is none."""
        close = self.measures.candles.close
        return self.dealing_ranges.at(len(close) - 1, close) if len(close) else None

    def fill_odds(self) -> Floats:
        """Chance that each fair value gap still open is filled in 10, 50, 200 bars from now: (gaps, 3), 0 to 1.

        Rows are those of `fair_value_gaps`; NaN for those filled or ended.
        """
        gaps, newest = self.fair_value_gaps, len(self.measures.candles) - 1
        chances = np.full((len(gaps), 3), np.nan)
        is_open = (gaps.rows["filled_at"] < 0) & (gaps.rows["expired_at"] < 0)
        now = np.full(int(is_open.sum()), newest)
        chances[is_open] = np.column_stack(_fill_odds(self.measures, gaps.rows.compress(is_open), now))
        return chances


@causal(
    "find_structure",
    {},
    {"settings": StructureSettings(internal=1, external=4, break_by="wick", min_gap=0.0, max_age=60)},
    newest_only=("profile", "vwap_from_high", "vwap_from_low"),
)
def find_structure(candles: Candles, settings: StructureSettings | None = None) -> Structure:
    """All structure of these bars; see docs/analysis.md for each definition.

    Args:
        candles: closed bars, validated; any number from 1 on.
        settings: parameters, the defaults where absent.
    """
    chosen, measures = settings or StructureSettings(), measure(candles)
    bars = measures.candles
    tolerance, age = chosen.equal_tolerance, chosen.max_age
    internal = find_swings(measures, chosen.internal, tolerance, age)
    external = find_swings(measures, chosen.external, tolerance, age)
    internal_breaks = find_breaks(measures, internal, chosen.break_by, chosen.fail_within)
    external_breaks = find_breaks(measures, external, chosen.break_by, chosen.fail_within)
    ranges = find_dealing_ranges(measures, external)
    levels = find_liquidity(measures, internal, equal_tolerance=tolerance, search=chosen.pool_search, max_age=age)
    structure = Structure(
        measures=measures,
        internal_swings=internal,
        external_swings=external,
        internal_breaks=internal_breaks,
        external_breaks=external_breaks,
        internal_trend=trend_of(internal_breaks, len(bars)),
        external_trend=trend_of(external_breaks, len(bars)),
        order_blocks=find_order_blocks(
            measures,
            merged(external_breaks, internal_breaks),
            ranges,
            impulse=chosen.impulse,
            min_displacement=chosen.min_displacement,
            search=chosen.block_search,
            max_age=age,
        ),
        fair_value_gaps=find_fair_value_gaps(measures, external, min_size=chosen.min_gap, max_age=age),
        liquidity=levels,
        sweeps=find_sweeps(measures, levels, external),
        dealing_ranges=ranges,
        profile=volume_profile(bars[-chosen.profile_bars :], chosen.profile_rows, chosen.value_area),
        vwap_from_high=_vwap(bars, external, -1),
        vwap_from_low=_vwap(bars, external, 1),
        cvd=approximate_cvd(bars),
    )
    _rate(structure)
    return structure


def prepare() -> None:
    """Compile every kernel, or load it from disk: for the start of a process, not for its first request."""
    bars = np.linspace(1.0, 2.0, 64)
    found = find_structure(Candles(np.arange(64), bars, bars + 0.1, bars - 0.1, bars, bars, step=1))
    found.fill_odds()
    for zones in (found.order_blocks, found.fair_value_gaps):
        in_zones(zones, bars)


def in_zones(
    zones: Findings[OrderBlock] | Findings[FairValueGap], close: Floats, kind: ZoneType | None = None
) -> Bools:
    """For each bar whether its close lies in a zone known before it that no close had broken by then."""
    inside = np.zeros(len(close), dtype=np.bool_)
    rows = zones.rows
    if kind is not None:
        rows = rows.compress(rows["direction"] == (1 if kind == "demand" else -1))
    end = rows["broken_at" if zones.kind is OrderBlock else "inverted_at"]
    end = np.where(end >= 0, end, rows["expired_at"])
    inside_zones(plain(close), rows, end, inside)
    return inside


def _vwap(bars: Candles, swings: Findings[Swing], side: int) -> AnchoredVwap | None:
    newest = np.flatnonzero(swings.rows["direction"] == side)
    return anchored_vwap(bars, int(swings.rows["at"][newest[-1]])) if len(newest) else None


def _rate(found: Structure) -> None:
    """Fill in confidence, 0 to 100, and the fill probabilities."""
    bars, usual, models = found.measures.bars, found.measures.long_atr, odds.models()
    for swings in (found.internal_swings.rows, found.external_swings.rows):
        models["swing_stands"].rate(odds.swing_figures(bars, usual, swings), swings)
    for breaks in (found.internal_breaks.rows, found.external_breaks.rows):
        models["break_holds"].rate(odds.break_figures(bars, usual, breaks), breaks)
    blocks, levels, sweeps = found.order_blocks.rows, found.liquidity.rows, found.sweeps.rows
    models["block_holds"].rate(odds.block_figures(bars, usual, blocks), blocks)
    models["level_reached"].rate(odds.level_figures(bars, usual, levels), levels)
    models["sweep_turns"].rate(odds.sweep_figures(bars, usual, sweeps), sweeps)
    gaps = found.fair_value_gaps.rows
    fills = _fill_odds(found.measures, gaps, gaps["known_at"])
    gaps["fill_10"], gaps["fill_50"], gaps["fill_200"] = fills
    gaps["confidence"] = 100 * gaps["fill_50"]


def _fill_odds(measures: Measures, gaps: Rows, bar: Ints) -> tuple[Floats, Floats, Floats]:
    figures, models = odds.gap_figures(measures.bars, measures.long_atr, gaps, plain(bar)), odds.models()
    ten, fifty, two_hundred = (models[event].chances(figures) for event in ("fill_10", "fill_50", "fill_200"))
    # Three models know nothing of each other: a longer time never gives a smaller chance.
    fifty = np.maximum(ten, fifty)
    return ten, fifty, np.maximum(fifty, two_hundred)
