"""A trade from stacked zones: where to enter, where one was wrong, where the other side waits.

Everything is written for longs; shorts are longs of prices with their sign turned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crypto_mcp.scanning.views import Band, Pool, View

# In ATR of the timeframe that is traded: zones that count as one, how far price may be from its entry, the room behind
# the stop, and the height of the entry zone beyond which its far part is left to the stop.
TOGETHER, REACH, STOP_ROOM, HIGHEST_ENTRY = 0.25, 4.0, 0.25, 1.5
# Part of the way from the entry to the first target after which coming in is chasing.
CHASING = 0.35
# Risks that a target must be away, and after which it is too far to be one.
NEAREST_TARGET, FURTHEST_TARGET = 1.0, 8.0
MOST_TARGETS = 3


@dataclass(frozen=True, slots=True)
class Aim:
    """A price to take profit at, the way to it in risks, and what waits there."""

    price: float
    risks: float
    what: str


@dataclass(frozen=True, slots=True)
class Setup:
    """A trade, its prices with their own sign.

    Attributes:
        side: 1 long, -1 short.
        base: the zone it is built on.
        stack: all zones it lies in, the base among them.
        low, high: entry zone.
        stop: beyond the invalidation.
        aims: nearest first.
        inside: whether price is in the entry zone.
    """

    side: int
    base: Band
    stack: tuple[Band, ...]
    low: float
    high: float
    stop: float
    aims: tuple[Aim, ...]
    inside: bool

    @property
    def middle(self) -> float:
        """Of the entry zone."""
        return (self.low + self.high) / 2

    @property
    def risk(self) -> float:
        """From the middle of the entry zone to the stop, quote asset."""
        return abs(self.middle - self.stop)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A zone in reach that makes no trade, and why."""

    side: int
    why: str


def setups(views: Sequence[View], side: int) -> Iterator[Setup | Rejection]:
    """What each zone in reach makes, zones that lie in one another once; views are shortest timeframe first."""
    traded = views[0]
    atr, price = traded.verdict.atr, float(traded.candles.close[-1])
    if atr <= 0:
        return
    bands = [_turned(band, side) for one in views for band in one.bands if band.side == side]
    against = [_turned(band, side) for one in views for band in one.bands if band.side == -side]
    pools = [_pool(pool, side) for one in views for pool in one.pools if pool.side == side]
    now = side * price
    used: set[Band] = set()
    for base in sorted((b for b in bands if b.kind != "level"), key=lambda b: (-b.top, -b.strength)):
        if base in used or not base.bottom <= now <= base.top + REACH * atr:
            continue
        stack = [band for band in bands if band.overlaps(base, TOGETHER * atr)]
        used.update(stack)
        yield _setup(base, stack, against, pools, now, atr, side)


def _setup(
    base: Band, stack: list[Band], against: list[Band], pools: list[Pool], now: float, atr: float, side: int
) -> Setup | Rejection:
    low, high = _entry(base, stack)
    low = max(low, high - HIGHEST_ENTRY * atr)
    stop = min(low, *(band.bottom for band in stack if band.bottom > low - 2 * atr), base.bottom) - STOP_ROOM * atr
    risk = (low + high) / 2 - stop
    if now < stop:
        return Rejection(side, "price is beyond the stop")
    aims = _aims((low + high) / 2, risk, against, pools)
    if not aims:
        return Rejection(side, "no target: nothing waits on the other side")
    if now > high and (now - high) > CHASING * (aims[0].price - high):
        return Rejection(side, "chasing: price has left the entry already")
    return Setup(
        side=side,
        base=_turned(base, side),
        stack=tuple(_turned(band, side) for band in stack),
        low=min(side * low, side * high),
        high=max(side * low, side * high),
        stop=side * stop,
        aims=tuple(Aim(side * aim.price, aim.risks, aim.what) for aim in aims),
        inside=low <= now <= high,
    )


def _entry(base: Band, stack: list[Band]) -> tuple[float, float]:
    """What the base has in common with as many of the others as possible, the strongest first."""
    low, high = base.bottom, base.top
    for band in sorted(stack, key=lambda b: -b.strength * b.timeframe.milliseconds):
        inside_low, inside_high = max(low, band.bottom), min(high, band.top)
        if inside_low < inside_high:
            low, high = inside_low, inside_high
    return low, high


def _aims(entry: float, risk: float, against: list[Band], pools: list[Pool]) -> list[Aim]:
    """The nearest edges of opposing zones, and liquidity; what lies within a quarter of a risk is one aim."""
    found = [(band.bottom, f"{band.timeframe} {_opposing(band)}") for band in against]
    found += [(pool.price, f"{pool.timeframe} {pool.what}") for pool in pools]
    aims: list[Aim] = []
    for price, what in sorted(found):
        risks = (price - entry) / risk
        if not NEAREST_TARGET <= risks <= FURTHEST_TARGET or (aims and risks - aims[-1].risks < 0.25):
            continue
        aims.append(Aim(price, risks, what))
    return aims[:MOST_TARGETS]


def _opposing(band: Band) -> str:
    return {"order block": "order block", "gap": "gap", "level": "level"}[band.kind]


def _turned(band: Band, side: int) -> Band:
    """The zone as a long sees it; turned twice it is itself."""
    if side > 0:
        return band
    return Band(band.timeframe, band.kind, -band.side, -band.top, -band.bottom, band.strength, band.holds, band.fresh)


def _pool(pool: Pool, side: int) -> Pool:
    return pool if side > 0 else Pool(pool.timeframe, -pool.side, -pool.price, pool.what)
