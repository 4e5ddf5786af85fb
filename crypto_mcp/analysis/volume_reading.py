"""Volume as a full answer tells it: by price, against the usual, and who pressed."""

from __future__ import annotations

from typing import Literal

import numpy as np

from crypto_mcp.analysis.listing import moment
from crypto_mcp.analysis.market_structure import Structure
from crypto_mcp.analysis.rounding import decimals, significant
from crypto_mcp.analysis.volume_flow import AnchoredVwap
from crypto_mcp.models.structure import VolumeReading, VwapBand

DELTA_BARS = 20
BAND = 2.0
NODES = 5


def read_volume(found: Structure) -> VolumeReading | None:
    """The reading at the newest bar; None where nothing was traded."""
    profile = found.profile
    if profile is None:
        return None
    return VolumeReading(
        point_of_control=significant(profile.poc),
        value_area_low=significant(profile.value_area_low),
        value_area_high=significant(profile.value_area_high),
        high_volume_nodes=[significant(price) for price in profile.high_volume_nodes[:NODES]],
        low_volume_nodes=[significant(price) for price in profile.low_volume_nodes[:NODES]],
        relative_volume=decimals(float(found.measures.relative_volume[-1])),
        delta_percent=_delta_percent(found),
        anchored_vwap=[*_band(found, "high", found.vwap_from_high), *_band(found, "low", found.vwap_from_low)],
    )


def _band(found: Structure, anchor: Literal["high", "low"], average: AnchoredVwap | None) -> list[VwapBand]:
    if average is None or not np.isfinite(average.vwap[-1]):
        return []
    lower, upper = average.bands(BAND)
    return [
        VwapBand(
            anchor=anchor,
            since=moment(found, average.anchor),
            vwap=significant(average.vwap[-1]),
            lower_2=significant(lower[-1]),
            upper_2=significant(upper[-1]),
        )
    ]


def _delta_percent(found: Structure) -> float:
    traded = float(found.measures.candles.volume[-DELTA_BARS:].sum())
    delta = float(found.cvd[-1] - found.cvd[-DELTA_BARS - 1]) if len(found.cvd) > DELTA_BARS else float(found.cvd[-1])
    return decimals(100 * delta / traded, 1) if traded > 0 else 0.0
