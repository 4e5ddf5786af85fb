"""Classical indicators as one table: `INDICATORS["rsi"].of(candles, length=14)` gives each output by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crypto_mcp.analysis.indicators.averages import AVERAGES
from crypto_mcp.analysis.indicators.candlesticks import PATTERNS, pattern
from crypto_mcp.analysis.indicators.divergences import Divergence, find_divergences
from crypto_mcp.analysis.indicators.levels import LEVELS
from crypto_mcp.analysis.indicators.momentum import MOMENTUM
from crypto_mcp.analysis.indicators.spec import Indicator, Output, Parameter, Unit
from crypto_mcp.analysis.indicators.statistics import STATISTICS
from crypto_mcp.analysis.indicators.volatility import VOLATILITY
from crypto_mcp.analysis.indicators.volume import VOLUME
from crypto_mcp.analysis.registry import causal
from crypto_mcp.models.candles import Candles, Floats

__all__ = [
    "FAMILIES",
    "INDICATORS",
    "PATTERNS",
    "Divergence",
    "Indicator",
    "Output",
    "Parameter",
    "Unit",
    "find_divergences",
    "pattern",
    "prepare",
]

FAMILIES: dict[str, tuple[Indicator, ...]] = {
    "Averages and lines": AVERAGES,
    "Momentum": MOMENTUM,
    "Volatility": VOLATILITY,
    "Volume": VOLUME,
    "Levels": LEVELS,
    "Statistics": STATISTICS,
}
INDICATORS: dict[str, Indicator] = {indicator.name: indicator for family in FAMILIES.values() for indicator in family}


def _register(indicator: Indicator) -> None:
    least = {parameter.name: parameter.low for parameter in indicator.parameters}
    run: Callable[..., dict[str, Floats]] = indicator.of
    causal(f"indicator {indicator.name}", {}, *([least] if least else []))(run)


for _indicator in INDICATORS.values():
    _register(_indicator)


def prepare() -> None:
    """Compile the kernels, or load them from disk: for the start of a process, not for its first request."""
    bars = np.linspace(1.0, 2.0, 64)
    candles = Candles(np.arange(64), bars, bars + 0.1, bars - 0.1, bars, bars, step=1)
    for name in ("vwap", "previous_day"):
        INDICATORS[name].of(candles)
    find_divergences(candles)
