"""Conditions on bars: each distinct one is evaluated once for a bar that closed, whoever subscribed to it.

An alert fires where its condition became true: it is at this bar and was not at the one before. Both are read off the
same evaluation, so nothing has to be remembered, and bars that were missed are judged like any others.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from crypto_mcp.analysis.findings import Bools
from crypto_mcp.conditions import Condition, evaluate, lookback, parse, timeframes
from crypto_mcp.errors import NotEnoughData, SourceUnavailable
from crypto_mcp.models.alerts import EvaluateParams, Fired
from crypto_mcp.models.candles import Candles
from crypto_mcp.models.timeframes import Timeframe
from workers.alert_firing import Event, Tally, handle, settle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workers.job import Job
    from workers.services import Services

    Document = dict[str, Any]


class NotThereYet(SourceUnavailable):
    """The feed told of a bar that the archive and the exchange do not have yet."""


_MARGIN = 2
"""Bars beyond what the newest value takes: the value before it, and one to spare."""

_REARM_BARS = 10_000
"""Bars that `rearm` is looked for on; an alert that was told longer ago is taken to have been told then."""


async def evaluate_alerts(job: Job, params: EvaluateParams) -> Fired:
    """Looks where the conditions on these bars became true, and fires the alerts that have them."""
    services, tally = job.services, Tally()
    conditions = await services.mongo.alerts.conditions("bars", params.symbol, params.timeframe)
    evaluated = len(conditions)
    if conditions:
        bars = await _told_bars(services, params, _parsed(conditions))
        edges = await asyncio.to_thread(edges_of, _parsed(conditions), bars, params.first)
        for text, places in edges.items():
            where = {"symbol": params.symbol, "timeframe": params.timeframe, "condition": text}
            await _fire_at(services, tally, "bars", where, bars, places)
    if params.timeframe is Timeframe.M1:
        evaluated += await _intrabar(services, tally, params)
    return Fired(fired=tally.told, suppressed=tally.suppressed, refused=tally.refused, conditions=evaluated)


class Bars:
    """Closed bars of one symbol, and those of longer timeframes that conditions look at."""

    def __init__(self, candles: Candles, higher: Mapping[Timeframe, Candles]) -> None:
        self.candles = candles
        self.higher = higher


async def bars_for(
    services: Services, symbol: str, timeframe: Timeframe, last: int, count: int, conditions: Sequence[Condition]
) -> Bars:
    """The `count` bars up to the one that began at `last` (ms), and what the conditions need before them."""
    step = timeframe.milliseconds
    needed = max(lookback(condition, timeframe) for condition in conditions) + count + _MARGIN
    end = last + step
    candles = await _between(services, symbol, timeframe, end - needed * step, end)
    higher: dict[Timeframe, Candles] = {}
    wanted: dict[Timeframe, int] = {}
    for condition in conditions:
        for other, bars in timeframes(condition).items():
            wanted[other] = max(bars, wanted.get(other, 0))
    for other, bars in wanted.items():
        back = (bars + _MARGIN) * other.milliseconds + count * step
        higher[other] = await _between(services, symbol, other, end - back, end)
    return Bars(candles, higher)


async def _bars(
    services: Services, symbol: str, timeframe: Timeframe, first: int, last: int, conditions: Sequence[Condition]
) -> Bars:
    count = (last - first) // timeframe.milliseconds + 1
    return await bars_for(services, symbol, timeframe, last, count, conditions)


async def _between(services: Services, symbol: str, timeframe: Timeframe, start: int, end: int) -> Candles:
    begin = datetime.fromtimestamp(start / 1000, UTC)
    found = await services.candles.between(symbol, timeframe, begin, datetime.fromtimestamp(end / 1000, UTC))
    return found.candles


async def _told_bars(services: Services, params: EvaluateParams, conditions: Sequence[Condition]) -> Bars:
    """The bars that the feed told of. The feed may be ahead of whoever is asked here."""
    services.market.heed((params.last + params.timeframe.milliseconds) / 1000)
    try:
        bars = await _bars(services, params.symbol, params.timeframe, params.first, params.last, conditions)
    except NotEnoughData as error:
        raise NotThereYet(error.message, hint=error.hint, retry_after=1) from error
    if bars.candles.open_time[-1] < params.last:
        raise NotThereYet(
            f"the bar of {params.symbol} that closed is not there yet", hint="It is asked for again.", retry_after=1
        )
    return bars


def _parsed(texts: Sequence[str]) -> list[Condition]:
    return [parse(text) for text in texts]


def became_true(mask: Bools) -> Bools:
    """Where a condition is true that was not on the bar before; never on the first bar."""
    edges = np.zeros(len(mask), dtype=np.bool_)
    edges[1:] = mask[1:] & ~mask[:-1]
    return edges


def edges_of(conditions: Sequence[Condition], bars: Bars, first: int) -> dict[str, list[int]]:
    """Of each condition the places in `bars` from the one that began at `first` on at which it became true."""
    found = {}
    late = bars.candles.open_time >= first
    for condition in conditions:
        places = np.flatnonzero(became_true(evaluate(condition, bars.candles, bars.higher)) & late)
        if len(places):
            found[condition.text] = places.tolist()
    return found


async def _fire_at(
    services: Services, tally: Tally, watch: str, where: Mapping[str, Any], bars: Bars, places: Sequence[int]
) -> None:
    """Fires the alerts with a condition for each of the bars at which it became true, the oldest first."""
    candles = bars.candles
    now = datetime.fromtimestamp(await services.market.now(), UTC)
    for place in places:
        closed = int(candles.close_time[place])
        at = datetime.fromtimestamp(closed / 1000, UTC)
        tally.begin()
        for alert in await services.mongo.alerts.watching(watch, **where, armed_at={"$lt": at}):
            event = f"b{closed}"
            if event in alert["recent"]:
                tally.touched.append(alert)
            elif await _rearmed(services, alert, closed):
                handle(tally, alert, Event(event, at, max(at, now), float(candles.close[place])))
        await settle(services, tally)


async def _rearmed(services: Services, alert: Document, closed: int) -> bool:
    """Whether the alert's `rearm` held on a bar that closed since it was told last and up to `closed` (ms).

    The bars of the condition are not enough: `rearm` looks back by itself, and to whenever the alert was told.
    """
    text, last = alert.get("rearm"), alert.get("triggered_at")
    if not text or last is None:
        return True
    condition, timeframe = parse(text), Timeframe(alert["timeframe"])
    step, told = timeframe.milliseconds, round(last.timestamp() * 1000)
    count = min((closed - told) // step + 1, _REARM_BARS)
    found = await bars_for(services, alert["symbol"], timeframe, closed - step, count, [condition])
    held = await asyncio.to_thread(evaluate, condition, found.candles, found.higher)
    since = (found.candles.close_time > told) & (found.candles.close_time <= closed)
    return bool(np.any(held & since))


async def _intrabar(services: Services, tally: Tally, params: EvaluateParams) -> int:
    """Conditions on bars in progress, as they stand with the minute that closed. What they say may not last."""
    alerts = await services.mongo.alerts.watching("intrabar", symbol=params.symbol)
    groups = {(alert["timeframe"], alert["condition"]) for alert in alerts}
    for name, text in sorted(groups):
        timeframe, condition = Timeframe(name), parse(text)
        if timeframe is Timeframe.M1:
            bars = await _told_bars(services, params, [condition])
            places = (await asyncio.to_thread(edges_of, [condition], bars, params.first)).get(text, [])
            await _fire_at(services, tally, "intrabar", _group(params.symbol, name, text), bars, places)
            continue
        minutes = await _minutes(services, params, timeframe)
        closed = await bars_for(services, params.symbol, timeframe, _last_closed(params, timeframe), 1, [condition])
        for minute in range(params.first, params.last + 1, Timeframe.M1.milliseconds):
            now, before = (
                partial_bars(closed, minutes, timeframe, minute - back) for back in (0, Timeframe.M1.milliseconds)
            )
            if now is None:
                continue
            true = await asyncio.to_thread(_newest, condition, now)
            if true and not (before is not None and await asyncio.to_thread(_newest, condition, before)):
                await _fire_at(
                    services, tally, "intrabar", _group(params.symbol, name, text), _ending(now, minute), [-1]
                )
    return len(groups)


def _group(symbol: str, timeframe: str, condition: str) -> dict[str, str]:
    return {"symbol": symbol, "timeframe": timeframe, "condition": condition}


async def _minutes(services: Services, params: EvaluateParams, timeframe: Timeframe) -> Candles:
    """The minutes of the bars in progress."""
    step = timeframe.milliseconds
    begin = (params.first - Timeframe.M1.milliseconds) // step * step
    return await _between(services, params.symbol, Timeframe.M1, begin, params.last + Timeframe.M1.milliseconds)


def _last_closed(params: EvaluateParams, timeframe: Timeframe) -> int:
    """Open time of the newest bar that had closed with the last minute."""
    step = timeframe.milliseconds
    return (params.last + Timeframe.M1.milliseconds) // step * step - step


def partial_bars(closed: Bars, minutes: Candles, timeframe: Timeframe, minute: int) -> Bars | None:
    """The bars as they stood when the minute that began at `minute` closed: the last may be in progress."""
    step, end = timeframe.milliseconds, minute + Timeframe.M1.milliseconds
    begin = (end - 1) // step * step
    inside = (minutes.open_time >= begin) & (minutes.open_time < end)
    if not inside.any():
        return None
    before = closed.candles[: int(np.searchsorted(closed.candles.open_time, begin))]
    return Bars(
        Candles(
            open_time=np.append(before.open_time, begin),
            open=np.append(before.open, minutes.open[inside][0]),
            high=np.append(before.high, minutes.high[inside].max()),
            low=np.append(before.low, minutes.low[inside].min()),
            close=np.append(before.close, minutes.close[inside][-1]),
            volume=np.append(before.volume, minutes.volume[inside].sum()),
            step=step,
        ),
        closed.higher,
    )


def _newest(condition: Condition, bars: Bars) -> bool:
    return bool(evaluate(condition, bars.candles, bars.higher)[-1])


def _ending(bars: Bars, minute: int) -> Bars:
    """The same bars, the last of them closing with the minute: that is when it was seen."""
    times = bars.candles.open_time.copy()
    times[-1] = minute + Timeframe.M1.milliseconds - bars.candles.step
    return Bars(replace(bars.candles, open_time=times), bars.higher)
