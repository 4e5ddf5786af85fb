"""What an alert would say of now and of the last thirty days, by the same engines that watch."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.alerts.definition import MARKET_METRICS
from crypto_mcp.alerts.levels import ABOVE, BELOW, Levels, Move, Threshold
from crypto_mcp.conditions import evaluate, parse
from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.models.alerts import DryRun
from crypto_mcp.models.timeframes import Timeframe
from workers.alert_bars import bars_for, became_true
from workers.alert_sweep import figures_of, scan_params

if TYPE_CHECKING:
    from crypto_mcp.alerts.definition import Definition, Level
    from crypto_mcp.models.candles import Candles
    from crypto_mcp.models.scans import ScanParams
    from workers.job import Job

DAYS = 30
_DAY = 86_400_000
_QUICK_BARS = 3000
"""Bars that the making of an alert is held up for; `test` looks at all of the thirty days."""

_SHOWN = 5
_FUNDINGS = 90
_OFTEN, _NEARLY_ALWAYS = 5.0, 95.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A dry run, and the price or figure it found."""

    run: DryRun
    value: float | None = None
    seen: tuple[str, ...] = ()


async def trial(
    job: Job,
    definition: Definition,
    *,
    price: float | None,
    hysteresis: float = 0.0,
    scan: ScanParams | None = None,
    thorough: bool = False,
) -> Trial:
    """Of a definition. `price` is the symbol's last one, where it is known; `thorough`: of short bars too all of the
    thirty days. Raises what the sources raise.
    """
    if scan is not None:
        return await _scan(job, scan)
    if definition.level is not None:
        return await _level(job, definition, definition.level, price, hysteresis)
    if definition.metric is not None:
        return await _metric(job, definition)
    return await _bars(job, definition, thorough=thorough)


