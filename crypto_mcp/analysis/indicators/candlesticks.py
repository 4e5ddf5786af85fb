"""Candlestick patterns: TA-Lib's set as data.

TA-Lib measures bodies and shadows against the ten bars before (Thomas Bulkowski's and Steve Nison's patterns; its
settings `BodyLong`, `ShadowShort` and so on are left at their defaults).
"""

from __future__ import annotations

import re

import numpy as np

from crypto_mcp.analysis.registry import causal
from crypto_mcp.analysis.ta import talib
from crypto_mcp.models.candles import Candles, Ints

_WORDS = {
    "2CROWS": "two_crows",
    "3BLACKCROWS": "three_black_crows",
    "3INSIDE": "three_inside",
    "3LINESTRIKE": "three_line_strike",
    "3OUTSIDE": "three_outside",
    "3STARSINSOUTH": "three_stars_in_the_south",
    "3WHITESOLDIERS": "three_white_soldiers",
    "ABANDONEDBABY": "abandoned_baby",
    "ADVANCEBLOCK": "advance_block",
    "BELTHOLD": "belt_hold",
    "BREAKAWAY": "breakaway",
    "CLOSINGMARUBOZU": "closing_marubozu",
    "CONCEALBABYSWALL": "concealing_baby_swallow",
    "COUNTERATTACK": "counterattack",
    "DARKCLOUDCOVER": "dark_cloud_cover",
    "DOJI": "doji",
    "DOJISTAR": "doji_star",
    "DRAGONFLYDOJI": "dragonfly_doji",
    "ENGULFING": "engulfing",
    "EVENINGDOJISTAR": "evening_doji_star",
    "EVENINGSTAR": "evening_star",
    "GAPSIDESIDEWHITE": "gap_side_by_side_white_lines",
    "GRAVESTONEDOJI": "gravestone_doji",
    "HAMMER": "hammer",
    "HANGINGMAN": "hanging_man",
    "HARAMI": "harami",
    "HARAMICROSS": "harami_cross",
    "HIGHWAVE": "high_wave",
    "HIKKAKE": "hikkake",
    "HIKKAKEMOD": "modified_hikkake",
    "HOMINGPIGEON": "homing_pigeon",
    "IDENTICAL3CROWS": "identical_three_crows",
    "INNECK": "in_neck",
    "INVERTEDHAMMER": "inverted_hammer",
    "KICKING": "kicking",
    "KICKINGBYLENGTH": "kicking_by_length",
    "LADDERBOTTOM": "ladder_bottom",
    "LONGLEGGEDDOJI": "long_legged_doji",
    "LONGLINE": "long_line",
    "MARUBOZU": "marubozu",
    "MATCHINGLOW": "matching_low",
    "MATHOLD": "mat_hold",
    "MORNINGDOJISTAR": "morning_doji_star",
    "MORNINGSTAR": "morning_star",
    "ONNECK": "on_neck",
    "PIERCING": "piercing",
    "RICKSHAWMAN": "rickshaw_man",
    "RISEFALL3METHODS": "rising_falling_three_methods",
    "SEPARATINGLINES": "separating_lines",
    "SHOOTINGSTAR": "shooting_star",
    "SHORTLINE": "short_line",
    "SPINNINGTOP": "spinning_top",
    "STALLEDPATTERN": "stalled",
    "STICKSANDWICH": "stick_sandwich",
    "TAKURI": "takuri",
    "TASUKIGAP": "tasuki_gap",
    "THRUSTING": "thrusting",
    "TRISTAR": "tristar",
    "UNIQUE3RIVER": "unique_three_river",
    "UPSIDEGAP2CROWS": "upside_gap_two_crows",
    "XSIDEGAP3METHODS": "gap_three_methods",
}

PATTERNS = {name: f"CDL{code}" for code, name in _WORDS.items()}
# The longest window any of them looks at: ten bars of averages before a pattern of five, and Hikkake's confirmation.
PATTERN_BARS = 30


def pattern(candles: Candles, name: str) -> Ints:
    """Direction of a pattern completed by each bar: 1 bullish, -1 bearish, 0 none. `name` is one of `PATTERNS`."""
    found = getattr(talib, PATTERNS[name])(candles.open, candles.high, candles.low, candles.close)
    return np.asarray(np.sign(found), dtype=np.int64)


def label(name: str) -> str:
    """The name of a pattern in words."""
    return re.sub("_", " ", name)


@causal("candlestick patterns")
def patterns(candles: Candles) -> dict[str, Ints]:
    """Every pattern by name."""
    return {name: pattern(candles, name) for name in PATTERNS}
