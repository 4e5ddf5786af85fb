"""What volume says."""

from __future__ import annotations

import numpy as np

from crypto_mcp.analysis.indicators.spec import (
    DAY,
    Indicator,
    Output,
    blanked,
    changes,
    exponential,
    length,
)
from crypto_mcp.analysis.kernels import plain
from crypto_mcp.analysis.ta import talib
from crypto_mcp.compiling import compiled
from crypto_mcp.models.candles import Candles, Floats, Ints


def _money_flow_index(candles: Candles, bars: int) -> Floats:
    found = talib.MFI(candles.high, candles.low, candles.close, candles.volume, bars)
    typical = candles.high + candles.low + candles.close
    return blanked(found, changes(typical) & (candles.volume > 0), bars)


def _chaikin_money_flow(candles: Candles, bars: int) -> Floats:
    found = talib.CMF(candles.high, candles.low, candles.close, candles.volume, bars)
    return blanked(found, candles.volume > 0, bars)


def _relative_volume(candles: Candles, bars: int) -> Floats:
    before = np.zeros(len(candles), dtype=np.bool_)
    before[1:] = candles.volume[:-1] > 0
    found = blanked(talib.RVOL(candles.volume, bars), before, bars)
    return np.where(np.isfinite(found), found, np.nan)


def _obv_change(candles: Candles, bars: int) -> Floats:
    signed = np.full(len(candles), np.nan)
    signed[1:] = np.sign(candles.close[1:] - candles.close[:-1]) * candles.volume[1:]
    found: Floats = talib.SUM(signed, bars)
    return found


def _session_vwap(candles: Candles) -> Floats:
    prices = plain(candles.high), plain(candles.low), plain(candles.close)
    return _vwap_of_days(plain(candles.open_time), *prices, plain(candles.volume))


@compiled
def _vwap_of_days(times: Ints, high: Floats, low: Floats, close: Floats, volume: Floats) -> Floats:
    vwap = np.full(len(close), np.nan)
    begun = len(times) > 0 and times[0] % DAY == 0
    paid, traded = 0.0, 0.0
    for bar in range(len(close)):
        if bar > 0 and times[bar] // DAY != times[bar - 1] // DAY:
            begun, paid, traded = True, 0.0, 0.0
        paid += (high[bar] + low[bar] + close[bar]) / 3 * volume[bar]
        traded += volume[bar]
        if begun and traded > 0:
            vwap[bar] = paid / traded
    return vwap


VOLUME = (
    Indicator(
        "obv",
        "Volume of rising less volume of falling bars since the first.",
        (Output("obv", "on-balance volume", "volume"),),
        (),
        lambda candles: talib.OBV(candles.close, candles.volume),
        None,
        "TA-Lib OBV (Joe Granville)",
    ),
    Indicator(
        "obv_change",
        "Volume of rising less volume of falling bars over the last bars: the change of OBV.",
        (Output("obv_change", "change of on-balance volume", "volume"),),
        (length(20, 2),),
        _obv_change,
        lambda _, n: n + 1,
        "Joe Granville; sums of TA-Lib SUM",
    ),
    Indicator(
        "ad",
        "Volume since the first bar, weighed by where in its range each bar closed.",
        (Output("ad", "accumulation/distribution", "volume"),),
        (),
        lambda candles: talib.AD(candles.high, candles.low, candles.close, candles.volume),
        None,
        "TA-Lib AD (Marc Chaikin)",
    ),
    Indicator(
        "adosc",
        "Distance of a fast from a slow average of accumulation/distribution.",
        (Output("adosc", "Chaikin oscillator", "volume"),),
        (length(3, name="fast"), length(10, name="slow")),
        lambda candles, fast, slow: talib.ADOSC(
            candles.high, candles.low, candles.close, candles.volume, fastperiod=fast, slowperiod=slow
        ),
        lambda _, fast, slow: exponential(max(fast, slow)),
        "TA-Lib ADOSC (Marc Chaikin)",
    ),
    Indicator(
        "cmf",
        "Volume weighed by where in its range each bar closed, over all volume, -1 to 1.",
        (Output("cmf", "Chaikin money flow", "plain"),),
        (length(20),),
        _chaikin_money_flow,
        lambda _, n: n,
        "TA-Lib CMF (Marc Chaikin)",
    ),
    Indicator(
        "mfi",
        "RSI weighed by volume, 0 to 100.",
        (Output("mfi", "money flow index", "plain"),),
        (length(14),),
        _money_flow_index,
        lambda _, n: n + 1,
        "TA-Lib MFI (Quong & Soudack)",
    ),
    Indicator(
        "pvo",
        "Distance of a fast from a slow average of volume, percent of the slow one.",
        (Output("pvo", "percentage volume oscillator", "percent"),),
        (length(12, name="fast"), length(26, name="slow")),
        lambda candles, fast, slow: talib.PVO(candles.volume, fast, slow),
        lambda _, fast, slow: exponential(max(fast, slow)),
        "TA-Lib PVO",
    ),
    Indicator(
        "relative_volume",
        "Volume over the mean of the bars before.",
        (Output("relative_volume", "relative volume", "plain"),),
        (length(20),),
        _relative_volume,
        lambda _, n: n + 1,
        "TA-Lib RVOL",
    ),
    Indicator(
        "vwap",
        "Average price paid since 00:00 UTC, typical prices weighted by volume; NaN on the day of the first bar, "
        "unless the day began with it.",
        (Output("vwap", "volume-weighted average price of the day", "price"),),
        (),
        _session_vwap,
        lambda step: -(-DAY // step) + 1,
        "Σ (high + low + close) / 3 · volume / Σ volume",
    ),
)
