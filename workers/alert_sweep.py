"""Once a minute: what no stream tells (funding, open interest, portfolios, scans), and what was held back."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from crypto_mcp.alerts.definition import MARKET_METRICS, metric_of
from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.models.alerts import Fired, SweepParams
from crypto_mcp.models.portfolio import PortfolioParams
from crypto_mcp.models.scans import ScanParams
from workers.alert_firing import Event, Tally, announce, handle, relay, settle
from workers.notifications import resubmit_forgotten

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workers.job import Job
    from workers.services import Services

    Document = dict[str, Any]

log = structlog.get_logger(__name__)

_NAMED = 10
_USUAL_FUNDING_HOURS = 8

_NOTICED_WITHIN = timedelta(minutes=15)
"""So long after its end an alert still listens: what crossed before may be noticed late, and what crosses after is not
told whatever its status says."""


async def sweep_alerts(job: Job, params: SweepParams) -> Fired:
    """Looks at the figures of the minute. What cannot be had is looked at with the next one."""
    services, tally = job.services, Tally()
    documents = services.mongo.alerts
    await documents.prepare()
    await relay(services, await documents.waiting(datetime.now(UTC)))
    await announce(services, await documents.expire(params.at - _NOTICED_WITHIN))
    await resubmit_forgotten(services, datetime.now(UTC))
    alerts = await documents.watching("metric")
    evaluated = await _metrics(job, tally, alerts, params.at)
    scans = await documents.watching("scan")
    evaluated += await _scans(job, tally, scans, params.at)
    return Fired(fired=tally.told, suppressed=tally.suppressed, refused=tally.refused, conditions=evaluated)


async def _metrics(job: Job, tally: Tally, alerts: Sequence[Document], at: datetime) -> int:
    """Figures of contracts and portfolios: each once, whoever asks."""
    groups: dict[tuple[str, ...], list[Document]] = defaultdict(list)
    for alert in alerts:
        metric = metric_of(alert["condition"])
        if metric is not None and metric.name in MARKET_METRICS:
            groups[metric.name, alert["symbol"]].append(alert)
        elif metric is not None:
            groups["portfolio", alert["user_id"], alert["portfolio_id"]].append(alert)
    for key, of_group in groups.items():
        try:
            figures = await figures_of(job, *key)
        except CryptoMcpError as error:
            log.warning("figures of alerts cannot be had", of=key[0], error=error.message)
            continue
        await _judge(job.services, tally, of_group, figures, at)
    return len(groups)


async def figures_of(job: Job, kind: str, *whose: str) -> dict[str, float]:
    """Figures by name: of a contract (`kind` is the figure), or of the portfolio of an owner."""
    if kind == "portfolio":
        return await _portfolio(job, *whose)
    return {kind: await _market_figure(job.services, kind, *whose)}


async def _market_figure(services: Services, name: str, symbol: str) -> float:
    if name == "funding":
        mark, hours = await asyncio.gather(services.futures.mark_price(symbol), services.futures.funding_hours())
        return 100 * (mark.funding_rate or 0.0) * _USUAL_FUNDING_HOURS / hours.get(symbol, _USUAL_FUNDING_HOURS)
    now = float((await services.futures.open_interest(symbol)).quantity)
    if name == "open_interest":
        return now
    past = await services.futures.open_interest_history(symbol, "1h", 25)
    before = float(past[0].quantity) if past else now
    return 100 * (now / before - 1) if before else 0.0


async def _portfolio(job: Job, owner: str, name: str) -> dict[str, float]:
    """What can be said of a portfolio; figures that there are not are absent."""
    from workers.portfolio_figures import get

    report = await get(replace(job, client=owner), PortfolioParams(portfolio_id=name, detail="full"))
    ways = [position.liquidation_percent for position in report.positions if position.liquidation_percent is not None]
    figures: dict[str, Any] = {
        "equity": report.equity,
        "pnl": report.pnl and report.pnl.total,
        "pnl_percent": report.pnl and report.pnl.total_percent,
        "drawdown": report.performance and report.performance.drawdown,
        "var_95": report.risk and report.risk.var_95_percent,
        "exposure": report.exposure and report.exposure.gross_percent,
        "liquidation_distance": min((abs(way) for way in ways), default=None),
    }
    return {name: float(value) for name, value in figures.items() if value is not None}


async def _judge(
    services: Services, tally: Tally, alerts: Sequence[Document], figures: Mapping[str, float], at: datetime
) -> None:
    """Fires those whose figure came beyond its bound, and notes those that are back."""
    tally.begin()
    for alert in alerts:
        metric = metric_of(alert["condition"])
        assert metric is not None
        value = figures.get(metric.name)
        if value is None:
            continue
        holds, event = metric.holds(value), f"t{at:%Y%m%dT%H%M}"
        if event in alert["recent"]:
            tally.touched.append(alert)
        elif holds and not alert.get("was"):
            handle(tally, alert, Event(event, at, at, value), {"was": True})
        elif alert.get("was") and metric.released(value, alert.get("hysteresis_percent") or 0.0):
            tally.changes.append(
                ({"alert_id": alert["alert_id"], "version": alert["version"]}, {"$set": {"was": False}})
            )
    await settle(services, tally)


async def _scans(job: Job, tally: Tally, alerts: Sequence[Document], at: datetime) -> int:
    """Screens whose bar closed since they were looked at: each once, whoever asks; new symbols are told."""
    from workers.scanning import market_scanner

    groups: dict[bytes, list[Document]] = defaultdict(list)
    for alert in alerts:
        if alert.get("scan") and _due(alert, at):
            groups[orjson.dumps(alert["scan"], option=orjson.OPT_SORT_KEYS)].append(alert)
    for wanted, of_group in groups.items():
        try:
            found = await market_scanner(job, scan_params(orjson.loads(wanted)))
        except CryptoMcpError as error:
            log.warning("the scan of an alert cannot be made", error=error.message)
            continue
        rows = {row.symbol: row for row in found.rows}
        tally.begin()
        for alert in of_group:
            new = [symbol for symbol in rows if symbol not in (alert.get("seen") or ())]
            seen = {"seen": list(rows), "looked_at": at}
            if not new or alert.get("looked_at") is None:
                tally.changes.append(({"alert_id": alert["alert_id"], "version": alert["version"]}, {"$set": seen}))
                continue
            more = f" and {len(new) - _NAMED} more" if len(new) > _NAMED else ""
            words = f"New: {', '.join(new[:_NAMED])}{more}. {'; '.join(rows[new[0]].why[:2])}"
            handle(tally, alert, Event(f"s{at:%Y%m%dT%H%M}", at, at, None, words=words), seen)
        await settle(job.services, tally)
    return len(groups)


def scan_params(wanted: Mapping[str, Any]) -> ScanParams:
    """What to scan for: as many symbols as there may be, or one beyond the list would count as new."""
    return ScanParams.model_validate({**wanted, "limit": 100})


def _due(alert: Document, at: datetime) -> bool:
    looked = alert.get("looked_at")
    if looked is None:
        return True
    step = min(timeframe.milliseconds for timeframe in scan_params(alert["scan"]).timeframes) / 1000
    return bool(at.timestamp() // step > looked.timestamp() // step)
