"""What each factor of the score reads from the bars, from -1 (bearish) to 1 (bullish)."""

from __future__ import annotations

from crypto_mcp.analysis.landscape import Landscape, Standing, Zone
from crypto_mcp.analysis.resample import resample
from crypto_mcp.analysis.rounding import clipped, mean
from crypto_mcp.analysis.score import Reading
from crypto_mcp.analysis.sentiment import money_flow
from crypto_mcp.analysis.ta import price_unit, talib
from crypto_mcp.analysis.trend import read_horizon
from crypto_mcp.models.analysis import TrendReading
from crypto_mcp.models.candles import Candles

HIGHER = 4


def trend_factor(trend: TrendReading) -> Reading:
    """The trend value as it is."""

    def words() -> str:
        directions = ", ".join(f"{horizon.change_percent:+.1f} % in {horizon.bars}" for horizon in trend.horizons)
        return f"{_direction(trend.value)} trend ({directions} bars), ADX {trend.adx:.0f}"

    return Reading("trend", trend.value, "-1 to 1", trend.value, words)


def structure_factor(bar: int, close: float, landscape: Landscape) -> Reading:
    """Trend of external structure 0.4, its newest break while fresh 0.3, the newest break of internal structure 0.3."""
    external, internal = landscape.external.after(bar, close), landscape.internal.after(bar, close)
    direction = (
        0.4 * external.trend
        + 0.3 * external.trend * external.freshness(bar)
        + 0.3 * internal.trend * internal.freshness(bar)
    )

    def words() -> str:
        return f"{_told(external, bar)}; internal: {_told(internal, bar)}"

    return Reading("structure", direction, "-1 to 1", clipped(direction), words)


def _told(standing: Standing, bar: int) -> str:
    if not standing.kind:
        return "no break yet"
    name = "BoS" if standing.kind == "bos" else "ChoCH"
    failed = ", failed" if standing.failed else ""
    side = "up" if standing.trend > 0 else "down"
    return f"{name} {side} through {standing.level:.6g} {bar - standing.since} bars ago{failed}"


def zones_factor(close: float, atr: float, landscape: Landscape) -> Reading:
    """Half from zones near price, half from its place in the dealing range (discount is bullish).

    A zone pulls to its side by its strength, in full while price is in it, falling to nothing 2 ATR away. One that the
    close has broken does not count.
    """
    near = [(_pull(zone, close, atr), zone) for zone in landscape.zones]
    pull = clipped(sum(zone.side * zone.strength * size for size, zone in near))
    place = _place(close, landscape)

    def words() -> str:
        strongest = max(near, key=lambda item: item[0] * item[1].strength, default=(0.0, None))
        return f"{100 * place:.0f} % up its dealing range; {_named(*strongest)}"

    return Reading("zones", pull, "pull of zones, -1 to 1", clipped((pull + 1 - 2 * place) / 2), words)


def _pull(zone: Zone, close: float, atr: float) -> float:
    distance = close - zone.top if zone.side > 0 else zone.bottom - close
    broken = close < zone.bottom if zone.side > 0 else close > zone.top
    if broken or atr <= 0:
        return 0.0
    return max(0.0, 1 - max(0.0, distance) / (2 * atr))


def _place(close: float, landscape: Landscape) -> float:
    """0 at the bottom of the dealing range, 1 at its top; the middle where there is none."""
    bounds = landscape.range
    if bounds is None or bounds.top <= bounds.bottom:
        return 0.5
    return min(1.0, max(0.0, (close - bounds.bottom) / (bounds.top - bounds.bottom)))


def _named(size: float, zone: Zone | None) -> str:
    if zone is None or size <= 0:
        return "no zone within 2 ATR"
    side = {"order block": ("supply zone", "demand zone"), "gap": ("gap down", "gap up")}[zone.name][zone.side > 0]
    return (
        f"{'in' if size == 1 else 'near'} {side} {zone.bottom:.6g}-{zone.top:.6g} (strength {100 * zone.strength:.0f})"
    )


def momentum_factor(candles: Candles, atr: float) -> Reading:
    """Half from RSI around 50 (full at 25 and 75), half from the MACD histogram (full at a quarter of an ATR)."""
    unit = price_unit(candles.close[0])
    close = candles.close / unit
    recent = close[-100:]
    rsi = float(talib.RSI(close, 14)[-1]) if recent.max() > recent.min() else 50.0
    histogram = float(talib.MACD(close)[2][-1]) * unit
    push = clipped(4 * histogram / atr) if atr > 0 else 0.0

    def words() -> str:
        return f"RSI {rsi:.0f}, MACD {'above' if histogram >= 0 else 'below'} its signal"

    return Reading("momentum", rsi, "RSI", (clipped((rsi - 50) / 25) + push) / 2, words)


def volume_factor(candles: Candles) -> Reading:
    """Chaikin money flow over 20 bars, full at 0.25."""
    flow = money_flow(candles)
    usual = mean(candles.volume[-21:-1])
    ratio = float(candles.volume[-1]) / usual if usual > 0 else 1.0

    def words() -> str:
        return f"money flow {flow:+.2f}; last bar's volume {ratio:.1f} times the usual"

    return Reading("volume", flow, "Chaikin money flow", clipped(4 * flow), words)


def volatility_factor(candles: Candles, atr: float) -> Reading:
    """Ranges that widen count for the side price moves to, ranges that narrow for none."""
    ranges = candles.high[-50:] - candles.low[-50:]
    recent, usual = mean(ranges[-5:]), mean(ranges)
    ratio = recent / usual if usual > 0 else 1.0
    moved = float(candles.close[-1] - candles.close[-6])
    side = clipped(moved / (2 * atr)) if atr > 0 else 0.0

    def words() -> str:
        return f"last 5 ranges {ratio:.2f} times those of 50 bars, price {'up' if moved >= 0 else 'down'}"

    return Reading("volatility", ratio, "times usual range", clipped(max(0.0, ratio - 1) * 2) * side, words)


def higher_timeframe_factor(candles: Candles) -> Reading:
    """Direction over the last 20 bars four times as long."""
    longer = resample(candles, HIGHER)
    horizon = read_horizon(longer.close, 20, 9, 21)

    def words() -> str:
        return f"{_direction(horizon.direction)} on bars {HIGHER} times as long ({horizon.change_percent:+.1f} % in 20)"

    return Reading("higher_timeframe", horizon.slope_z, "standard errors of slope", horizon.direction, words)


def _direction(value: float) -> str:
    if abs(value) < 0.2:
        return "no clear"
    strength = "strong " if abs(value) >= 0.6 else ""
    return f"{strength}{'up' if value > 0 else 'down'}"
