"""Where a value stands among those before it."""

from __future__ import annotations

import numpy as np

from crypto_mcp.analysis.indicators.spec import Indicator, Output, blanked, changes, length
from crypto_mcp.analysis.ta import talib
from crypto_mcp.models.candles import Floats


def _standard_score(series: Floats, bars: int) -> Floats:
    spread = talib.STDDEV(series, bars)
    score = (series - talib.SMA(series, bars)) / np.where(spread > 0, spread, np.nan)
    return blanked(score, changes(series), bars - 1)


STATISTICS = (
    Indicator(
        "zscore",
        "Distance from the mean of the last values in standard deviations.",
        (Output("zscore", "standard score", "plain"),),
        (length(20),),
        _standard_score,
        lambda _, n: n,
        "TA-Lib SMA and STDDEV",
        on_series=True,
    ),
    Indicator(
        "percent_rank",
        "Share of the values before it that it exceeds, 0 to 100.",
        (Output("percent_rank", "percent rank", "plain"),),
        (length(100),),
        talib.PERCENTRANK,
        lambda _, n: n + 1,
        "TA-Lib PERCENTRANK",
        on_series=True,
    ),
)
