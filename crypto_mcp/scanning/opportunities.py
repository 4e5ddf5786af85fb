"""Trades on which several timeframes agree: candles of each in, opportunities and rejections out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from crypto_mcp.analysis.rounding import decimals, significant
from crypto_mcp.models.analysis import Detail
from crypto_mcp.models.candles import Candles
from crypto_mcp.models.opportunities import Opportunity, OpportunityParams, PriceTarget, Profile
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.scanning.quality import alignment, probability, quality
from crypto_mcp.scanning.setups import Aim, Rejection, Setup, setups
from crypto_mcp.scanning.views import LEAST_BARS, View, as_of, view

# Bars of the traded timeframe after which an opportunity is looked at anew: the horizon its odds were counted with.
VALID_BARS = 48
_ZONES_IN_SUMMARY = 2
_TREND: dict[int, Literal["up", "down", "none"]] = {1: "up", -1: "down", 0: "none"}


@dataclass(frozen=True, slots=True)
class Demands:
    """What a risk profile asks for: quality, percent to the stop at most, and whether against the trend is refused."""

    quality: float
    risk_percent: float
    with_trend: bool


PROFILES: dict[Profile, Demands] = {
    "conservative": Demands(6.5, 3.0, with_trend=True),
    "balanced": Demands(5.0, 6.0, with_trend=False),
    "aggressive": Demands(3.5, 12.0, with_trend=False),
}


@dataclass(slots=True)
class Found:
    """Of one symbol: opportunities, the best first, and how many setups were rejected for which reason."""

    opportunities: list[Opportunity] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)


def find_opportunities(symbol: str, candles: Mapping[Timeframe, Candles], params: OpportunityParams) -> Found:
    """What these bars offer at the close of the newest bar of the shortest timeframe.

    Args:
        symbol: for the answer.
        candles: closed bars of at least two timeframes, each up to whatever time: of the longer ones those count that
            had closed when the newest bar of the shortest did.
        params: side, least reward, profile, detail.

    A timeframe with fewer than 100 bars is left out; with fewer than two that remain nothing is found.
    """
    ordered = sorted(candles, key=lambda timeframe: timeframe.milliseconds)
    found = Found()
    if not ordered or len(candles[ordered[0]]) < LEAST_BARS:
        found.rejected["too few bars"] += 1
        return found
    known = as_of({timeframe: candles[timeframe] for timeframe in ordered}, int(candles[ordered[0]].close_time[-1]))
    views = [view(timeframe, bars) for timeframe, bars in known.items() if len(bars) >= LEAST_BARS]
    if len(views) < 2:
        found.rejected["too few bars"] += 1
        return found
    for side in (1, -1):
        if params.side in ("any", "long" if side > 0 else "short"):
            for setup in setups(views, side):
                outcome = setup.why if isinstance(setup, Rejection) else _judged(symbol, setup, views, params)
                if isinstance(outcome, str):
                    found.rejected[outcome] += 1
                else:
                    found.opportunities.append(outcome)
    found.opportunities.sort(key=lambda one: -one.quality)
    _tell_opposites(found.opportunities)
    return found


def _judged(symbol: str, setup: Setup, views: Sequence[View], params: OpportunityParams) -> Opportunity | str:
    """The opportunity, or why it is not taken."""
    demands = PROFILES[params.profile]
    paying = [aim for aim in setup.aims if aim.risks >= params.min_reward_risk]
    if not paying:
        return f"reward-risk below {params.min_reward_risk:g}"
    risk_percent = 100 * setup.risk / setup.middle
    if risk_percent > demands.risk_percent:
        return f"stop further than {demands.risk_percent:g} %"
    if demands.with_trend and alignment(setup.side, views[1:]) <= 0:
        return "against the trend of the longer timeframes"
    parts = quality(setup, views, paying[0].risks)
    total = round(min(10.0, sum(part.points for part in parts)), 1)
    if total < demands.quality:
        return f"quality below {demands.quality:g}"
    chance, basis = probability(setup, views)
    traded = views[0]
    closed = datetime.fromtimestamp(int(traded.candles.close_time[-1]) / 1000, UTC)
    return Opportunity(
        symbol=symbol,
        side="long" if setup.side > 0 else "short",
        standing="in_zone" if setup.inside else "waiting",
        quality=total,
        probability=decimals(chance, 1),
        basis=basis,
        price=significant(float(traded.candles.close[-1])),
        entry_low=significant(setup.low),
        entry_high=significant(setup.high),
        stop=significant(setup.stop),
        targets=[
            PriceTarget(price=significant(aim.price), reward_risk=decimals(aim.risks), what=aim.what)
            for aim in (setup.aims if params.detail == "full" else _shown(setup, paying[0]))
        ],
        reward_risk=decimals(paying[0].risks),
        risk_percent=decimals(risk_percent),
        invalidation=f"a close {'below' if setup.side > 0 else 'above'} {setup.stop:.6g}",
        expires_at=closed + timedelta(milliseconds=VALID_BARS * traded.timeframe.milliseconds),
        zones=_zones(setup, params.detail),
        trends={one.timeframe: _TREND[one.trend] for one in views},
        conflicts=_conflicts(setup, views),
        quality_parts=parts if params.detail == "full" else None,
        alert=_alert(symbol, setup, traded),
        backtest=_backtest(symbol, setup, views, paying[0].risks),
    )


def _shown(setup: Setup, main: Aim) -> list[Aim]:
    """The nearest target and the one that pays."""
    return [aim for aim in setup.aims if aim is main or aim is setup.aims[0]]


def _zones(setup: Setup, detail: Detail) -> list[str]:
    ordered = sorted(setup.stack, key=lambda band: (-band.timeframe.milliseconds, -band.strength))
    shown = ordered if detail == "full" else ordered[:_ZONES_IN_SUMMARY]
    return [
        f"{band.timeframe} {band.kind} {significant(band.bottom):.6g}-{significant(band.top):.6g}, "
        f"strength {band.strength:.0f}"
        for band in shown
    ]


def _conflicts(setup: Setup, views: Sequence[View]) -> list[str]:
    """What a careful reader would hold against it."""
    said = []
    against = [str(one.timeframe) for one in views[1:] if one.trend == -setup.side]
    if against:
        said.append(f"structure on {', '.join(against)} trends the other way")
    near = [
        band
        for one in views
        for band in one.bands
        if band.side == -setup.side
        and band.kind != "level"
        and 0 < setup.side * ((band.bottom if setup.side > 0 else band.top) - setup.middle) < setup.risk
    ]
    if near:
        said.append(f"{near[0].timeframe} {near[0].kind} of the other side within one risk")
    bounds = views[1].landscape.range
    if bounds is not None and bounds.top > bounds.bottom:
        place = (setup.middle - bounds.bottom) / (bounds.top - bounds.bottom)
        if (place > 0.5) == (setup.side > 0):
            said.append(
                f"the entry lies in the {'upper' if place > 0.5 else 'lower'} half of the {views[1].timeframe} range"
            )
    behind = [
        pool.price for one in views for pool in one.pools
        if pool.side == -setup.side and 0 < setup.side * (setup.stop - pool.price) < 0.5 * setup.risk
    ]  # fmt: skip
    if behind:
        said.append(f"stops are likely to rest just behind the stop, at {behind[0]:.6g}")
    return said


def _tell_opposites(found: list[Opportunity]) -> None:
    sides = {one.side for one in found}
    if len(sides) == 2:
        for one in found:
            one.conflicts.append("there is an opportunity the other way as well")


def _alert(symbol: str, setup: Setup, traded: View) -> dict[str, str]:
    """True on the bar that comes back to the entry zone without having closed beyond the stop."""
    if setup.side > 0:
        condition = f"low <= {_number(setup.high)} and close > {_number(setup.stop)}"
    else:
        condition = f"high >= {_number(setup.low)} and close < {_number(setup.stop)}"
    return {"symbol": symbol, "timeframe": str(traded.timeframe), "condition": condition}


def _number(price: float) -> str:
    """As the language reads it: plain digits."""
    return f"{Decimal(repr(significant(price))):f}"


def _backtest(symbol: str, setup: Setup, views: Sequence[View], risks: float) -> dict[str, Any]:
    """Trades of this kind: back in such a zone, with the longer timeframes that agree, and such a stop and target."""
    traded, long = views[0], setup.side > 0
    zone = ("demand" if long else "supply") if setup.base.kind == "order block" else ("bullish" if long else "bearish")
    name = "in_order_block" if setup.base.kind == "order block" else "in_fvg"
    entry = f'{name}("{zone}")'
    if setup.base.timeframe is not traded.timeframe:
        entry = f'tf("{setup.base.timeframe}", {entry})'
    with_it = [str(one.timeframe) for one in views[1:] if one.trend == setup.side]
    entry += "".join(f' and tf("{timeframe}", structure_trend() == {setup.side})' for timeframe in with_it)
    strategy = {
        "name": f"{zone} zone, {'long' if long else 'short'}",
        "entry" if long else "short_entry": entry,
        "stop": f"{max(0.5, setup.risk / traded.verdict.atr):.1f} atr",
        "targets": [{"at": f"{risks:.1f}R"}],
        "max_bars": VALID_BARS,
    }
    asked = {"symbols": [symbol], "timeframe": str(traded.timeframe), "strategy": strategy}
    return asked if long else asked | {"market": "perpetual"}