async def _level(job: Job, definition: Definition, level: Level, price: float | None, hysteresis: float) -> Trial:
    assert definition.symbol is not None
    last = (int(await job.services.market.now() * 1000) // 3_600_000 - 1) * 3_600_000
    bars = await bars_for(job.services, definition.symbol, Timeframe.H1, last, DAYS * 24, [parse("close > 0")])
    candles = bars.candles
    fired = await asyncio.to_thread(crossings, candles, level, hysteresis)
    beyond = level.fires_beyond()
    above = candles.close > beyond
    true_percent = 100 * float(np.mean(above if level.side == "above" else candles.close < beyond))
    now = (
        None
        if price is None or level.side == "either"
        else (price > beyond if level.side == "above" else price < beyond)
    )
    run = DryRun(
        true_now=now,
        value_now=price,
        true_percent=None if level.side == "either" else round(true_percent, 1),
        **_past(fired, candles),
        basis=f"{len(candles)} bars of 1h, their highs and lows",
    )
    return Trial(run, price)


def crossings(candles: Candles, level: Level, hysteresis: float) -> list[int]:
    """When (ms) a repeating alert on these bars' extremes would have fired."""
    levels = Levels()
    beyond = level.fires_beyond()
    side = BELOW if level.side == "below" or (level.side == "either" and candles.open[0] > beyond) else ABOVE
    beginning = int(candles.open_time[0])
    armed = side * float(candles.open[0]) <= side * beyond
    levels.put(
        Threshold(
            "trial", side, beyond, level.released_at(hysteresis), repeat=True, flips=level.side == "either",
            armed=armed, since=beginning,
        )
    )  # fmt: skip
    rows = (candles.low, candles.high, candles.close, candles.open_time, candles.close_time)
    moves = (Move(*row) for row in zip(*(column.tolist() for column in rows), strict=True))
    return [move.at for move in moves if levels.step(move)[0]]


async def _bars(job: Job, definition: Definition, *, thorough: bool) -> Trial:
    assert definition.symbol is not None
    assert definition.timeframe is not None
    condition, step = parse(definition.condition), definition.timeframe.milliseconds
    count = max(2, DAYS * _DAY // step)
    count = count if thorough else min(count, _QUICK_BARS)
    now = int(await job.services.market.now() * 1000)
    bars = await bars_for(
        job.services, definition.symbol, definition.timeframe, now // step * step - step, count, [condition]
    )
    mask = await asyncio.to_thread(evaluate, condition, bars.candles, bars.higher)
    mask, candles = mask[-count:], bars.candles[-count:]
    run = DryRun(
        true_now=bool(mask[-1]),
        value_now=float(candles.close[-1]),
        true_percent=round(100 * float(np.mean(mask)), 1),
        **_past(candles.close_time[became_true(mask)].tolist(), candles),
        basis=f"{len(candles)} closed bars of {definition.timeframe}",
    )
    return Trial(run, run.value_now)


def _past(fired: list[int], candles: Candles) -> dict[str, object]:
    newest = [datetime.fromtimestamp(at / 1000, UTC) for at in fired[: -_SHOWN - 1 : -1]]
    days = (int(candles.close_time[-1]) - int(candles.open_time[0])) / _DAY
    return {"would_have_fired": len(fired), "newest": newest, "days": round(days, 2)}


async def _metric(job: Job, definition: Definition) -> Trial:
    metric = definition.metric
    assert metric is not None
    if metric.name in MARKET_METRICS:
        assert definition.symbol is not None
        figures = await figures_of(job, metric.name, definition.symbol)
    else:
        assert definition.portfolio_id is not None
        figures = await figures_of(job, "portfolio", job.client, definition.portfolio_id)
    value = figures.get(metric.name)
    run = DryRun(
        true_now=None if value is None else metric.holds(value),
        value_now=None if value is None else round(value, 6),
        basis="the figure as it is now" if value is not None else "the figure is not known now",
    )
    if metric.name == "funding" and definition.symbol is not None:
        rates = await job.services.futures.funding_rates(definition.symbol, _FUNDINGS)
        mask = np.array([metric.holds(100 * rate.rate) for rate in rates], dtype=np.bool_)
        if len(mask):
            run.would_have_fired = int(became_true(mask).sum())
            run.true_percent = round(100 * float(mask.mean()), 1)
            run.basis = f"the last {len(mask)} fundings"
    return Trial(run, value)


async def _scan(job: Job, scan: ScanParams) -> Trial:
    from workers.scanning import market_scanner

    found = await market_scanner(job, scan_params(scan.model_dump(mode="json")))
    seen = tuple(row.symbol for row in found.rows)
    return Trial(
        DryRun(value_now=float(found.matched), basis=f"{found.looked_at} symbols: {found.looks_for}"), None, seen
    )


def warnings_of(run: DryRun, definition: Definition, *, repeat: bool, cooldown: int | None) -> list[str]:
    """What its owner should know before it is relied upon."""
    said = []
    if run.true_now and definition.watch == "price":
        said.append("It is true now: it fires when the price comes back and goes there again.")
    elif run.true_now:
        said.append("It is true now: it fires the next time it becomes true.")
    if run.true_percent is not None and run.true_percent >= _NEARLY_ALWAYS and definition.watch != "price":
        said.append(
            f"It is nearly always true ({run.true_percent:g} % of {run.basis}); it would have fired "
            f"{run.would_have_fired} times."
        )
    if run.true_percent == 0 and definition.watch in ("bars", "intrabar"):
        said.append(f"It was never true within {run.basis}.")
    often = run.would_have_fired is not None and run.days and run.would_have_fired / run.days > _OFTEN
    if often and repeat and not cooldown:
        said.append(
            f"It would have fired {run.would_have_fired} times in {run.days:g} days; cooldown_minutes bounds that."
        )
    if definition.watch == "intrabar":
        said.append("It looks at bars in progress: what is true within a bar may not be at its close.")
    return said


async def tried(job: Job, definition: Definition, **how: object) -> Trial:
    """The dry run; where a source is away it says so, and the alert can be made all the same."""
    try:
        return await trial(job, definition, **how)  # type: ignore[arg-type]
    except CryptoMcpError as error:
        return Trial(DryRun(basis=f"not looked up: {error.message}"))
